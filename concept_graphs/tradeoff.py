"""Minimality as a trade-off: what edges of a selection map cost in bits, and what they save, on rows held out.

For a path of edge prices (γ) maps are fitted on the rows of all folds but one and scored on that one; a chunk is in
one fold only. The length of a held-out row is that of its higher codes' residual (a Gaussian per target, fitted on
the rows the map was fitted on, told to a fixed accuracy: see `probes.metrics.description_length`) and its share of
the edges, each log2 of the number of lower latents. An edge is an open gate whose weight exceeds `FLOOR`; weights
below it are set to zero before anything is scored, so that the edges counted are the edges that predict.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from concept_graphs.tradeoff_curve import PairCurve, PricePoint, one_standard_error
from probes.configs import Frozen
from probes.errors import Stopped, WorkbenchError
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.correlation import Correlations
from probes.hierarchy.fit_maps import (
    MapConfig,
    Scaled,
    best_sources,
    eligible,
    fit_block,
    row_blocks,
    scaled,
    typical_sizes,
)
from probes.hierarchy.selection_map import GatedMap, keep_rule
from probes.metrics.description_length import ACCURACY, gaussian_bits
from probes.metrics.intervals import bootstrap
from probes.parts.gates import mean_gates
from probes.training.randomness import permutation

FLOOR = 0.02
Floats = NDArray[np.float64]
Report = Callable[[int, int], None]


class PathConfig(Frozen):
    """Which prices are tried, and on what."""

    prices: tuple[float, ...] = Field(
        default=(0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
        description="Prices of an open gate (γ) to try, as in maps.edge_weight.",
        min_length=2,
        max_length=40,
    )
    folds: int = Field(default=4, description="Folds; each is held out once.", ge=2, le=20)
    rows: int = Field(default=20_000, description="Training rows; shards are read whole, so there may be more.", ge=64)
    targets: int = Field(default=64, description="Most latents of the upper level, drawn at random.", ge=1, le=4096)
    maps: MapConfig = Field(default=MapConfig(), description="How a map is fitted; its price is overwritten.")
    seed: int = Field(default=0, description="Seed of folds, targets and gates.", ge=0)


class Fold(NamedTuple):
    """Bits of one fold under one price: `row` residual bits, edges in all, edges a probe would keep, edge bits."""

    bits: Floats
    edges: int
    kept: int
    edge_bits: float


def price_path(
    codes: PairedCodes,
    names: tuple[str, str],
    config: PathConfig,
    *,
    report: Report = lambda done, of: None,
    stop: Callable[[], bool] = lambda: False,
) -> PairCurve:
    """The curve of one pair of levels. Raises `WorkbenchError` where no latent can be predicted or chunks are too
    few for the folds, `Stopped` when asked to stop."""
    prices = sorted(set(config.prices))
    fold = folds_of(codes.chunk, config.folds, config.seed)
    targets = _targets(codes, config)
    found: list[list[Fold]] = [[] for _ in prices]
    plain, order = [], []
    for held in range(config.folds):
        train, test = fold != held, fold == held
        given = PairedCodes(codes.low[train], codes.high[train], codes.chunk[train])
        low, high = typical_sizes(given.low), typical_sizes(given.high)
        inside = scaled(given, low, high)
        outside = scaled(PairedCodes(codes.low[test], codes.high[test], codes.chunk[test]), low, high)
        candidates = best_sources(given, targets, Correlations(given), config.maps)
        before, after = (part.high[:, targets].toarray() for part in (inside, outside))
        step = math.sqrt(12 * ACCURACY * float(before.var(axis=0).mean())) or 1.0
        plain.append(_bits(before, after, step))
        order.append(codes.chunk[test])
        for at, price in enumerate(prices):
            if stop():
                raise Stopped
            report(held * len(prices) + at, config.folds * len(prices))
            maps = config.maps.model_copy(update={"edge_weight": price})
            found[at].append(_fold(inside, outside, targets, candidates, maps, step, config.seed))
    means = np.array([[float(one.bits.mean()) + one.edge_bits for one in folds] for folds in found])
    chosen, errors = one_standard_error(prices, means)
    chunk = np.concatenate(order)
    return PairCurve(
        lower=names[0],
        upper=names[1],
        targets=len(targets),
        rows=codes.low.shape[0],
        chunks=len(np.unique(chunk)),
        plain=float(np.concatenate(plain).mean()),
        points=[
            _point(price, folds, chunk, float(error)) for price, folds, error in zip(prices, found, errors, strict=True)
        ],
        chosen=prices[chosen],
    )


def folds_of(chunk: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of each row, `row`: all rows of a chunk are in one. Raises `WorkbenchError` for fewer chunks than folds."""
    names, own = np.unique(chunk, return_inverse=True)
    if len(names) < folds:
        raise WorkbenchError(
            "too-few-chunks",
            "The trade-off cannot be measured",
            f"the rows come from {len(names)} chunks and {folds} folds were asked for",
            "Capture more, or ask for fewer folds.",
        )
    place = np.empty(len(names), dtype=np.int64)
    place[permutation(len(names), seed, "folds").numpy()] = np.arange(len(names)) % folds
    return place[own]


