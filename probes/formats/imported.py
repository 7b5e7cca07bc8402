"""The one structure every format is read into, its checks, and the one way from it to a `Dictionary`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from probes.addresses import HookPoint
from probes.autoencoders.dictionary import Dictionary, unknown_table
from probes.formats.files import refused
from probes.formats.hook_names import Place
from probes.formats.normalisations import MeanNorm, Normalisation, RowNorm, Unnormalised

Rule = Literal["relu", "topk", "jumprelu", "gated"]
WIDEST = 2**24


@dataclass(frozen=True)
class Imported:
    """A dictionary as its file holds it, weights laid out our way: encoder rows `n d_in`, decoder rows `n d_out`.

    rule: which latents are on. `relu`: pre > 0; `topk`: the `k` largest, then pre > `floor`; `jumprelu`: pre >
    `threshold` (`n` or scalar); `gated`: pre > 0, the value exp(`r_mag`) · (pre − b_enc) + `b_mag` where positive.
    floor: what a value must exceed besides; 0 is a ReLU, −inf none.
    centre: b_dec is subtracted from the input. by_norm: the rule looks at pre · ‖decoder row‖, and codes are
    in that unit. skip: `d_out d_in`. code_scale: `n`, factors of the codes inside the decoder only.
    normalisation: what the file's weights expect to be done to the input (and undone to the output).
    reads, writes: where, as far as the file says it. l0: active latents per row its makers state.
    """

    format: str
    rule: Rule
    w_enc: Tensor
    b_enc: Tensor
    w_dec: Tensor
    b_dec: Tensor
    threshold: Tensor | None = None
    k: int | None = None
    floor: float = 0.0
    centre: bool = True
    by_norm: bool = False
    r_mag: Tensor | None = None
    b_mag: Tensor | None = None
    skip: Tensor | None = None
    code_scale: Tensor | None = None
    normalisation: Normalisation = field(default_factory=Unnormalised)
    transcodes: bool = False
    reads: Place | None = None
    writes: Place | None = None
    model: str = ""
    l0: float | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def n_latents(self) -> int:
        return self.w_enc.shape[0]

    @property
    def layer(self) -> int | None:
        """The block it reads at, where the file says it."""
        return None if self.reads is None else self.reads.layer


def checked(found: Imported, name: str) -> Imported:
    """The same, once all shapes belong together and the rule has what it needs; else one `WorkbenchError`
    that lists everything that does not fit."""
    if found.w_enc.ndim != 2 or found.w_dec.ndim != 2:
        shapes = f"encoder {tuple(found.w_enc.shape)}, decoder {tuple(found.w_dec.shape)}"
        raise refused(name, f"its weights are no matrices ({shapes})")
    n, d_in = found.w_enc.shape
    d_out = found.w_dec.shape[1]
    wanted: dict[str, tuple[tuple[int, ...], ...]] = {
        "w_dec": ((n, d_out),),
        "b_enc": ((n,),),
        "b_dec": ((d_out,),),
        "threshold": ((n,), ()),
        "r_mag": ((n,),),
        "b_mag": ((n,),),
        "code_scale": ((n,),),
        "skip": ((d_out, d_in),),
    }
    wrong = [
        f"{part} {tuple(held.shape)} instead of {' or '.join(map(str, shapes))}"
        for part, shapes in wanted.items()
        if (held := getattr(found, part)) is not None and tuple(held.shape) not in shapes
    ]
    if not 0 < n <= WIDEST or not 0 < d_in <= WIDEST:
        wrong.append(f"{n} latents of {d_in} dimensions")
    if found.rule == "topk" and not (found.k and 0 < found.k <= n):
        wrong.append(f"k = {found.k} of {n} latents")
    if found.rule == "jumprelu" and found.threshold is None:
        wrong.append("no threshold")
    if found.rule == "gated" and (found.r_mag is None or found.b_mag is None):
        wrong.append("no magnitude of its gates")
    if found.centre and d_in != d_out:
        wrong.append(f"a decoder bias of {d_out} dimensions to subtract from {d_in}")
    if wrong:
        raise refused(name, f"its parts do not fit {n} latents of {d_in} dimensions: {'; '.join(wrong)}")
    return replace(found, normalisation=found.normalisation.checked(d_in, d_out, name))


def dictionary_of(
    found: Imported,
    prefix: str,
    point: HookPoint | None = None,
    writes: HookPoint | None = None,
    *,
    mean_norm: float | None = None,
) -> Dictionary:
    """The dictionary that acts on raw activations, every scale and normalisation folded exactly.

    `mean_norm` is the mean norm of the activations at the point, needed only where the file leaves its
    scale to whoever loads it (`found.normalisation.needs_mean_norm`). Raises `WorkbenchError` for what a
    `Dictionary` cannot represent.
    """
    given = found.normalisation
    if isinstance(given, MeanNorm):
        if mean_norm is None:
            raise refused(
                found.format,
                "it expects activations scaled by their mean norm, which its files do not hold",
                "Import it with a store, on which that norm is measured.",
            )
        given = given.measured(mean_norm)
    if isinstance(given, RowNorm) and (found.transcodes or found.skip is not None):
        raise refused(
            found.format,
            "it standardises each row it reads, and writes somewhere else",
            "Such transcoders are not supported.",
        )
    ready = given.folded(_unit_rule(found))
    row_norm = given.epsilon if isinstance(given, RowNorm) else None
    gated = ready.rule == "gated"
    return Dictionary(
        ready.w_enc,
        ready.b_enc,
        ready.w_dec,
        ready.b_dec,
        _threshold(ready),
        ready.k if ready.rule == "topk" else None,
        unknown_table(ready.n_latents, prefix),
        point,
        writes,
        centre=ready.centre,
        gain=ready.r_mag.exp() if gated and ready.r_mag is not None else None,
        magnitude_bias=ready.b_mag if gated else None,
        skip=ready.skip,
        row_norm=row_norm,
    )


def _threshold(found: Imported) -> Tensor:
    """What a pre-activation must exceed, float32. A file's own threshold stands above the ReLU's zero."""
    if found.rule == "jumprelu" and found.threshold is not None:
        return found.threshold.float().clamp_min(max(found.floor, -torch.finfo(torch.float32).max))
    lowest = -torch.finfo(torch.float32).max
    return torch.tensor(max(found.floor, lowest) if math.isfinite(found.floor) else lowest)


def _unit_rule(found: Imported) -> Imported:
    """Decoder norms folded where the rule looks through them, and factors of codes moved to the decoder."""
    if found.by_norm:
        norm = found.w_dec.norm(dim=1).clamp_min(1e-8)
        found = replace(
            found,
            w_enc=found.w_enc * norm[:, None],
            b_enc=found.b_enc * norm,
            w_dec=found.w_dec / norm[:, None],
            by_norm=False,
        )
    if found.code_scale is not None:
        found = replace(found, w_dec=found.w_dec * found.code_scale[:, None], code_scale=None)
    return found
