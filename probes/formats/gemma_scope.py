"""Gemma Scope: `params.npz` with W_enc, W_dec, b_enc, b_dec and threshold; where it reads is in the path alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from probes.formats.files import Source, refused
from probes.formats.format import Format
from probes.formats.hook_names import Place, number_after, worded_place
from probes.formats.npz import array_names, load_npz

if TYPE_CHECKING:
    from probes.formats.imported import Imported

NAMES = frozenset({"W_enc", "W_dec", "b_enc", "b_dec", "threshold"})


def recognises(source: Source) -> bool:
    name = source.only(".npz")
    return name is not None and {_named(key) for key in array_names(source, name)} >= NAMES


def _named(key: str) -> str:
    return key.replace("w_", "W_", 1) if key.startswith("w_") else key


def read(source: Source) -> Imported:
    """The dictionary of one `params.npz`; b_dec is not subtracted from the input."""
    from probes.formats.imported import Imported, checked
    from probes.formats.normalisations import Scale, Unnormalised

    name = source.only(".npz")
    if name is None:
        raise refused(source.name, "it has no single npz archive")
    held = {_named(key): part for key, part in load_npz(source, name).items()}
    where = (source.folder / name).as_posix()
    reads, writes = places_of(where)
    embedding = reads is not None and reads.site == "embedding"
    root = float(held["W_enc"].shape[0]) ** 0.5 if held["W_enc"].ndim == 2 else 1.0
    found = Imported(
        format="gemma_scope",
        rule="jumprelu",
        w_enc=held["W_enc"].T.contiguous(),
        b_enc=held["b_enc"],
        w_dec=held["W_dec"],
        b_dec=held["b_dec"],
        threshold=held["threshold"],
        centre=False,
        # Trained on plain embeddings, read where the model has multiplied them by √d.
        normalisation=Scale(1 / root, 1 / root) if embedding else Unnormalised(),
        transcodes=writes is not None,
        reads=reads,
        writes=writes,
        l0=number_after("average_l0", where),
        hashes=source.hashes(),
    )
    return checked(replace(found, notes=("Its makers fed a beginning-of-text token first.",)), source.name)


def places_of(where: str) -> tuple[Place | None, Place | None]:
    """(reads, writes) told from the folders around a file; writes only for a transcoder."""
    if "embedding" in where:
        return Place(site="embedding"), None
    layer = number_after("layer", where)
    if layer is not None and "transcoder" in where:
        return Place(layer=layer, site="mlp_in_unscaled"), Place(layer=layer, site="mlp_out")
    if layer is not None and "-att" in where:
        return Place(layer=layer, site="attention_heads"), None
    return worded_place(where, layer), None


FORMAT = Format(recognises, read)
