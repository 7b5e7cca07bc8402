"""Donor runs of a patch: what the lever's latents read elsewhere, at the places at hand.

In text the donor is another text, matched position by position. In pictures it is another prompt with the
same seed, schedule and size, matched cell by cell at the same moment of the trajectory.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from probes.errors import WorkbenchError
from probes.hierarchy.probe import Level
from probes.hooks import HookPoint, Where, hooked
from probes.latents import Codes
from probes.subjects.image_inputs import ImageInputs
from probes.subjects.subject import Subject
from probes.subjects.text_autoregressive import TextAutoregressive
from steering.levers import Lever
from steering.places import SpanMemory, level_mask, running_rows

Donor = Callable[[Codes, Where], Codes]


def donor_of(lever: Lever, level: Level, subject: Subject, inputs: ImageInputs | None) -> Donor:
    """Run the lever's donor once; what is returned gives its codes where the lever acts.

    Raises `WorkbenchError` for an empty donor, and for a subject that can run none.
    """
    if inputs is not None:
        return _prompt_donor(lever, level, subject, inputs)
    if not isinstance(subject, TextAutoregressive):
        raise WorkbenchError(
            "no-donor", "A patch copies from a donor text", f"{subject.name} reads no text", "Use another operation."
        )
    return _text_donor(lever, level, subject)


def _text_donor(lever: Lever, level: Level, subject: TextAutoregressive) -> Donor:
    ids = subject.tokenizer(lever.params.donor, return_tensors="pt").input_ids
    if ids.shape[1] == 0:
        raise WorkbenchError("bad-lever", "A patch needs a donor text", "it is empty", "Write a donor text.")

    def read(x: Tensor, where: Where) -> Codes:
        masked = level_mask(level, x.float(), where)
        rows = running_rows(x.float(), ~masked, where, level.rows.span, SpanMemory())
        return level.space.encode(rows, list(lever.weights))

    point: HookPoint = level.point
    with hooked(subject, {point: read}, stop=True) as tape:
        subject.run(ids)
    codes: Codes = tape.last(point)

    def aligned(z: Codes, where: Where) -> Codes:
        """The donor's codes at the same absolute positions; past its end, what is there (no change)."""
        assert where.positions is not None
        length = codes.value.shape[1]
        value = codes.value[0][where.positions.clamp_max(length - 1)]
        inside = (where.positions < length)[..., None]
        return Codes(z.index, torch.where(inside, value, z.value), z.n_latents)

    return aligned


def _prompt_donor(lever: Lever, level: Level, subject: Subject, inputs: ImageInputs) -> Donor:
    if not lever.params.donor.strip():
        raise WorkbenchError("bad-lever", "A patch needs a donor prompt", "it is empty", "Write a donor prompt.")
    point: HookPoint = level.point
    codes: dict[int, Tensor] = {}

    def read(x: Tensor, where: Where) -> None:
        codes[where.call] = level.space.encode(x.float(), list(lever.weights)).value

    with hooked(subject, {point: read}):
        subject.run(inputs.model_copy(update={"prompts": (lever.params.donor,)}))

    def aligned(z: Codes, where: Where) -> Codes:
        """The donor's codes in the same call of the same schedule."""
        found = codes.get(where.call)
        return z if found is None or found.shape != z.value.shape else Codes(z.index, found, z.n_latents)

    return aligned