def _targets(codes: PairedCodes, config: PathConfig) -> NDArray[np.int64]:
    """Upper latents that fire often enough, so many at random."""
    able = eligible(codes.high, config.maps)
    if not len(able):
        return able
    return np.sort(able[permutation(len(able), config.seed, "targets").numpy()[: config.targets]])


def _fold(
    inside: Scaled,
    outside: Scaled,
    targets: NDArray[np.int64],
    candidates: NDArray[np.int64],
    maps: MapConfig,
    step: float,
    seed: int,
) -> Fold:
    model = fit_block(inside, targets, candidates, maps, seed)
    weights = model.weights()
    gates = mean_gates(model.log_alpha.detach()) * (weights > FLOOR)
    sources = np.unique(candidates)
    before, after = (_residual(model, gates, part, sources, targets) for part in (inside, outside))
    edges = int((weights > FLOOR).sum())
    return Fold(
        _bits(before, after, step),
        edges,
        int(keep_rule(weights).sum()),
        edges * math.log2(max(inside.low.shape[1], 2)) / inside.low.shape[0],
    )


def _residual(
    model: GatedMap, gates: torch.Tensor, codes: Scaled, sources: NDArray[np.int64], targets: NDArray[np.int64]
) -> Floats:
    """What the map leaves of the targets' codes, `row target`."""
    parts = []
    for low, high in row_blocks(codes.low[:, sources], codes.high[:, targets]):
        with torch.no_grad():
            parts.append(high - model.predict(torch.from_numpy(low), gates).numpy())
    return np.concatenate(parts)


def _bits(before: Floats, after: Floats, step: float) -> Floats:
    return gaussian_bits(torch.from_numpy(before), torch.from_numpy(after), step)


def _point(price: float, folds: list[Fold], chunk: NDArray[np.int64], error: float) -> PricePoint:
    edge_bits = float(np.mean([fold.edge_bits for fold in folds]))
    rows = np.concatenate([fold.bits + fold.edge_bits for fold in folds])
    _, own = np.unique(chunk, return_inverse=True)
    chunks = np.stack([np.bincount(own, weights=rows), np.bincount(own).astype(np.float64)], axis=1)
    interval = bootstrap([chunks], lambda some: float(some[:, 0].sum() / some[:, 1].sum()))
    means = [float(fold.bits.mean()) + fold.edge_bits for fold in folds]
    return PricePoint(
        price=price,
        edges=float(np.mean([fold.edges for fold in folds])),
        kept=float(np.mean([fold.kept for fold in folds])),
        bits=interval.value,
        edge_bits=edge_bits,
        low=interval.low,
        high=interval.high,
        folds=means,
        error=error,
    )


def chosen_for_all(curves: list[PairCurve]) -> float:
    """The price the rule takes on the sum of the pairs' bits, fold by fold; all curves have the same prices."""
    prices = [point.price for point in curves[0].points]
    folds = np.sum([[point.folds for point in curve.points] for curve in curves], axis=0)
    return prices[one_standard_error(prices, folds)[0]]
