"""Extract a concept graph from a probe: propose edges, test them on the subject, describe the concepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field

from concept_graphs.edges.gates import with_bootstrap
from concept_graphs.edges.proposal import Proposal, Proposed, spread_out
from concept_graphs.edges.registry import PROPOSALS
from concept_graphs.edges.trial import edges_by_trial
from concept_graphs.effects import EdgeEvidence, edge_evidence
from concept_graphs.evidence import EvidenceConfig, SourceEffects
from concept_graphs.graph import ConceptGraph
from concept_graphs.schema import GraphMeta, LevelRow
from concept_graphs.seeds import SeedAgreement, seed_agreement
from concept_graphs.spread import spread_order
from concept_graphs.study import STUDIES, Study
from concept_graphs.tables import CONFIRMED, Edge, EdgeTable, Node, NodeTable
from probes.activations.store import ActivationStore, Split
from probes.artefacts import artefact_path, parent_of, resolve
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.files import commit_directory
from probes.hierarchy.codes import PairedCodes, paired
from probes.hierarchy.fit_maps import MapConfig
from probes.hierarchy.probe import Level, Probe, open_probe, refuse_several_places
from probes.hierarchy.selection_map import SelectionMap
from probes.metrics.intervals import bootstrap
from probes.provenance import now
from probes.runs import Run


class GraphConfig(Frozen):
    """Extract a concept graph: proposals, interventions on the subject, labels and examples."""

    name: str = Field(description="Name of the graph to make.", min_length=1, max_length=64)
    probe: str = Field(description="Probe to read.", min_length=1)
    store: str = Field(default="", description="Activation store; empty for the one the probe was trained on.")
    subject: str = Field(default="", description="Subject to intervene on; empty for the probe's own.")
    title: str = Field(default="", description="Title of the graph; empty for its name.", max_length=200)
    proposal: Annotated[str, PROPOSALS] = Field(default="gates", description="Where edges come from.")
    edges: int = Field(default=300, description="Edges tested per pair of levels.", ge=1, le=5000)
    per_target: int = Field(default=4, description="Most edges of one target.", ge=1)
    per_source: int = Field(default=4, description="Most edges of one source.", ge=1)
    chained: float = Field(
        default=0.5,
        description="Share of a pair's edges that first go to targets the pair above builds on.",
        ge=0,
        le=1,
    )
    r2_floor: float = Field(
        default=0.05,
        description="Targets predicted worse than this on held-out data get no edges.",
        ge=0,
        lt=1,
    )
    concepts: int = Field(
        default=100, description="Concepts of a level that has no neighbour to share edges with.", ge=1, le=5000
    )
    rows: int = Field(default=200_000, description="Training rows that proposals are ranked on.", ge=256)
    bootstrap_fits: int = Field(
        default=3, description="Refits on resampled chunks behind the bootstrap frequency.", ge=0, le=50
    )
    seed_probes: tuple[str, ...] = Field(default=(), description="Probes of other seeds, for agreement and support.")
    examples: int = Field(default=6, description="Examples per concept.", ge=1, le=50)
    loss_chunks: int = Field(default=64, description="Held-out chunks for cross-entropy; 0 for none.", ge=0)
    evidence: EvidenceConfig = Field(default=EvidenceConfig(), description="How edges are tested.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="The subject's number type."
    )
    device: str = Field(default="auto", description="Where the subject runs: auto, cpu, cuda or mps.")
    offline: bool = Field(default=True, description="Never fetch a model from a hub.")
    seed: int = Field(default=0, description="Seed of the bootstrap.", ge=0)


class PairEvidence(NamedTuple):
    """Tested edges between two levels."""

    low: Level
    high: Level
    proposed: Proposed
    target_r2: np.ndarray
    evidence: EdgeEvidence
    agreement: SeedAgreement | None


def work(config: GraphConfig, run: Run) -> Path | None:
    """Do the whole extraction; tested sources are kept in the run and not repeated on resume.

    Returns the graph, or None when it was asked to stop.
    """
    probe = open_probe(config.probe)
    refuse_several_places(probe.levels)
    store = ActivationStore(resolve(config.store or probe.record.store, "store"))
    subject_name = config.subject or probe.record.subject
    if subject_name != store.index.subject:
        raise WorkbenchError(
            "wrong-subject",
            f"The store {store.path.name} is of another subject",
            f"it was captured from {store.index.subject}, not {subject_name}",
            "Choose the store of this subject.",
        )
    target = artefact_path("graph", config.name)
    if run.made(target):
        return target
    run.update(message="loading the subject")
    study: Study = STUDIES.load(store.index.fed_with)(
        subject_name, store, dtype=config.dtype, device=config.device, offline=config.offline
    )
    for pair in probe.pairs():
        study.check(*pair)  # all of them, before the first is worked on
    others = [open_probe(ref) for ref in config.seed_probes]
    pairs: list[PairEvidence] = []
    above: frozenset[int] = frozenset()
    for low, high in reversed(list(probe.pairs())):
        tested = _tested_pair(study, store, probe, others, low, high, above, config, run)
        if tested is None:
            return None
        pairs.insert(0, tested)
        above = frozenset(int(source) for source in tested.proposed.source)
    graph = _assemble(study, probe, others, pairs, config, run)
    with commit_directory(target) as folder:
        graph.laid_out().save(
            folder,
            command=run.record().command,
            run=run.slug,
            parents={
                "probe": parent_of(config.probe, "probe"),
                "store": parent_of(config.store or probe.record.store, "store"),
            },
        )
    return target


def _tested_pair(
    study: Study,
    store: ActivationStore,
    probe: Probe,
    others: Sequence[Probe],
    low: Level,
    high: Level,
    above: frozenset[int],
    config: GraphConfig,
    run: Run,
) -> PairEvidence | None:
    """Propose and test the edges of one pair; `above` holds the sources of the pair above it."""
    pair = f"{low.name}-{high.name}"
    run.update(message=f"{pair}: proposing edges")
    codes = paired(store, "train", low, high, max_rows=config.rows)
    found = probe.map_between(low.name, high.name)
    proposed = spread_out(
        _proposal(config.proposal, found).propose(codes, found, r2_floor=config.r2_floor),
        config.edges,
        per_target=config.per_target,
        per_source=config.per_source,
        favoured=above,
        favoured_share=config.chained,
    )
    if len(proposed) == 0:
        raise WorkbenchError(
            "no-edges",
            f"No edge was proposed for {pair}",
            "no target is predictable",
            "Train longer or on more data.",
        )
    if config.bootstrap_fits:
        run.update(message=f"{pair}: refitting {config.bootstrap_fits} bootstrap samples")
        settings = MapConfig(rows=config.rows)
        proposed = with_bootstrap(proposed, codes, settings, fits=config.bootstrap_fits, seed=config.seed)
    if config.evidence.trials:
        tried = _tried(study, low, high, proposed, codes, config, run)
        if tried is None:
            return None
        proposed = tried
    ends = [(low, proposed.source), (high, proposed.target)]
    (first, ablated), (then, measured) = ends if study.direction == "composes" else reversed(ends)
    targets = sorted({int(t) for t in measured})
    sources = sorted({int(s) for s in ablated})
    effects = _effects(study, (low, high), (first, then), sources, targets, config.evidence, run)
    if effects is None:
        return None
    deviation = study.deviation(then, codes)
    paired_too = study.direction == "generates"
    found_effects = edge_evidence(effects, ablated.tolist(), measured.tolist(), targets, deviation, paired=paired_too)
    evidence = study.judged(found_effects, first, then)
    r2 = found.r2[torch.from_numpy(proposed.target)].numpy() if found else np.full(len(proposed), np.nan)
    agreement = seed_agreement(probe, others, low, high, proposed) if others else None
    return PairEvidence(low, high, proposed, r2, evidence, agreement)


def _proposal(name: str, found: SelectionMap | None) -> Proposal:
    """The proposal of that name; for a pair without a fitted map, the first that needs none."""
    makers: dict[str, Proposal] = {known: PROPOSALS.load(known)() for known in (name, *PROPOSALS)}
    return next(maker for maker in makers.values() if found is not None or not maker.needs_map)


def _tried(
    study: Study, low: Level, high: Level, proposed: Proposed, codes: PairedCodes, config: GraphConfig, run: Run
) -> Proposed | None:
    """Edges of the same sources to the targets that their ablation moved most in training images, of all that fire
    in them. None when stopped."""
    generates = study.direction == "generates"
    first, then = (high, low) if generates else (low, high)
    sources = sorted({int(s) for s in (proposed.target if generates else proposed.source)})
    deviation = study.deviation(then, codes)
    targets = [int(target) for target in np.flatnonzero(deviation > 0)]
    evidence = config.evidence.model_copy(update={"chunks": config.evidence.trials, "nulls": 1})
    effects = _effects(study, (low, high), (first, then), sources, targets, evidence, run, split="train")
    if effects is None:
        return None
    return edges_by_trial(effects, targets, config.edges, per_source=config.per_source, generates=generates)


def _effects(
    study: Study,
    levels: tuple[Level, Level],
    order: tuple[Level, Level],
    sources: Sequence[int],
    targets: Sequence[int],
    config: EvidenceConfig,
    run: Run,
    *,
    split: Split = "held_out",
) -> dict[int, SourceEffects] | None:
    """Effects per ablated latent of the level computed first in `order`; what an earlier session of the run tested
    is read back. None when stopped."""
    pair = "-".join(level.name for level in levels)
    folder = run.path / ("evidence" if split == "held_out" else "trials") / pair
    folder.mkdir(parents=True, exist_ok=True)
    done = {s: SourceEffects.load(folder / f"{s}.npz") for s in sources if (folder / f"{s}.npz").is_file()}
    left = [s for s in sources if s not in done]
    run.begin(steps=len(left), message=f"{pair}: ablating {len(left)} sources in the subject")
    for tested in study.ablate(
        *order,
        left,
        targets,
        config,
        split=split,
        report=lambda at, of: run.log(at, **{f"{pair}.sources": at}),
        stop=run.stop_requested,
    ):
        tested.save(folder / f"{tested.source}.npz")
        done[tested.source] = tested
    return None if run.stop_requested() else done


def _assemble(
    study: Study,
    probe: Probe,
    others: Sequence[Probe],
    pairs: Sequence[PairEvidence],
    config: GraphConfig,
    run: Run,
) -> ConceptGraph:
    nodes: list[Node] = []
    examples: dict[str, Any] = {}
    pictures: dict[str, Any] = {}
    costs: dict[str, float] = {}
    for level in probe.levels:
        latents = sorted(_latents_of(level.name, pairs)) if pairs else _most_active(level, config.concepts)
        run.update(message=f"describing {len(latents)} concepts of level {level.name}")
        found = study.describe(level, latents, others, count=config.examples)
        nodes += found.nodes
        examples |= found.examples
        pictures |= found.pictures
        run.update(message=f"what level {level.name} costs the subject")
        costs |= {f"{level.name}.{name}": value for name, value in study.costs(level, config.loss_chunks).items()}
    order, warnings = spread_order(probe)
    edges = [edge for pair in pairs for edge in _edges(pair)]
    meta = GraphMeta(
        name=artefact_path("graph", config.name).name,
        title=config.title or config.name,
        subject=probe.record.subject,
        probe=config.probe,
        store=config.store or probe.record.store,
        direction=study.direction,
        created=now(),
        figures={**order, **costs, **_counts(pairs), **_detections(nodes)},
        levels=[
            LevelRow(
                name=level.name,
                hook_point=str(level.point),
                row=str(level.rows),
                n_latents=level.record.n_latents,
                fraction=level.record.point.fraction,
                noise=level.where.noise if study.direction == "generates" else None,
            )
            for level in probe.levels
        ],
        warnings=warnings,
        nulls={f"{pair.low.name}-{pair.high.name}": _finite(pair.evidence.null) for pair in pairs},
        settings=config.model_dump(mode="json"),
    )
    return ConceptGraph(meta, NodeTable.from_rows(nodes), EdgeTable.from_rows(edges), examples, pictures)


def _detections(nodes: Sequence[Node]) -> dict[str, Any]:
    """Mean detection score of the labels per level, with its interval over concepts."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(node.level for node in nodes):
        scores = [node.detection for node in nodes if node.level == name and node.detection is not None]
        if scores:
            value = bootstrap([scores])
            found[f"{name}.detection"] = [value.value, value.low, value.high, value.n]
    return found


