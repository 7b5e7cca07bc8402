"""Levers on the latents of a representation: a held-out row decoded as it is, with them, and at random."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from probes.addresses import Selector
from probes.artefacts import MANIFEST, resolve
from probes.errors import WorkbenchError
from probes.files import sha256_of
from probes.latents import Codes, LatentTable
from probes.operations import Params
from probes.representations.artefact import Representation, open_representation
from probes.representations.space import RepresentationSpace
from probes.training.randomness import generator
from steering.levers import Lever
from steering.registry import OPERATIONS
from steering.row_comparison import ROW_OPERATIONS, DecodedRow, RowComparison, RowLever

CONTROLS = 20
CONTROL = "random direction of latents, as long"
LEVEL = "latents"


def compare_row(
    ref: str, levers: Sequence[Lever], row: int, *, seed: int = 0, controls: bool = True, names_only: bool = False
) -> RowComparison:
    """Decode a held-out row with and without levers.

    A random direction is as long as what the levers do, in standard deviations of the latents. Raises `WorkbenchError`
    for a row that is not there, a representation without a decoder, and levers that mean nothing for it.
    """
    found = opened_representation(ref, names_only=names_only)
    space = found.space
    codes = torch.from_numpy(found.opened.codes).float()
    if not 0 <= row < len(codes):
        raise WorkbenchError(
            "no-row",
            f"There is no held-out row {row}",
            f"the representation {ref} has rows 0 to {len(codes) - 1}",
            "Choose one of these.",
        )
    around = space.around(codes[row])
    changes = [_change(lever, codes[row], space.table, ref) for lever in levers]
    dz = torch.stack(changes).sum(dim=0) if changes else torch.zeros_like(codes[row])
    plain = around.decoded()
    steered = plain + _written(around, dz)
    others = [plain + _written(around, other) for other in _as_long(dz, space.table, seed)] if controls else []
    typical = space.table.typical.clamp_min(1e-12)
    picture = found.opened.model.spec.picture
    return RowComparison(
        representation=ref,
        row=row,
        seed=seed,
        shape=list(found.opened.model.spec.shape),
        picture=picture,
        seen=_described("seen", _as_numbers(found, row), None, picture),
        unsteered=_described("unsteered", plain, None, picture),
        steered=_described("steered", steered, plain, picture),
        control=_described(CONTROL, others[0], plain, picture) if others else None,
        chance=[_rmse(other, plain) for other in others],
        levers=[
            RowLever(
                lever=lever,
                moved={int(at): float(change[at] / typical[at]) for at in change.nonzero().flatten()},
            )
            for lever, change in zip(levers, changes, strict=True)
        ],
        notices=[f"Lever {at + 1} moved nothing." for at, change in enumerate(changes) if not change.any()],
    )


def opened_representation(ref: str, *, names_only: bool = False) -> Representation:
    """A representation, opened once while it stays the same: a slider must not wait for the disk each time."""
    folder = resolve(ref, "representation", names_only=names_only)
    manifest = folder / MANIFEST
    return _opened(ref, names_only, sha256_of(manifest) if manifest.is_file() else "")


@lru_cache(maxsize=2)
def _opened(ref: str, names_only: bool, hashed: str) -> Representation:
    return open_representation(ref, names_only=names_only)


def _change(lever: Lever, z: Tensor, table: LatentTable, ref: str) -> Tensor:
    """What a lever does to the latents `latent` of a row."""
    _refuse(lever, len(table), ref)
    operation = OPERATIONS.load(lever.operation)
    params = Params(level=lever.params.level, target=lever.params.target)
    dz = torch.zeros_like(z)
    for latent, weight in lever.weights.items():
        one = Codes(torch.tensor([latent]), z[latent : latent + 1], len(table))
        dz += lever.strength * weight * operation(one, table, params).dense()
    return dz


def _refuse(lever: Lever, latents: int, ref: str) -> None:
    for wrong, why, how in (
        (lever.level != LEVEL, f"it has no level {lever.level!r}", f"Use its level, {LEVEL}."),
        (
            max(lever.weights) >= latents,
            f"it has no latent {max(lever.weights)}",
            f"Choose one of {LEVEL}/0 to {LEVEL}/{latents - 1}.",
        ),
        (
            lever.operation not in ROW_OPERATIONS,
            f"operation {lever.operation} is none for latents that are never off",
            f"Use one of {', '.join(ROW_OPERATIONS)}.",
        ),
        (
            lever.operation == "swap" and not (lever.params.target is not None and lever.params.target < latents),
            "a swap needs a target among its latents",
            "Name one with --target.",
        ),
        (
            lever.selector != Selector() or lever.limit is not None,
            "a row has no places, no noise and no activation that where and limit could mean",
            "Leave them out.",
        ),
    ):
        if wrong:
            raise WorkbenchError("bad-lever", f"The lever cannot act on the representation {ref}", why, how)


def _written(around: RepresentationSpace, dz: Tensor) -> Tensor:
    return around.change(Codes(torch.arange(len(dz)), dz, len(dz)))


def _as_long(dz: Tensor, table: LatentTable, seed: int) -> list[Tensor]:
    """Random changes of codes as long as `dz`, `latent`, in standard deviations; none where it is nothing."""
    typical = table.typical
    length = (dz / typical.clamp_min(1e-12)).norm()
    if length == 0:
        return []
    drawn = torch.randn(CONTROLS, len(dz), generator=generator(seed, "random directions", 0)) * (typical > 0)
    return list(drawn / drawn.norm(dim=1, keepdim=True).clamp_min(1e-12) * length * typical)


def _as_numbers(found: Representation, row: int) -> Tensor:
    x = torch.from_numpy(found.opened.seen([row])[0])
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def _described(name: str, x: Tensor, plain: Tensor | None, picture: bool) -> DecodedRow:
    shown = x.clamp(0, 1) if picture else x
    return DecodedRow(name=name, x=shown.flatten().tolist(), rmse=None if plain is None else _rmse(x, plain))


def _rmse(x: Tensor, plain: Tensor) -> float:
    return float((x - plain).square().mean().sqrt())
