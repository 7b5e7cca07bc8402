"""What is found of one world: codes on every level, edges by every proposal, and what interventions say of all pairs.

Codes are the truth itself (oracle), which isolates the step from codes to edges, or those of dictionaries that were
trained on what the world shows. Rows to fit on, to match on and to test on are three samples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from app.suites.kept import Kept
from app.suites.world_training import Case, WorldTrainingConfig, case_of, level_in
from concept_graphs.evidence import EvidenceConfig
from concept_graphs.proposing import FROM_CODES, BothCodes, in_memory, proposed_tables
from concept_graphs.score import absorption_across, level_hits, matched_levels
from concept_graphs.world_evidence import Placed, Tested, all_effects, true_level
from probes.errors import Stopped
from probes.hierarchy.fit_maps import MapConfig
from probes.hierarchy.probe import Level
from probes.metrics.recovery import correlations
from probes.metrics.twins import block_r2, twin_classes
from probes.runs import Run
from probes.worlds.layers import SIZES, Direction, Layered
from probes.worlds.world import Flags, Sample

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
ORACLE = "oracle"
OTHERS = 100  # seeds from here on are worlds that cuts are chosen on
# In small worlds a high concept is on in more than half of the rows of some, and rare ones in a few dozen.
MAPS = MapConfig(minimum_rows=20, most_frequent=1.0)


class GraphsConfig(WorldTrainingConfig):
    """How dictionaries are trained, edges proposed and tested."""

    rows: int = Field(default=12_000, description="Rows to train on; half as many to match, and to test.", ge=512)
    fewest: int = Field(default=12, description="Latents of a view with few concepts.", ge=8, le=100_000)
    map_rows: int = Field(default=6000, description="Rows that edges are proposed from.", ge=256)
    maps: MapConfig = Field(default=MAPS, description="How gates are fitted, and which latents take part.")
    fits: int = Field(default=8, description="Refits behind a bootstrap frequency.", ge=1, le=100)
    chunks: int = Field(default=64, description="Rows in which each source is ablated.", ge=5)


class Setting(NamedTuple):
    """A world of the registry with its dials set; `label` names its dictionaries among those of one run."""

    world: str
    label: str
    dials: Mapping[str, Any]

    def case(self, config: WorldTrainingConfig, seed: int) -> Case:
        return case_of(self.world, config, seed, **self.dials)


class Pair(NamedTuple):
    """Two levels: true edges `high low`, the latents of their concepts, rankings of pairs of latents by proposal,
    tests of all pairs, and codes. `bound`: tests of the true variable instead of its latent, with its own ends."""

    name: str
    parts: Flags
    matched: tuple[Indices, Indices]
    tables: dict[str, Floats]
    tested: Tested
    codes: BothCodes
    bound: Tested | None
    bound_matched: tuple[Indices, Indices]


class Recovery(NamedTuple):
    """One world and seed. Per concept, lowest level first: its `level`, `correlation` with its latent on test rows, and
    whether its latent `hits` that level. `blocks`: R² per class of twins; `absorbed`, `gap`: per whole."""

    pairs: list[Pair]
    level: Indices
    correlation: Floats
    hits: Flags
    blocks: Floats
    absorbed: Floats
    gap: Floats
    direction: Direction


def sized(world: str, size: str) -> Setting:
    """A world of one of the sizes that results are reported on."""
    return Setting(world, f"{world}-{size.replace('/', '-')}", SIZES[size])


def recoveries(
    config: GraphsConfig,
    stage: str,
    setting: Setting,
    architecture: str,
    counts: tuple[int, int],
    kept: Kept,
    run: Run,
    among: Collection[str] = FROM_CODES,
) -> tuple[list[Recovery], list[Recovery]]:
    """(scored seeds, other worlds to choose cuts on), as many as `counts` says. Raises `Stopped`."""
    seeds, others = counts
    found = []
    for at, seed in enumerate((*range(seeds), *range(OTHERS, OTHERS + others)), 1):
        if run.stop_requested():
            raise Stopped
        run.update(message=f"{stage}: world {at} of {seeds + others}")
        found.append(recovery_of(config, setting, architecture, seed, kept, run, among))
        run.progress(run.status().step + 1)
    return found[:seeds], found[seeds:]


def recovery_of(
    config: GraphsConfig,
    setting: Setting,
    architecture: str,
    seed: int,
    kept: Kept,
    run: Run,
    among: Collection[str] = FROM_CODES,
) -> Recovery:
    """Train the levels of a world (none for `oracle`) and find its graph by proposals `among` these. Raises
    `Stopped`."""
    case, levels = setting.case(config, seed), None
    if architecture != ORACLE:
        levels = levels_of(config, setting.label, architecture, case, seed, kept, run)
    return found_in_case(config, case, levels, among)


def levels_of(
    config: GraphsConfig, label: str, architecture: str, case: Case, seed: int, kept: Kept, run: Run
) -> list[Level]:
    """A dictionary of every view, lowest first, from the run where they were kept."""
    return [
        level_in(config, f"{label}.{view.name}", architecture, at, case, seed, kept, run)
        for at, view in enumerate(case.world.views)
    ]


def found_in_case(
    config: GraphsConfig, case: Case, levels: Sequence[Level] | None, among: Collection[str] = FROM_CODES
) -> Recovery:
    """The graph that codes of these levels give; of the truth itself without them."""
    world = case.world
    calibration, held_out = (codes_of(part, levels) for part in (case.calibration, case.held_out))
    matched = matched_levels(case.calibration.codes, calibration)
    pairs = [_pair(config, case, levels, at, matched, among) for at in range(len(world.parts))]
    every = sparse.hstack(calibration).tocsr()
    absorbed, gap = absorption_across(case.held_out.codes, held_out, matched, world.parts)
    return Recovery(
        pairs=pairs,
        level=_numbered(view.n for view in world.views),
        correlation=np.concatenate(
            [_correlation(*part) for part in zip(case.held_out.codes, held_out, matched, strict=True)]
        ),
        hits=level_hits(case.calibration.codes, every, _numbered(part.shape[1] for part in calibration)),
        blocks=block_r2(
            (case.calibration.codes[0], calibration[0]),
            (case.held_out.codes[0], held_out[0]),
            twin_classes(world.parts[0]),
        ),
        absorbed=absorbed,
        gap=gap,
        direction=cast("Layered", world).direction,
    )


def codes_of(sample: Sample, levels: Sequence[Level] | None) -> list[sparse.csr_matrix]:
    """Codes `row latent` of every level; the truth without levels."""
    if levels is None:
        return [sparse.csr_matrix(codes) for codes in sample.codes]
    return [level.space.encode(torch.from_numpy(x)).csr() for level, x in zip(levels, sample.x, strict=True)]


def both_codes(config: GraphsConfig, case: Case, levels: Sequence[Level] | None, at: int) -> BothCodes:
    """Codes of a level and the one above, to propose edges from."""
    fitting, calibration = (codes_of(part, levels)[at : at + 2] for part in (case.train, case.calibration))
    return BothCodes(in_memory(*(codes[: config.map_rows] for codes in fitting)), in_memory(*calibration))


def placed_in(case: Case, levels: Sequence[Level] | None) -> list[Placed]:
    """Levels where they read; the world's own concepts without any."""
    world = cast("Layered", case.world)
    if levels is None:
        levels = [true_level(view, world.config.read_above) for view in world.views]
    return [Placed(at, level) for at, level in enumerate(levels)]


