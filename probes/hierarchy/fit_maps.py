"""Stage two: fit a selection map on paired codes, with its held-out R² and its shuffled null."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor

from probes.configs import Frozen
from probes.constraints.registry import CONSTRAINTS
from probes.errors import WorkbenchError
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.correlation import Correlations
from probes.hierarchy.selection_map import GatedMap, SelectionMap, keep_rule
from probes.tasks.registry import TASKS
from probes.training.loop import OptimiserConfig, Progress, train
from probes.training.objective import Objective, component
from probes.training.randomness import permutation
from probes.training.schedules import constant, ramp

TARGET_BLOCK = 256
Report = Callable[[str, int, int], None]


class MapConfig(Frozen):
    """How selection maps between neighbouring levels are fitted."""

    rows: int = Field(default=200_000, description="Training rows used.", ge=256)
    candidates: int = Field(default=48, description="Sources per target, the best correlated ones.", ge=1, le=1024)
    minimum_rows: int = Field(default=60, description="Rows in which a target must fire to be fitted.", ge=1)
    most_frequent: float = Field(default=0.5, description="Latents that fire more often are left out.", gt=0, le=1)
    edge_weight: float = Field(default=0.003, description="Price of an open gate (γ).", ge=0)
    optimiser: OptimiserConfig = Field(
        default=OptimiserConfig(steps=240, batch=1024, learning_rate=0.03, clip_norm=10.0, checkpoint_every=10**6),
        description="How the gates are optimised.",
    )


class FittedMap(NamedTuple):
    """A selection map with its null: what fitting the same map on shuffled rows gave."""

    map: SelectionMap
    null_r2: np.ndarray
    null_edges: int
    null_edges_after_filter: int
    r2_floor: float


def map_figures(found: FittedMap) -> dict[str, float | None]:
    """The headline numbers of a fitted map beside those of its null, each named after the pair."""
    pair, r2 = f"{found.map.low}-{found.map.high}", found.map.r2[found.map.r2 > -1]
    return {
        f"{pair}.edges": len(found.map.source),
        f"{pair}.targets": int((found.map.r2 > found.r2_floor).sum()),
        f"{pair}.r2_mean": float(r2.mean()) if len(r2) else None,
        f"{pair}.r2_floor": found.r2_floor,
        f"{pair}.null_edges_before_filter": found.null_edges,
        f"{pair}.null_edges": found.null_edges_after_filter,
    }


class Scaled(NamedTuple):
    """Codes in units of their typical activation, and which latents take part."""

    low: sparse.csr_matrix
    high: sparse.csr_matrix


def eligible(codes: sparse.csr_matrix, config: MapConfig) -> np.ndarray:
    """Latents that fire in enough rows and not in too many."""
    fired = np.bincount(codes.indices, minlength=codes.shape[1])
    return np.flatnonzero((fired >= config.minimum_rows) & (fired <= config.most_frequent * codes.shape[0]))


def _none_eligible(level: str, codes: sparse.csr_matrix, config: MapConfig) -> WorkbenchError:
    """Says which of the two limits most latents of a level break: what mends one is no help against the other."""
    rows, latents = codes.shape
    fired = np.bincount(codes.indices, minlength=latents)
    rare = int((fired < config.minimum_rows).sum())
    often = latents - rare
    return WorkbenchError(
        "too-few-rows" if rare >= often else "too-dense",
        "No selection map can be fitted",
        f"of {latents:,} latents of the {level} level {rare:,} fire in fewer than {config.minimum_rows:,} of "
        f"{rows:,} rows, and {often:,} in more than {config.most_frequent:.0%} of them",
        "Capture more, train longer, or lower maps.minimum_rows."
        if rare >= often
        else "Make its codes sparser (train longer, a higher price or a lower k), or raise maps.most_frequent.",
    )


def candidates_of(codes: PairedCodes, config: MapConfig) -> tuple[np.ndarray, np.ndarray, Correlations]:
    """(targets, `target candidate` sources, the codes' correlations): the best correlated sources.

    Raises `WorkbenchError` when no latent of a level fires in enough rows and not in too many.
    """
    correlations = Correlations(codes)
    targets = eligible(codes.high, config)
    return targets, best_sources(codes, targets, correlations, config), correlations


def best_sources(codes: PairedCodes, targets: np.ndarray, correlations: Correlations, config: MapConfig) -> np.ndarray:
    """The best correlated eligible sources of each target, `target candidate`."""
    sources = eligible(codes.low, config)
    for name, side, some in (("lower", codes.low, sources), ("higher", codes.high, targets)):
        if not len(some):
            raise _none_eligible(name, side, config)
    width = min(config.candidates, len(sources))
    best = np.zeros((len(targets), width), dtype=np.int64)
    for part, block in correlations.blocks(targets):
        best[part] = np.argpartition(-block[sources], width - 1, axis=0)[:width].T
    return sources[best]


def refit_kept(
    codes: PairedCodes, targets: np.ndarray, correlations: Correlations, config: MapConfig, seed: int
) -> set[tuple[int, int]]:
    """The (source, target) pairs a fresh fit of these targets keeps, candidates chosen as before."""
    candidates = best_sources(codes, targets, correlations, config)
    own = scaled(codes, typical_sizes(codes.low), typical_sizes(codes.high))
    weights, _ = fit_gates(own, None, targets, candidates, config, seed)
    row, column = np.nonzero(keep_rule(torch.from_numpy(weights)).numpy())
    return set(zip(candidates[row, column].tolist(), targets[row].tolist(), strict=True))


def fit_map(
    train_codes: PairedCodes,
    held_out: PairedCodes,
    names: tuple[str, str],
    config: MapConfig,
    *,
    seed: int,
    report: Report = lambda said, done, of: None,
) -> FittedMap:
    """Fit the gates, then the same on rows shuffled against each other; keep edges whose target's held-out
    R² exceeds the null's 99 % quantile. Raises nothing for hopeless targets: they keep no edge.

    `report` is told what is fitted, and how many blocks of targets are done of how many.
    """
    low, high = typical_sizes(train_codes.low), typical_sizes(train_codes.high)
    real, test = scaled(train_codes, low, high), scaled(held_out, low, high)
    shuffled = Scaled(real.low[permutation(real.low.shape[0], seed, "null").numpy()], real.high)
    targets, candidates, correlations = candidates_of(train_codes, config)
    weights, r2 = fit_gates(real, test, targets, candidates, config, seed, partial(report, "fitting gates"))
    null_targets, null_candidates, _ = candidates_of(
        PairedCodes(shuffled.low, shuffled.high, train_codes.chunk), config
    )
    said = partial(report, "fitting the shuffled null")
    null_weights, null_r2 = fit_gates(shuffled, test, null_targets, null_candidates, config, seed + 1, said)
    floor = max(float(np.quantile(null_r2, 0.99)), 0.02) if len(null_r2) else 0.02
    kept = keep_rule(torch.from_numpy(weights)).numpy() & (r2 > floor)[:, None]
    null_kept = keep_rule(torch.from_numpy(null_weights)).numpy()
    row, column = np.nonzero(kept)
    all_r2 = np.full(high.shape[0], -1.0)
    all_r2[targets] = r2
    source, target = candidates[row, column], targets[row]
    found = SelectionMap(
        *names,
        source=torch.from_numpy(source).long(),
        target=torch.from_numpy(target).long(),
        weight=torch.from_numpy(weights[row, column]).float(),
        frequency=torch.ones(len(source)),
        correlation=torch.from_numpy(correlations.of_pairs(source, target)),
        r2=torch.from_numpy(all_r2).float(),
    )
    after = int((null_kept & (null_r2 > floor)[:, None]).sum())
    return FittedMap(found, null_r2, int(null_kept.sum()), after, floor)


def fit_gates(
    codes: Scaled,
    test: Scaled | None,
    targets: np.ndarray,
    candidates: np.ndarray,
    config: MapConfig,
    seed: int,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[np.ndarray, np.ndarray]:
    """(`target candidate` weights, `target` R² on `test`) for all targets, block by block; `report` is told how
    many blocks are done, of how many."""
    weights, r2 = np.zeros(candidates.shape, dtype=np.float32), np.zeros(len(targets))
    starts = range(0, len(targets), TARGET_BLOCK)
    for done, at in enumerate(starts):
        report(done, len(starts))
        part = slice(at, at + TARGET_BLOCK)
        fitted = fit_block(codes, targets[part], candidates[part], config, seed + at)
        weights[part] = fitted.weights().numpy()
        if test is not None:
            r2[part] = _held_out_r2(fitted, test, targets[part], candidates[part])
    return weights, r2


def fit_block(codes: Scaled, targets: np.ndarray, candidates: np.ndarray, config: MapConfig, seed: int) -> GatedMap:
    """The map of a block of targets; `candidates`: `target candidate` lower latents. The trained map's own numbering
    is that of the lower latents among the candidates, in order."""
    sources, local = np.unique(candidates, return_inverse=True)
    low, high = codes.low[:, sources], codes.high[:, targets]
    mean = np.asarray(high.mean(axis=0)).ravel()
    variance = np.asarray(high.multiply(high).mean(axis=0)).ravel() - mean**2
    model = GatedMap(
        torch.from_numpy(local.reshape(candidates.shape)),
        torch.from_numpy(np.maximum(variance, 1e-8)).float(),
        seed=seed,
    )
    steps, batch = config.optimiser.steps, min(config.optimiser.batch, low.shape[0])
    objective = Objective(
        model,
        [component(TASKS, "predict_selection", constant(float(len(targets))))],
        [component(CONSTRAINTS, "edge_count", ramp(config.edge_weight * len(targets), steps // 4, steps // 4))],
    )

    def batch_at(step: int) -> dict[str, Tensor]:
        rows = permutation(low.shape[0], seed, "map", step)[:batch].numpy()
        return {
            "low": torch.from_numpy(low[rows].toarray()),
            "high": torch.from_numpy(high[rows].toarray()),
            "step": torch.tensor(step),
        }

    quiet = Progress(lambda step, values: None, lambda: False, lambda step, tensors, state: None)
    train(objective, batch_at, config.optimiser, quiet)
    return model


def _held_out_r2(model: GatedMap, test: Scaled, targets: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    sources = np.unique(candidates)
    error, square, total = (np.zeros(len(targets)) for _ in range(3))
    for low, high in row_blocks(test.low[:, sources], test.high[:, targets]):
        with torch.no_grad():
            predicted = model.predict(torch.from_numpy(low)).numpy()
        error += ((high - predicted) ** 2).sum(axis=0)
        square += (high**2).sum(axis=0)
        total += high.sum(axis=0)
    variance = square - total**2 / test.high.shape[0]
    return np.where(variance > 1e-9, 1 - error / np.maximum(variance, 1e-9), -1.0)


def row_blocks(
    low: sparse.csr_matrix, high: sparse.csr_matrix, rows: int = 2048
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of both, dense, some at a time."""
    for at in range(0, low.shape[0], rows):
        yield low[at : at + rows].toarray(), high[at : at + rows].toarray()


def typical_sizes(codes: sparse.csr_matrix) -> np.ndarray:
    """Mean active value per latent: the unit codes are expressed in."""
    total = np.bincount(codes.indices, weights=codes.data, minlength=codes.shape[1])
    return total / np.maximum(np.bincount(codes.indices, minlength=codes.shape[1]), 1)


def scaled(codes: PairedCodes, low: np.ndarray, high: np.ndarray) -> Scaled:
    """Codes divided by the typical sizes of their latents, `latent` each."""
    inverse = [sparse.diags(1 / np.where(part > 0, part, 1.0)) for part in (low, high)]
    return Scaled(
        (codes.low @ inverse[0]).tocsr().astype(np.float32),
        (codes.high @ inverse[1]).tocsr().astype(np.float32),
    )
