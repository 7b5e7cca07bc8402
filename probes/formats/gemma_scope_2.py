"""Gemma Scope 2: safetensors with lower-case names, an optional affine skip, an optional `config.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.formats.files import Source, refused
from probes.formats.format import Format
from probes.formats.hook_names import Place, module_place, number_after, worded_place

if TYPE_CHECKING:
    from probes.formats.imported import Imported

NAMES = ("w_enc", "w_dec", "b_enc", "b_dec", "threshold", "affine_skip_connection")


def recognises(source: Source) -> bool:
    name = source.only(".safetensors")
    return name is not None and source.keys(name) >= set(NAMES[:5])


def read(source: Source) -> Imported:
    """The dictionary of one file. The skip is stored `d_in d_out`; a decoder for many layers is refused."""
    from probes.formats.imported import Imported, checked

    name = source.only(".safetensors")
    if name is None:
        raise refused(source.name, "it has no single safetensors file")
    if len(source.header(name)["w_dec"].get("shape", ())) == 3:
        raise refused(
            source.name,
            "each of its latents writes at several layers, and a dictionary writes at one",
            "Choose the transcoder of one layer.",
        )
    held = source.tensors(name, NAMES)
    config = source.json("config.json") if source.has("config.json") else {}
    if config.get("architecture", "jump_relu") != "jump_relu":
        raise refused(source.name, f"its architecture is {str(config['architecture'])[:40]!r}, not jump_relu")
    where = (source.folder / name).as_posix()
    reads, writes = _places(config, where)
    skip = held.get("affine_skip_connection")
    found = Imported(
        format="gemma_scope_2",
        rule="jumprelu",
        w_enc=held["w_enc"].T.contiguous(),
        b_enc=held["b_enc"],
        w_dec=held["w_dec"],
        b_dec=held["b_dec"],
        threshold=held["threshold"],
        centre=False,
        skip=None if skip is None else skip.T.contiguous(),
        transcodes=writes is not None,
        reads=reads,
        writes=writes,
        model=str(config.get("model_name", ""))[:200],
        l0=_number(config.get("l0")),
        hashes=source.hashes(),
        notes=("Its makers fed a beginning-of-text token first.",),
    )
    return checked(found, source.name)


def _places(config: dict[str, object], where: str) -> tuple[Place | None, Place | None]:
    """From the config's own module paths, else from the folders around the file."""
    said = [config.get(f"hf_hook_point_{end}") for end in ("in", "out")]
    reads, writes = (module_place(name if isinstance(name, str) else None) for name in said)
    if reads is not None:
        return reads, writes if writes != reads else None
    layer = number_after("layer", where)
    if layer is not None and "transcoder" in where:
        return Place(layer=layer, site="mlp_in"), Place(layer=layer, site="mlp_out")
    if layer is not None and "attn_out" in where:
        return Place(layer=layer, site="attention_heads"), None
    return worded_place(where, layer), None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


FORMAT = Format(recognises, read)
