"""sparsify: a folder per module (`layers.5.mlp`) with `cfg.json` and `sae.safetensors`; the run's config above.

b_dec is subtracted from the input unless it transcodes, whatever `normalize_decoder` says; W_dec is `n d`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from probes.configs import validated
from probes.formats.files import Source, refused
from probes.formats.format import Format
from probes.formats.hook_names import module_place

if TYPE_CHECKING:
    from probes.formats.imported import Imported

CONFIG, WEIGHTS = "cfg.json", "sae.safetensors"


class Config(BaseModel):
    """`cfg.json`; `num_latents` 0 stands for expansion_factor · d_in."""

    model_config = ConfigDict(extra="ignore")

    d_in: int = Field(ge=1, le=2**20)
    k: int = Field(ge=1, le=2**20)
    activation: str = "topk"
    expansion_factor: int = Field(default=32, ge=1, le=2**16)
    num_latents: int = Field(default=0, ge=0, le=2**24)
    signed: bool = False
    transcode: bool = False
    skip_connection: bool = False


def recognises(source: Source) -> bool:
    return source.has(CONFIG, WEIGHTS)


def read(source: Source) -> Imported:
    """The dictionary of one module. Raises `WorkbenchError` for group-wise and signed selection."""
    from probes.formats.imported import Imported, checked

    config = validated(Config, source.json(CONFIG), what=f"cfg.json of {source.name}")
    if config.activation != "topk" or config.signed:
        kind = "signed" if config.signed else config.activation[:40]
        raise refused(source.name, f"its selection is {kind!r}, which is not supported", "Choose one with topk.")
    held = source.tensors(WEIGHTS, ("encoder.weight", "encoder.bias", "W_dec", "b_dec", "W_skip"))
    if missing := {"encoder.weight", "encoder.bias", "W_dec", "b_dec"} - held.keys():
        raise refused(source.name, f"{WEIGHTS} lacks {', '.join(sorted(missing))}")
    said = (config.num_latents or config.d_in * config.expansion_factor, config.d_in)
    if tuple(held["encoder.weight"].shape) != said:
        raise refused(source.name, f"cfg.json says {said}, the encoder is {tuple(held['encoder.weight'].shape)}")
    if config.skip_connection and "W_skip" not in held:
        raise refused(source.name, f"{WEIGHTS} lacks W_skip")
    return checked(
        Imported(
            format="sparsify",
            rule="topk",
            w_enc=held["encoder.weight"],
            b_enc=held["encoder.bias"],
            w_dec=held["W_dec"],
            b_dec=held["b_dec"],
            k=config.k,
            centre=not config.transcode,
            skip=held.get("W_skip"),
            transcodes=config.transcode,
            reads=module_place(source.folder.name, "in" if config.transcode else "out"),
            writes=module_place(source.folder.name, "out") if config.transcode else None,
            model=_model(source),
            l0=float(config.k),
            hashes=source.hashes(),
        ),
        source.name,
    )


def _model(source: Source) -> str:
    """The model's name from the config of the whole run, one folder up."""
    above = Source(source.folder.parent)
    model = above.json("config.json").get("model", "") if above.has("config.json") else ""
    return model[:200] if isinstance(model, str) else ""


FORMAT = Format(recognises, read)
