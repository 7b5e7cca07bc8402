"""Known-graph rows: one world with its dials set, and how much of its graph is found, for the Identifiability page.

The same functions, seeds and cuts as the suite of known graphs, for one world and one source of codes at a time.
Beside its rows it leaves the graph of the first seed: the true edges, and those that each method drew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from app.suites.identifiability import concept_rows
from app.suites.identified import ORACLE, GraphsConfig, Recovery, Setting, recoveries
from app.suites.kept import Kept
from app.suites.ranked import Cuts, cuts_on, distance_rows, rankings_of, scored_rows
from app.suites.rows import Row
from app.suites.suite import Suite
from concept_graphs.known_graph import KNOWN_FILE, KnownGraph, KnownLevel, KnownPair, joined
from concept_graphs.methods import COACTIVATION, TRUE_VARIABLE
from concept_graphs.proposing import FROM_CODES
from probes.autoencoders.registry import AUTOENCODERS
from probes.files import write_json
from probes.metrics.twins import twin_classes
from probes.registry import Registry
from probes.runs import Run
from probes.worlds.layers import NAMES
from probes.worlds.registry import HIERARCHIES
from probes.worlds.storeys import StoreysConfig

# Architectures that rebuild the rows they read: one that predicts another place has nothing to predict here.
CODES = Registry(
    "source of codes",
    {
        ORACLE: ("app.suites.identified:ORACLE", "The truth itself, which isolates the step from codes to edges."),
        **{name: (row.target, row.sentence) for name, row in AUTOENCODERS.items() if "target" not in row.load().reads},
    },
)

if TYPE_CHECKING:
    AnyWorld = StoreysConfig
else:
    AnyWorld = HIERARCHIES.variants()


class KnownGraphConfig(GraphsConfig):
    """A world with its dials, where codes come from, and what proposes edges."""

    world: AnyWorld = Field(default=StoreysConfig(), description="World whose graph is known.")
    codes: Annotated[str, CODES] = Field(
        default=ORACLE, description="Where codes come from: oracle is the truth itself, an architecture learns them."
    )
    proposals: tuple[Annotated[str, FROM_CODES], ...] = Field(
        default=("gates", COACTIVATION, "ridge", "lasso"), description="Edge proposals to compare.", min_length=1
    )
    seeds: int = Field(default=3, description="Worlds of these dials that are scored; the first is drawn.", ge=1, le=20)
    other_worlds: int = Field(default=2, description="Further worlds that cuts are chosen on.", ge=1, le=20)
    rows: int = Field(
        default=4000, description="Rows to train on; half as many to match, and to test.", ge=512, le=200_000
    )
    map_rows: int = Field(default=4000, description="Rows that edges are proposed from.", ge=256)
    fits: int = Field(default=4, description="Refits behind a bootstrap frequency.", ge=1, le=100)
    steps: int = Field(default=600, description="Training steps of a dictionary.", ge=1, le=100_000)
    rates: tuple[float, ...] = Field(default=(1e-2,), description="Learning rates to try.", min_length=1)
    tests: float = Field(default=4.0, description="Pairs per target that a proposal may have tested.", gt=0, le=1000)


def known_graph_rows(config: KnownGraphConfig, run: Run) -> Iterator[Row]:
    """Rows of every pair and method, and of concepts where codes are learned. Raises `Stopped` when the run is asked to
    stop; dictionaries are kept."""
    run.begin(steps=config.seeds + config.other_worlds, message="making worlds")
    setting = Setting(config.world.kind, config.world.kind, config.world.model_dump())
    stage = f"{config.codes}.{setting.world}"
    counts = (config.seeds, config.other_worlds)
    kept = Kept(run, "module/worlds", "")
    found, others = recoveries(config, stage, setting, config.codes, counts, kept, run, config.proposals)
    run.update(message="scoring, with intervals")
    cuts = cuts_on(others, config.tests)
    write_json(run.path / KNOWN_FILE, known_graph(config, found[0], cuts).model_dump(mode="json"))
    yield from scored_rows(stage, found, cuts, config.tests, {}, COACTIVATION)
    yield from distance_rows(stage, found, cuts, config.tests, drawable(found[0], config.tests))
    if config.codes != ORACLE:
        yield from concept_rows(stage, found)


def drawable(found: Recovery, tests: float) -> Sequence[str]:
    """Methods whose edges join latents: not those that put the true variable in the place of one."""
    return [name for name in rankings_of(found.pairs[0], tests) if name != TRUE_VARIABLE]


def known_graph(config: KnownGraphConfig, found: Recovery, cuts: Cuts) -> KnownGraph:
    """The graph of one recovered world, with the edges that each method draws at its cut."""
    parts = [pair.parts for pair in found.pairs]
    latents = [found.pairs[0].matched[0], *(pair.matched[1] for pair in found.pairs)]
    methods = drawable(found, config.tests)
    return KnownGraph(
        world=config.world.kind,
        codes=config.codes,
        direction=found.direction,
        seed=0,
        levels=[
            KnownLevel(
                name=name,
                dimensions=config.world.d_model,
                latents=latents[at].tolist(),
                correlation=found.correlation[found.level == at].tolist(),
                twins=twin_classes(parts[at]) if at < len(parts) else [],
            )
            for at, name in enumerate(NAMES)
        ],
        pairs=[
            KnownPair(
                name=pair.name,
                true=joined(pair.parts),
                drawn={
                    method: joined(ranking.drawn(cuts[at, method]))
                    for method, ranking in rankings_of(pair, config.tests).items()
                    if method in methods
                },
            )
            for at, pair in enumerate(found.pairs)
        ],
    )


SUITE = Suite(
    KnownGraphConfig,
    known_graph_rows,
    presets={
        "tiny": {
            "world": {"kind": "generated", "low": 8, "middle": 4, "high": 2, "d_model": 12},
            "seeds": 1,
            "other_worlds": 1,
            "rows": 600,
            "map_rows": 600,
            "steps": 100,
            "maps": {"minimum_rows": 10, "optimiser": {"steps": 80, "batch": 256, "checkpoint_every": 10**6}},
            "fits": 1,
            "chunks": 8,
        },
    },
    leaves=(KNOWN_FILE,),
)
