"""The rows of a level at the places of an activation: which are left out, and what each belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from probes.activations.rows import pool_running
from probes.hierarchy.probe import Level
from probes.hooks import Where


@dataclass
class SpanMemory:
    """Running sums of the window in progress, so that cached generation pools as the whole text would."""

    x: Tensor | None = None
    usable: Tensor | None = None
    positions: Tensor | None = None


def level_mask(level: Level, x: Tensor, where: Where) -> Tensor:
    """`batch pos` bool: places no lever touches (special tokens, padding, sinks and outliers)."""
    assert where.positions is not None
    masked = level.record.point.outliers(x.norm(dim=-1), where.positions)
    for part in (where.special, where.padding):
        if part is not None:
            masked = masked | part.to(masked.device)
    return masked


def running_rows(x: Tensor, usable: Tensor, where: Where, span: int, memory: SpanMemory) -> Tensor:
    """The row each token belongs to, as far as it is known at that token (`batch pos d`)."""
    if span == 1:
        return x
    assert where.positions is not None
    fresh = memory.x is None or int(where.positions[0, 0]) == 0 or memory.x.shape[0] != x.shape[0]
    if fresh:
        memory.x, memory.usable, memory.positions = x, usable, where.positions
    else:
        assert memory.x is not None and memory.usable is not None and memory.positions is not None
        memory.x = torch.cat([memory.x, x], dim=1)[:, -(span + x.shape[1]) :]
        memory.usable = torch.cat([memory.usable, usable], dim=1)[:, -(span + x.shape[1]) :]
        memory.positions = torch.cat([memory.positions, where.positions], dim=1)[:, -(span + x.shape[1]) :]
    return pool_running(memory.x, memory.usable, memory.positions, span)[:, -x.shape[1] :]
