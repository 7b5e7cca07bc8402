"""Operations: what to do to codes. Each returns the *change* of codes at strength 1.

The caller multiplies by strength and weight, so strength 0 changes nothing for every operation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from probes.latents import Codes, LatentTable


@dataclass(frozen=True)
class Params:
    """What some operations need besides the codes.

    `level` is in typical activations (set: the value reached; cap: the highest value left).
    `target` is the latent a swap writes to. `donor` holds the codes of a donor run, row by row.
    """

    level: float = 1.0
    target: int | None = None
    donor: Codes | None = None


def add(z: Codes, table: LatentTable, params: Params) -> Codes:
    """One typical activation of each latent, whatever is there."""
    return Codes(z.index, table.typical.to(z.value)[z.index], z.n_latents)


def scale(z: Codes, table: LatentTable, params: Params) -> Codes:
    """The codes themselves: strength −1 removes the latent (ablation), 1 doubles it."""
    return z


def set_to(z: Codes, table: LatentTable, params: Params) -> Codes:
    """From what is there to `level` typical activations (a clamp)."""
    return Codes(z.index, params.level * table.typical.to(z.value)[z.index] - z.value, z.n_latents)


def cap(z: Codes, table: LatentTable, params: Params) -> Codes:
    """Down to `level` typical activations where the latent is higher, nothing elsewhere."""
    limit = params.level * table.typical.to(z.value)[z.index]
    return Codes(z.index, torch.minimum(z.value, limit) - z.value, z.n_latents)


def project(z: Codes, table: LatentTable, params: Params) -> Codes:
    """Minus the signed projection, so that nothing of the direction is left.

    Registered as reading projections: the codes it is given come from unit directions.
    """
    return z.scaled(-1.0)


def swap(z: Codes, table: LatentTable, params: Params) -> Codes:
    """Move each latent's activation to the `target` latent, in units of what is typical for each."""
    if params.target is None:
        raise ValueError("a swap needs a target latent")
    typical = table.typical.to(z.value)
    moved = (z.value * (typical[params.target] / typical[z.index].clamp_min(1e-8))).sum(dim=-1, keepdim=True)
    return Codes(
        torch.cat([z.index, torch.full_like(z.index[..., :1], params.target)], dim=-1),
        torch.cat([-z.value, moved], dim=-1),
        z.n_latents,
    )


def patch(z: Codes, table: LatentTable, params: Params) -> Codes:
    """From what is there to what the donor run had at the same place."""
    if params.donor is None:
        raise ValueError("a patch needs the codes of a donor run")
    return Codes(z.index, params.donor.value - z.value, z.n_latents)
