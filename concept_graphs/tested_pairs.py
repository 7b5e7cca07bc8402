"""The edges between two levels: proposed from codes or by trial, and tested on the subject."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from concept_graphs.edges.gates import with_bootstrap
from concept_graphs.edges.proposal import Proposal, Proposed, spread_out
from concept_graphs.edges.registry import PROPOSALS
from concept_graphs.edges.trial import edges_by_trial
from concept_graphs.effects import EdgeEvidence, edge_evidence
from concept_graphs.evidence import EvidenceConfig, SourceEffects
from concept_graphs.orientation import orientation
from concept_graphs.seeds import SeedAgreement, seed_agreement
from concept_graphs.stability import half_figures, proposal_figures, seed_figures
from concept_graphs.study import Study
from probes.activations.store import ActivationStore, Split
from probes.errors import WorkbenchError
from probes.hierarchy.codes import PairedCodes, paired
from probes.hierarchy.correlation import Correlations
from probes.hierarchy.fit_maps import MapConfig, refit_kept
from probes.hierarchy.probe import Level, Probe
from probes.hierarchy.selection_map import SelectionMap
from probes.runs import Run

if TYPE_CHECKING:
    from concept_graphs.extract import GraphConfig


class PairEvidence(NamedTuple):
    """Tested edges between two levels. `figures`: what else is said of the pair, each [value, low, high, n]."""

    low: Level
    high: Level
    proposed: Proposed
    target_r2: np.ndarray
    evidence: EdgeEvidence
    agreement: SeedAgreement | None
    figures: dict[str, list[float]]


class TestedEdges(NamedTuple):
    """Evidence of a set of edges, and how far both halves of the data agree on it (see `half_figures`)."""

    evidence: EdgeEvidence
    halves: dict[str, list[float]]


def tested_pair(
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
    """Propose and test the edges of one pair; `above` holds the sources of the pair above it.

    Sources already tested by the run are read back. None when stopped. Raises `WorkbenchError` where none is proposed.
    """
    pair = f"{low.name}-{high.name}"
    run.update(message=f"{pair}: proposing edges")
    codes = paired(store, "train", low, high, max_rows=config.rows)
    found = probe.map_between(low.name, high.name)
    proposed = spread_out(
        edges_by(config.proposal, study, low, high, codes, found, r2_floor=config.r2_floor),
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
    figures = seed_figures(probe, others, low, high)
    if config.bootstrap_fits:
        run.update(message=f"{pair}: refitting {config.bootstrap_fits} bootstrap samples")
        settings = MapConfig(rows=config.rows)
        proposed = with_bootstrap(proposed, codes, settings, fits=config.bootstrap_fits, seed=config.seed)
        again = _again(config, study, low, high, found, proposed)
        if again is not None:
            run.update(message=f"{pair}: proposing edges on either half of the data")
            figures |= proposal_figures(codes, again, config.seed)
    if config.evidence.trials:
        tried = _tried(study, low, high, proposed, codes, config, run)
        if tried is None:
            return None
        proposed = tried
    tested = tested_edges(study, low, high, proposed, codes, config.evidence, run)
    if tested is None:
        return None
    r2 = found.r2[torch.from_numpy(proposed.target)].numpy() if found else np.full(len(proposed), np.nan)
    agreement = seed_agreement(probe, others, low, high, proposed) if others else None
    figures |= tested.halves | _dependence(codes, proposed)
    return PairEvidence(low, high, proposed, r2, tested.evidence, agreement, figures)


def _dependence(codes: PairedCodes, proposed: Proposed) -> dict[str, list[float]]:
    """How parts of one whole depend on each other, given the whole: see `concept_graphs.orientation`."""
    found = orientation(codes, proposed.source.tolist(), proposed.target.tolist()).dependence
    return {} if found is None else {"dependence": [found.value, found.low, found.high, float(found.n)]}


def _again(
    config: GraphConfig, study: Study, low: Level, high: Level, found: SelectionMap | None, proposed: Proposed
) -> Callable[[PairedCodes], set[tuple[int, int]]] | None:
    """What the graph's proposal makes of other codes: as many edges as were `proposed`, or of gates those of the same
    targets. None where codes alone do not make the edges."""
    maker: Proposal = PROPOSALS.load(config.proposal)()
    if config.evidence.trials or maker.needs_subject:
        return None
    settings, targets = MapConfig(rows=config.rows), np.unique(proposed.target)
    settings = settings.model_copy(update={"minimum_rows": settings.minimum_rows // 2})

    def again(codes: PairedCodes) -> set[tuple[int, int]]:
        if found is not None and maker.needs_map:
            return refit_kept(codes, targets, Correlations(codes), settings, config.seed)
        every = edges_by(config.proposal, study, low, high, codes, found, r2_floor=config.r2_floor)
        best = spread_out(every, len(proposed), per_target=config.per_target, per_source=config.per_source)
        return set(zip(best.source.tolist(), best.target.tolist(), strict=True))

    return again


def edges_by(
    name: str,
    study: Study,
    low: Level,
    high: Level,
    codes: PairedCodes,
    found: SelectionMap | None,
    *,
    r2_floor: float,
) -> Proposed:
    """What the proposal of that name makes of training codes; for a pair without a fitted map, the first that needs
    none."""
    makers: dict[str, Proposal] = {known: PROPOSALS.load(known)() for known in (name, *PROPOSALS)}
    maker = next(maker for maker in makers.values() if found is not None or not maker.needs_map)
    attribute = partial(study.attribute, low, high) if maker.needs_subject else None
    return maker.propose(codes, found, r2_floor=r2_floor, attribute=attribute)


def tested_edges(
    study: Study, low: Level, high: Level, proposed: Proposed, codes: PairedCodes, config: EvidenceConfig, run: Run
) -> TestedEdges | None:
    """Evidence for proposed edges, each source ablated once. None when stopped."""
    ends = [(low, proposed.source), (high, proposed.target)]
    (first, ablated), (then, measured) = ends if study.direction == "composes" else reversed(ends)
    targets = sorted({int(t) for t in measured})
    sources = sorted({int(s) for s in ablated})
    effects = _effects(study, (low, high), (first, then), sources, targets, config, run)
    if effects is None:
        return None
    asked = ablated.tolist(), measured.tolist(), targets, study.deviation(then, codes)
    found = study.judged(edge_evidence(effects, *asked), first, then)
    return TestedEdges(found, half_figures(effects, *asked))


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
    each = 4 * config.per_source  # so that a target that has enough edges can be passed over
    found = edges_by_trial(effects, targets, deviation[targets], each=each, generates=generates)
    return spread_out(found, config.edges, per_target=config.per_target, per_source=config.per_source)


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
