"""Which parts of a trajectory a store keeps: the steps of each band, and the cells of each image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from probes.training.randomness import permutation

Grid = tuple[int, int]
Band = tuple[float, float]


def kept_steps(noise: Sequence[float], bands: Sequence[Band], per_band: int) -> list[int]:
    """Steps (numbers into `noise`, which falls) whose noise lies in a band, at most `per_band` of each, evenly
    spread over it."""
    kept: set[int] = set()
    for low, high in bands:
        inside = [step for step, level in enumerate(noise) if low <= level <= high]
        most = min(per_band, len(inside))
        kept |= {inside[(2 * at + 1) * len(inside) // (2 * most)] for at in range(most)}
    return sorted(kept)


def region_of(cells: Tensor, grid: Grid, regions: Grid) -> Tensor:
    """The region (of a coarser grid, row by row) that each cell of `grid` lies in; the shape of `cells`."""
    row, column = cells // grid[1], cells % grid[1]
    return (row * regions[0] // grid[0]) * regions[1] + column * regions[1] // grid[1]


def sampled_cells(grid: Grid, coarsest: Grid, most: int, seed: int, image: int) -> Tensor:
    """At most `most` cells of a grid, ascending, drawn anew for every image and the same at all its steps.

    Whole regions of the coarsest grid are drawn, in one order for all grids, so that cells of different
    points and bands of an image lie in the same places and can be paired.
    """
    cells = torch.arange(grid[0] * grid[1])
    if len(cells) <= most:
        return cells
    rank = permutation(coarsest[0] * coarsest[1], seed, "cells", image).argsort()
    return cells[rank[region_of(cells, grid, coarsest)].argsort(stable=True)[:most]].sort().values
