"""OpenAI's sparse_autoencoder: one `.pt` with pre_bias, latent_bias and the name of its activation.

An activation of class TopK means that rows are standardised first; a ReLU means that they are not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from probes.formats.files import Source, refused
from probes.formats.format import Format
from probes.formats.hook_names import worded_place
from probes.formats.pickled import load_torch, names_in

if TYPE_CHECKING:
    from probes.formats.imported import Imported

NAMES = frozenset({"pre_bias", "latent_bias", "encoder.weight", "decoder.weight"})


def recognises(source: Source) -> bool:
    name = source.only(".pt")
    return name is not None and names_in(source.folder / name) >= NAMES


def read(source: Source) -> Imported:
    """The dictionary of one file. Raises `WorkbenchError` for an activation we do not have."""
    from probes.formats.imported import Imported, checked
    from probes.formats.normalisations import RowNorm, Unnormalised

    name = source.only(".pt")
    if name is None:
        raise refused(source.name, "it has no single .pt file")
    held = load_torch(source, name)
    if missing := NAMES - held.keys():
        raise refused(source.name, f"it lacks {', '.join(sorted(missing))}")
    activation = str(held.get("activation", "ReLU"))
    if activation not in ("TopK", "ReLU"):
        raise refused(source.name, f"its activation {activation[:40]!r} leaves codes dense or is not known")
    k, floor = _selection(source, held) if activation == "TopK" else (None, 0.0)
    stem = (source.folder / name).with_suffix("")
    layer = int(stem.name) if re.fullmatch(r"\d{1,4}", stem.name) else None
    return checked(
        Imported(
            format="openai",
            rule="topk" if activation == "TopK" else "relu",
            w_enc=held["encoder.weight"],
            b_enc=held["latent_bias"],
            w_dec=held["decoder.weight"].T.contiguous(),
            b_dec=held["pre_bias"],
            k=k,
            floor=floor,
            normalisation=RowNorm(1e-5) if activation == "TopK" else Unnormalised(),
            reads=worded_place(stem.as_posix(), layer),
            l0=None if k is None else float(k),
            hashes=source.hashes(),
        ),
        source.name,
    )


def _selection(source: Source, held: dict[str, Any]) -> tuple[int, float]:
    """(k, what a kept value must exceed): a ReLU after the selection, or nothing."""
    state = held.get("activation_state_dict")
    if not isinstance(state, dict) or "k" not in state:
        raise refused(source.name, "it does not say how many latents are kept")
    after = str(state.get("postact_fn", "ReLU"))
    if after not in ("ReLU", "Identity"):
        raise refused(source.name, f"what it does to kept values, {after[:40]!r}, is not known")
    return int(state["k"]), 0.0 if after == "ReLU" else float("-inf")


FORMAT = Format(recognises, read)