def _most_active(level: Level, count: int) -> list[int]:
    """The latents that carry most of the codes (frequency · mean value), those that are nearly always on left out."""
    frequency, mean = level.statistics["frequency"], level.statistics["mean_active"]
    carried = torch.where(frequency <= MapConfig().most_frequent, frequency * mean, 0.0)
    best = carried.topk(min(count, len(carried)))
    return sorted(int(latent) for latent, value in zip(best.indices, best.values, strict=True) if value > 0)


def _latents_of(name: str, pairs: Sequence[PairEvidence]) -> set[int]:
    below = {int(s) for pair in pairs if pair.low.name == name for s in pair.proposed.source}
    above = {int(t) for pair in pairs if pair.high.name == name for t in pair.proposed.target}
    return below | above


def _edges(pair: PairEvidence) -> list[Edge]:
    proposed, columns = pair.proposed, pair.evidence.columns
    cosine = _cosines(pair.low, pair.high, proposed)
    support = pair.agreement.support if pair.agreement else np.full(len(proposed), np.nan)
    rows = []
    for at in range(len(proposed)):
        values = {name: _plain(column[at]) for name, column in columns.items()}
        rows.append(
            Edge(
                source=f"{pair.low.name}/{proposed.source[at]}",
                target=f"{pair.high.name}/{proposed.target[at]}",
                weight=_plain(proposed.weight[at]),
                correlation=_plain(proposed.correlation[at]),
                target_r2=_plain(pair.target_r2[at]),
                frequency=_plain(proposed.frequency[at]),
                cosine=_plain(cosine[at]),
                seed_support=_plain(support[at]),
                **values,
            )
        )
    return rows


