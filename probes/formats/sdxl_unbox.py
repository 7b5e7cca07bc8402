"""sdxl-unbox: `config.json` with n_dirs_local and `state_dict.pth`, for the update a block of a diffusion model makes.

It keeps the k largest values and then takes their positive part. `mean.pt` and `std.pt`, where they lie
beside, are statistics of each latent's code, by which its tools scale a strength; no input is normalised.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from probes.configs import validated
from probes.formats.files import Source, refused
from probes.formats.format import Format
from probes.formats.hook_names import Place, module_place
from probes.formats.pickled import load_tensor, load_torch

if TYPE_CHECKING:
    from probes.formats.imported import Imported

CONFIG, WEIGHTS = "config.json", "state_dict.pth"
NAMES = frozenset({"pre_bias", "latent_bias", "encoder.weight", "decoder.weight"})


class Config(BaseModel):
    """`config.json`."""

    model_config = ConfigDict(extra="ignore")

    n_dirs_local: int = Field(ge=1, le=2**24)
    d_model: int = Field(ge=1, le=2**20)
    k: int = Field(ge=1, le=2**20)


def recognises(source: Source) -> bool:
    return source.has(CONFIG, WEIGHTS) and "n_dirs_local" in source.json(CONFIG)


def read(source: Source) -> Imported:
    """The dictionary of the folder. Rows are channels last: one cell of the block's update."""
    from probes.formats.imported import Imported, checked

    config = validated(Config, source.json(CONFIG), what=f"{CONFIG} of {source.name}")
    held = load_torch(source, WEIGHTS)
    held = held["state_dict"] if isinstance(held.get("state_dict"), dict) else held
    if missing := NAMES - held.keys():
        raise refused(source.name, f"{WEIGHTS} lacks {', '.join(sorted(missing))}")
    if tuple(held["encoder.weight"].shape) != (config.n_dirs_local, config.d_model):
        raise refused(source.name, f"{CONFIG} says {config.n_dirs_local} latents, the encoder is another size")
    return checked(
        Imported(
            format="sdxl_unbox",
            rule="topk",
            w_enc=held["encoder.weight"],
            b_enc=held["latent_bias"],
            w_dec=held["decoder.weight"].T.contiguous(),
            b_dec=held["pre_bias"],
            k=config.k,
            reads=_place(source),
            l0=float(config.k),
            hashes=source.hashes(),
            notes=_statistics(source, config.n_dirs_local),
        ),
        source.name,
    )


def _place(source: Source) -> Place | None:
    """`unet.down_blocks.2.attentions.1_k10_hidden5120_…` in the path: the update of that block."""
    match = re.search(r"(unet\.\w+(?:\.\w+)*?)_k\d+_", source.folder.as_posix())
    return module_place(match[1], "update") if match else None


def _statistics(source: Source, n: int) -> tuple[str, ...]:
    """What lies beside, provided it is one number per latent."""
    there = [name for name in ("mean.pt", "std.pt") if source.has(name)]
    for name in there:
        if load_tensor(source, name).numel() != n:
            raise refused(source.name, f"{name} does not hold one number per latent")
    return (f"{' and '.join(there)} hold statistics of its codes; they are measured anew here.",) if there else ()


FORMAT = Format(recognises, read)
