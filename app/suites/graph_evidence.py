"""Rows of a graph's evidence: what every proposal proposes on the same codes, and how many of it survive intervention.

A pair of concepts is tested once, however many proposals name it, and judged against one null. Beside the proposals
stand as many random pairs of the same concepts, named by none of them: what survives there survives by chance, or
because a model's latents all move a little.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic import Field

from app.suites.main_job import MainJobConfig, encoded_text
from app.suites.measured import probed
from app.suites.rows import Row, of_interval
from app.suites.suite import Suite
from concept_graphs.edges.proposal import Proposed, spread_out
from concept_graphs.edges.registry import PROPOSALS
from concept_graphs.evidence import EvidenceConfig
from concept_graphs.graph import ConceptGraph
from concept_graphs.study import STUDIES, Study
from concept_graphs.tables import CONFIRMED
from concept_graphs.tested_pairs import edges_by, tested_edges
from probes.activations.store import ActivationStore
from probes.artefacts import MANIFEST, artefact_path, resolve
from probes.configs import Frozen
from probes.errors import Stopped, WorkbenchError
from probes.files import write_json
from probes.hierarchy.codes import PairedCodes, paired
from probes.hierarchy.probe import Level, Probe, open_probe
from probes.metrics.intervals import bootstrap
from probes.runs import Run

if TYPE_CHECKING:
    from concept_graphs.effects import EdgeEvidence

Pair = tuple[int, int]
RANDOM = "random"


class GraphEvidenceConfig(Frozen):
    """Propose the edges of a graph anew in several ways, and test all of them."""

    graph: str = Field(default="bundled/text", description="Concept graph whose levels are joined.")
    proposals: tuple[Annotated[str, PROPOSALS], ...] = Field(
        default=tuple(PROPOSALS), description="Where edges come from.", min_length=1
    )
    edges: int = Field(default=100, description="Edges of each proposal that are tested per pair of levels.", ge=1)
    per_target: int = Field(default=4, description="Most edges of one target.", ge=1)
    per_source: int = Field(default=4, description="Most edges of one source.", ge=1)
    r2_floor: float = Field(
        default=0.05, description="Targets that a proposal's own fit predicts worse get no edges.", ge=0, lt=1
    )
    rows: int = Field(default=200_000, description="Training rows that proposals see.", ge=256)
    store: str = Field(
        default="", description="Activation store; empty for the graph's own, or else its text encoded anew."
    )
    tokens: int = Field(default=700_000, description="Most tokens of text to encode.", ge=1000)
    document_chunks: int = Field(
        default=8, description="Most chunks of one training document to encode; held-out ones are read whole.", ge=1
    )
    evidence: EvidenceConfig = Field(default=EvidenceConfig(), description="How edges are tested.")
    seed: int = Field(default=0, description="Seed of the random pairs.", ge=0)


class Tried(NamedTuple):
    """The best edges of every proposal, by name, how long each took, and why some have none."""

    edges: dict[str, Proposed]
    seconds: dict[str, float]
    refused: dict[str, str]


def graph_rows(config: GraphEvidenceConfig, run: Run) -> Iterator[Row]:
    """Rows by pair of levels and proposal; `proposals.json` in the run's folder has every tested pair.

    Raises `WorkbenchError` for a store of another subject or where no proposal names an edge, `Stopped` when asked
    to stop.
    """
    graph = ConceptGraph.open(config.graph)
    probe = open_probe(graph.meta.probe)
    store = _store(config, graph, probe, run)
    run.update(message="loading the subject")
    study: Study = STUDIES.load(store.index.fed_with)(
        graph.meta.subject, store, dtype="auto", device="auto", offline=True
    )
    for pair in probe.pairs():
        study.check(*pair)
    tested: dict[str, list[dict[str, object]]] = {}
    for low, high in probe.pairs():
        name = f"{low.name}-{high.name}"
        codes = paired(store, "train", low, high, max_rows=config.rows)
        tried = _tried(config, study, probe, low, high, codes, run)
        union = _union(tried.edges, config)
        found = tested_edges(study, low, high, union, codes, config.evidence, run)
        if found is None:
            raise Stopped
        tested[name] = _records(tried.edges, union, found.evidence)
        write_json(run.path / "proposals.json", tested)
        yield from _rows(name, tried, union, found.evidence)


def _store(config: GraphEvidenceConfig, graph: ConceptGraph, probe: Probe, run: Run) -> ActivationStore:
    named = config.store or graph.meta.store
    if config.store or (named and (artefact_path("store", named) / MANIFEST).is_file()):
        store = ActivationStore(resolve(named, "store"))
        if store.index.subject == graph.meta.subject:
            return store
        if config.store:
            raise WorkbenchError(
                "wrong-subject",
                f"The store {named} is of another subject",
                f"it was captured from {store.index.subject}, the graph is of {graph.meta.subject}",
                "Name the store of this subject, or none.",
            )
    if graph.meta.direction == "generates":
        raise WorkbenchError(
            "no-store",
            f"There are no activations to test {config.graph} on",
            f"its store {named or '(none named)'} is not here, and only text is encoded anew",
            "Capture the pipeline and name the store.",
        )
    text = MainJobConfig(tokens=config.tokens, document_chunks=config.document_chunks)
    return encoded_text(probe, text, run)


def _tried(
    config: GraphEvidenceConfig, study: Study, probe: Probe, low: Level, high: Level, codes: PairedCodes, run: Run
) -> Tried:
    tried = Tried({}, {}, {})
    found = probe.map_between(low.name, high.name)
    for name in config.proposals:
        run.update(message=f"{low.name}-{high.name}: proposing edges by {name}")
        if run.stop_requested():
            raise Stopped
        if PROPOSALS.load(name).needs_map and found is None:
            tried.refused[name] = "the probe has no selection map of these levels"
            continue
        begun = time.process_time()
        try:
            every = edges_by(name, study, low, high, codes, found, r2_floor=config.r2_floor)
        except WorkbenchError as error:  # what one proposal cannot do is no reason not to try the others
            tried.refused[name] = str(error)
            continue
        tried.seconds[name] = time.process_time() - begun
        tried.edges[name] = spread_out(every, config.edges, per_target=config.per_target, per_source=config.per_source)
    if not any(map(len, tried.edges.values())):
        raise WorkbenchError(
            "no-edges",
            f"No edge was proposed for {low.name}-{high.name}",
            "; ".join(f"{name}: {why}" for name, why in tried.refused.items()) or "no target is predictable",
            "Train longer or on more data.",
        )
    return tried


def _pairs(proposed: Proposed) -> list[Pair]:
    return list(zip(proposed.source.tolist(), proposed.target.tolist(), strict=True))


def _union(edges: dict[str, Proposed], config: GraphEvidenceConfig) -> Proposed:
    """Every pair once; `edges` is given its random pairs, of concepts that are tested anyway."""
    named = list(dict.fromkeys(pair for proposed in edges.values() for pair in _pairs(proposed)))
    sources, targets = ([pair[end] for pair in named] for end in (0, 1))
    taken, chance = set(named), list[Pair]()
    draw = np.random.default_rng(config.seed)
    for _ in range(20 * config.edges):
        pair = (int(draw.choice(sources)), int(draw.choice(targets)))
        if pair not in taken and len(chance) < config.edges:
            taken.add(pair)
            chance.append(pair)
    edges[RANDOM] = _as_proposed(chance)
    return _as_proposed([*named, *chance])


def _as_proposed(pairs: Sequence[Pair]) -> Proposed:
    source, target = (np.array([pair[end] for pair in pairs], dtype=np.int64) for end in (0, 1))
    unknown = np.full(len(pairs), np.nan)
    return Proposed(source, target, -np.arange(len(pairs), dtype=float), unknown, unknown, unknown)


def _records(edges: Mapping[str, Proposed], union: Proposed, evidence: EdgeEvidence) -> list[dict[str, object]]:
    """Every tested pair with its place in each proposal's ranking, and what the interventions said."""
    ranks = {name: {pair: at for at, pair in enumerate(_pairs(one))} for name, one in edges.items()}
    columns = ("effect", "effect_low", "effect_high", "held", "q", "n", "verdict")
    return [
        {
            "source": pair[0],
            "target": pair[1],
            "ranks": {name: known[pair] for name, known in ranks.items() if pair in known},
            **{name: _plain(evidence.columns[name][at]) for name in columns if name in evidence.columns},
        }
        for at, pair in enumerate(_pairs(union))
    ]