def _cosines(low: Level, high: Level, proposed: Proposed) -> np.ndarray:
    """Cosine of the lower decoder row with the upper encoder column: what the residual path alone carries. Unknown
    where the levels read in spaces of different width."""
    if low.space.w_dec.shape[1] != high.space.w_enc.shape[1]:
        return np.full(len(proposed), np.nan)
    decoder = low.space.w_dec[torch.from_numpy(proposed.source)]
    encoder = high.space.w_enc[torch.from_numpy(proposed.target)]
    return torch.nn.functional.cosine_similarity(decoder, encoder, dim=1).numpy()


def _counts(pairs: Sequence[PairEvidence]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for pair in pairs:
        verdict, name = pair.evidence.columns["verdict"], f"{pair.low.name}-{pair.high.name}"
        kinds = ("composed", "carried") if "held" in pair.evidence.columns else ("generated",)
        beyond = np.abs(pair.evidence.columns["effect"]) > pair.evidence.columns["null995"]
        confirmed = np.isin(verdict, list(CONFIRMED))
        figures |= {
            f"{name}.proposed": len(pair.proposed),
            f"{name}.tested": int((verdict != "untested").sum()),
            f"{name}.confirmed": int(confirmed.sum()),
            f"{name}.beyond_null995": int((confirmed & beyond).sum()),
            **{f"{name}.{kind}": int((verdict == kind).sum()) for kind in kinds},
        }
    return figures


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """A numpy scalar as a plain one; NaN as None."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and plain != plain else plain