def _pair(
    config: GraphsConfig,
    case: Case,
    levels: Sequence[Level] | None,
    at: int,
    matched: tuple[Indices, ...],
    among: Collection[str],
) -> Pair:
    world, subject = cast("Layered", case.world), case.world.subject()
    evidence = EvidenceConfig(chunks=config.chunks, rows=4096)
    placed, truths = placed_in(case, levels), placed_in(case, None)
    ends, codes = (matched[at], matched[at + 1]), both_codes(config, case, levels, at)
    tested = all_effects(subject, case.held_out, placed[at], placed[at + 1], world.direction, evidence)
    bound, bound_ends = None, ends
    if levels is not None:
        first = at if world.direction == "composes" else at + 1
        low, high = (truths[n] if n == first else placed[n] for n in (at, at + 1))
        bound = all_effects(subject, case.held_out, low, high, world.direction, evidence)
        itself = np.arange(world.views[first].n)
        bound_ends = (itself, ends[1]) if first == at else (ends[0], itself)
    return Pair(
        name=f"{world.views[at].name}-{world.views[at + 1].name}",
        parts=world.parts[at],
        matched=ends,
        tables=dict(proposed_tables(codes, config.maps, fits=config.fits, seed=0, among=among)),
        tested=tested,
        codes=codes,
        bound=bound,
        bound_matched=bound_ends,
    )


def _numbered(sizes: Iterable[int]) -> Indices:
    """The level of each of so many, lowest first."""
    return np.concatenate([np.full(n, at) for at, n in enumerate(sizes)])


def _correlation(truth: NDArray[np.float32], codes: sparse.csr_matrix, chosen: Indices) -> Floats:
    return np.where(chosen >= 0, correlations(truth, codes)[np.arange(len(chosen)), chosen], 0.0)