def _plain(value: object) -> object:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and plain != plain else plain


def _rows(pair: str, tried: Tried, union: Proposed, evidence: EdgeEvidence) -> Iterator[Row]:
    verdict = dict(zip(_pairs(union), evidence.columns["verdict"].tolist(), strict=True))
    effect = dict(zip(_pairs(union), np.abs(evidence.columns["effect"]).tolist(), strict=True))
    verdicts = {name: [verdict[pair] for pair in _pairs(one)] for name, one in tried.edges.items()}
    confirmed = {name: _shares(found) for name, found in verdicts.items()}
    by_chance = float(confirmed[RANDOM].mean()) if len(confirmed[RANDOM]) else None
    for name, why in tried.refused.items():
        yield Row(name=f"graph.{pair}.{name}.proposed", value=0, n=0, unit="edges", note=why)
    for name, proposed in tried.edges.items():
        row, known = f"graph.{pair}.{name}", [v for v in verdicts[name] if v != "untested"]
        yield Row(name=f"{row}.proposed", value=len(proposed), unit="edges")
        yield Row(name=f"{row}.confirmed", value=int(confirmed[name].sum()), n=len(known), unit="tested edges")
        composed = sum(v == "composed" for v in known)
        yield Row(name=f"{row}.composed", value=composed, n=len(known), unit="tested edges the blocks compute")
        if len(known):
            unit = "share of tested edges that survive intervention, interval over edges; baseline: random pairs"
            baseline = None if name == RANDOM else by_chance
            yield of_interval(f"{row}.survive", bootstrap([confirmed[name]]), unit, "up", baseline=baseline)
            sizes = [effect[pair] for pair in _pairs(proposed) if effect[pair] == effect[pair]]
            yield of_interval(f"{row}.effect", bootstrap([sizes]), "mean |effect| in s.d. of the target", "up")
        if name != RANDOM:
            others = {p for other, one in tried.edges.items() if other != name for p in _pairs(one)}
            alone = sum(verdict[p] in CONFIRMED for p in _pairs(proposed) if p not in others)
            yield Row(name=f"{row}.alone", value=alone, unit="confirmed edges that no other proposal names")
            yield Row(name=f"{row}.seconds", value=tried.seconds[name], unit="CPU seconds of proposing", better="down")


def _shares(verdicts: Sequence[str]) -> np.ndarray:
    """1 for each tested edge that survived, 0 for each that did not."""
    return np.array([float(verdict in CONFIRMED) for verdict in verdicts if verdict != "untested"])


SUITE = Suite(
    GraphEvidenceConfig,
    graph_rows,
    of="graph",
    suits=lambda config: probed(config.graph),
    presets={
        "tiny": {"edges": 8, "rows": 4000, "evidence": {"chunks": 4, "minimum_chunks": 2}},
        "small": {"edges": 40, "tokens": 200_000, "document_chunks": 2, "evidence": {"chunks": 8}},
    },
    leaves=("proposals.json",),
)
