"""Where a file says it reads: the names tools give to places in a model, as one structure. No torch.

TransformerLens names places by block number and site (`blocks.5.hook_resid_post`); transformers and sparsify
by module path (`layers.5.mlp`, `model.layers.5.output`). A site is found in a subject by looking
(`probes/formats/points.py`), not by knowing its family.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from probes.addresses import Tap
from probes.configs import Frozen

Site = Literal[
    "block_in",
    "block_out",
    "middle",
    "attention_out",
    "attention_heads",
    "mlp_in",
    "mlp_in_unscaled",
    "mlp_out",
    "embedding",
]
# TransformerLens' name of a site, without its block. `hook_mlp_in` copies the stream before the norm.
SITES: dict[str, Site] = {
    "hook_resid_pre": "block_in",
    "hook_resid_post": "block_out",
    "hook_resid_mid": "middle",
    "hook_mlp_in": "middle",
    "hook_attn_out": "attention_out",
    "attn.hook_z": "attention_heads",
    "mlp.hook_in": "mlp_in",
    "ln2.hook_normalized": "mlp_in_unscaled",
    "hook_mlp_out": "mlp_out",
    "mlp.hook_out": "mlp_out",
}
# Words in folder and submodule names, the more particular first.
WORDS: tuple[tuple[str, Site], ...] = (
    (r"resid[_-]?pre", "block_in"),
    (r"resid[_-]?(delta|mid)[_-]?mlp|delta[_-]?mlp", "mlp_out"),
    (r"resid[_-]?delta[_-]?attn|delta[_-]?attn", "attention_out"),
    (r"resid[_-]?post[_-]?attn|resid[_-]?mid", "middle"),
    (r"resid[_-]?post|(^|[-_/])res($|[-_/])", "block_out"),
    (r"mlp[_-]?out|(^|[-_/])mlp($|[-_/])", "mlp_out"),
    (r"attn[_-]?out|attention[_-]?out", "attention_out"),
)


class Place(Frozen):
    """A place in a model: a site of a block, or a module path with a tap."""

    layer: int | None = Field(default=None, ge=0, le=10_000, description="Block number.")
    site: Site | None = Field(default=None, description="Which place of the block.")
    path: str = Field(default="", description="A module path, where the file gives one.")
    tap: Tap = Field(default="out", description="Input, output or update of that module.")

    def __str__(self) -> str:
        if self.path:
            return f"{self.path}:{self.tap}"
        return (self.site or "").replace("_", " ") + (f" of block {self.layer}" if self.layer is not None else "")


def lens_place(name: str | None, layer: int | None = None) -> Place | None:
    """A TransformerLens name, such as `blocks.5.hook_resid_post`, or `hook_mlp_out` of a given block."""
    if not name:
        return None
    if name == "hook_embed":
        return Place(site="embedding")
    match = re.fullmatch(r"(?:blocks\.(\d{1,4})\.)?([\w.]+)", name.strip())
    if match is None or match[2] not in SITES:
        return None
    number = int(match[1]) if match[1] else layer
    return None if number is None else Place(layer=number, site=SITES[match[2]])


def module_place(name: str | None, tap: Tap = "out") -> Place | None:
    """A module path, such as `layers.5.mlp`; `.input` and `.output` at its end name the tap."""
    if not name:
        return None
    path, _, end = name.strip().rpartition(".")
    if end in {"input", "output"}:
        name, tap = path, "in" if end == "input" else "out"
    return Place(path=name, tap=tap) if re.fullmatch(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", name) else None


def worded_place(text: str, layer: int | None) -> Place | None:
    """The site a folder or submodule name speaks of, such as `resid_post_layer_8` or `gemma-scope-2b-pt-mlp`."""
    if layer is None:
        layer = number_after("layer", text)
    site = next((site for pattern, site in WORDS if re.search(pattern, text)), None)
    return None if site is None or layer is None else Place(layer=layer, site=site)


def number_after(word: str, text: str) -> int | None:
    """The number that follows a word in a path: `layer_20/width_16k` has 20 after `layer`."""
    match = re.search(rf"{word}[_./-]?(\d{{1,5}})", text)
    return int(match[1]) if match else None
