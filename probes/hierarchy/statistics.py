"""Statistics per latent, streamed over a store: how often, how strong, how distributed, how widely spread;
and what training remembers of each latent's life."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from probes.activations.store import ActivationStore, Split
from probes.hierarchy.codes import encoded
from probes.hierarchy.measured import HISTOGRAM_BINS, NOISE_BINS, QUANTILES
from probes.hierarchy.probe import Level

TYPICAL_QUANTILE = 0.95


def latent_statistics(
    store: ActivationStore,
    split: Split,
    level: Level,
    *,
    max_rows: int = 400_000,
    report: Callable[[int], None] = lambda read: None,
) -> dict[str, Tensor]:
    """Per latent (`n_latents`): frequency, mean_active, typical (95 % quantile of active values), largest,
    spread and spread_floor; `quantiles` `n_latents quantile` of its active values at `QUANTILES`; and
    `histogram` `n_latents bin`, how many of them lie in each of equal bins from 0 to the latent's largest.

    Spread is the participation ratio (Σa)² / (P Σa²) of a latent's activations over the P usable rows of
    a chunk, averaged over the chunks where it is active; its floor is 1/P, a latent active in one row.
    `report` is told how many shards were read.
    """
    n = level.space.n_latents
    values: list[np.ndarray] = []
    indices: list[np.ndarray] = []
    rows, sums = 0, np.zeros((3, n))  # chunks where active, Σ spread, Σ floor
    for read, shard in enumerate(encoded(store, split, level, max_rows=max_rows), 1):
        report(read)
        rows += int(shard.usable.sum())
        active = shard.codes.active
        indices.append(shard.codes.index[active].numpy())
        values.append(shard.codes.value[active].numpy())
        sums += _spread_sums(shard.codes.index, shard.codes.value, shard.usable, n)
    index, value = np.concatenate(indices), np.concatenate(values)
    count = np.bincount(index, minlength=n)
    total = np.bincount(index, weights=value, minlength=n)
    chunks = np.maximum(sums[0], 1)
    levels = _quantiles(index, value, count, (TYPICAL_QUANTILE, 1.0, *QUANTILES))
    found = {
        "frequency": count / max(rows, 1),
        "mean_active": total / np.maximum(count, 1),
        "typical": levels[:, 0],
        "largest": levels[:, 1],
        "quantiles": levels[:, 2:],
        "histogram": _histogram(index, value, levels[:, 1]),
        "spread": sums[1] / chunks,
        "spread_floor": sums[2] / chunks,
    }
    return {name: torch.from_numpy(np.asarray(part, dtype=np.float32)) for name, part in found.items()}


def noise_profile(store: ActivationStore, split: Split, level: Level, *, max_rows: int = 400_000) -> Tensor:
    """`n_latents bin`: mean activation over the rows at noise of each of equal bins from 0 to 1, −1 where the
    level has no rows."""
    total, rows = torch.zeros(NOISE_BINS, level.space.n_latents), torch.zeros(NOISE_BINS)
    for shard in encoded(store, split, level, max_rows=max_rows):
        noise = store.read(shard.shard, "noise")[0]
        place = (noise * NOISE_BINS).long().clamp(0, NOISE_BINS - 1)
        rows.index_add_(0, place, shard.usable.sum(dim=1).float())
        key = place[:, None, None] * level.space.n_latents + shard.codes.index
        total.view(-1).index_add_(0, key.flatten(), shard.codes.value.flatten())
    return torch.where(rows[:, None] > 0, total / rows[:, None].clamp_min(1), -1.0).T.contiguous()


def training_history(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the trainer's counters say of each latent (`n_latents`): `silent`, the training rows since it
    last fired, and `revived`, how many times it fired again after it had been dead."""
    return {"silent": state["since_fired"].float(), "revived": state["revived"].float()}


def _quantiles(index: np.ndarray, value: np.ndarray, count: np.ndarray, at: tuple[float, ...]) -> np.ndarray:
    """`n at`: order statistics (the lower of two) of each latent's values; 0 where it has none."""
    order = np.lexsort((value, index))
    first = count.cumsum() - count
    places = first[:, None] + np.floor(np.asarray(at) * np.maximum(count - 1, 0)[:, None]).astype(int)
    ordered = np.append(value[order], 0.0)
    return np.where(count[:, None] > 0, ordered[np.minimum(places, len(ordered) - 1)], 0.0)


def _histogram(index: np.ndarray, value: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """`n bin` counts; bin b of a latent holds values from b to b + 1 sixteenths of its largest."""
    share = value / np.maximum(largest[index], np.finfo(np.float32).tiny)
    place = np.clip((share * HISTOGRAM_BINS).astype(int), 0, HISTOGRAM_BINS - 1)
    n = len(largest)
    return np.bincount(index * HISTOGRAM_BINS + place, minlength=n * HISTOGRAM_BINS).reshape(n, HISTOGRAM_BINS)


def _spread_sums(index: Tensor, value: Tensor, usable: Tensor, n: int) -> np.ndarray:
    """(chunks where active, Σ participation ratio, Σ floor) per latent over the chunks of one shard."""
    chunks = value.shape[0]
    key = (torch.arange(chunks)[:, None, None] * n + index).reshape(-1)
    size = chunks * n
    flat = value.reshape(-1).double()
    total = torch.zeros(size, dtype=torch.float64).scatter_add_(0, key, flat).reshape(chunks, n)
    square = torch.zeros(size, dtype=torch.float64).scatter_add_(0, key, flat.square()).reshape(chunks, n)
    places = usable.sum(dim=1).clamp_min(1).double()[:, None]
    active = total > 0
    ratio = torch.where(active, total.square() / (places * square.clamp_min(1e-30)), 0.0)
    floor = torch.where(active, 1 / places.expand_as(total), 0.0)
    return torch.stack([active.sum(dim=0).double(), ratio.sum(dim=0), floor.sum(dim=0)]).numpy()
