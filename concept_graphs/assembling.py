"""A concept graph put together from tested pairs: concepts described, edges as rows, what is said of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from concept_graphs.graph import ConceptGraph
from concept_graphs.schema import GraphMeta, LevelRow
from concept_graphs.spread import spread_order
from concept_graphs.study import Study
from concept_graphs.tables import CONFIRMED, Edge, EdgeTable, Node, NodeTable
from concept_graphs.tested_pairs import PairEvidence
from probes.artefacts import artefact_path
from probes.hierarchy.fit_maps import MapConfig
from probes.hierarchy.probe import Level, Probe
from probes.metrics.intervals import bootstrap
from probes.provenance import now
from probes.runs import Run

if TYPE_CHECKING:
    from concept_graphs.edges.proposal import Proposed
    from concept_graphs.extract import GraphConfig


def assembled(
    study: Study,
    probe: Probe,
    others: Sequence[Probe],
    pairs: Sequence[PairEvidence],
    config: GraphConfig,
    run: Run,
) -> ConceptGraph:
    """The graph of a probe's tested pairs, not yet laid out."""
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
            **{f"{name}.{figure}": value for figure, value in pair.figures.items()},
        }
    return figures


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """A numpy scalar as a plain one; NaN as None."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and plain != plain else plain
