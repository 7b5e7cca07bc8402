"""Llama Scope: `hyperparams.json` and `checkpoints/final.safetensors`.

The weights expect activations scaled to a mean norm of √d: s = √d / norm. The threshold is kept in units of
the unscaled input and must be multiplied by s as well, else some 25 times too many latents are active. A
transcoder has two norms: what it reads is scaled by one, what it writes by the other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from probes.configs import validated
from probes.formats.files import Source, refused
from probes.formats.format import Format
from probes.formats.hook_names import lens_place

if TYPE_CHECKING:
    from probes.formats.imported import Imported

CONFIG = "hyperparams.json"
WEIGHTS = "checkpoints/final.safetensors"


class Config(BaseModel):
    """What of `hyperparams.json` matters at inference."""

    model_config = ConfigDict(extra="ignore")

    d_model: int = Field(ge=1, le=2**20)
    d_sae: int = Field(ge=1, le=2**24)
    act_fn: str = "jumprelu"
    jump_relu_threshold: float = Field(default=0.0, ge=0, le=1e6)
    top_k: int | None = Field(default=None, ge=0)
    apply_decoder_bias_to_pre_encoder: bool = False
    norm_activation: str = "dataset-wise"
    dataset_average_activation_norm: dict[str, float] | None = None
    hook_point_in: str = ""
    hook_point_out: str = ""


def recognises(source: Source) -> bool:
    return source.has(CONFIG, WEIGHTS)


def read(source: Source) -> Imported:
    """The dictionary of the folder."""
    from probes.formats.imported import Imported, checked
    from probes.formats.normalisations import Scale, Unnormalised

    config = validated(Config, source.json(CONFIG), what=f"{CONFIG} of {source.name}")
    if config.act_fn not in ("jumprelu", "relu", "topk"):
        raise refused(source.name, f"its activation {config.act_fn[:40]!r} is not supported", "Choose another.")
    held = source.tensors(WEIGHTS, ("encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"))
    if missing := {"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"} - held.keys():
        raise refused(source.name, f"{WEIGHTS} lacks {', '.join(sorted(missing))}")
    if tuple(held["encoder.weight"].shape) != (config.d_sae, config.d_model):
        raise refused(source.name, f"{CONFIG} says {(config.d_sae, config.d_model)}, the encoder is another size")
    inside, outside = _scales(source, config)
    out = config.hook_point_out or config.hook_point_in
    found = Imported(
        format="llama_scope",
        rule="jumprelu" if config.act_fn == "jumprelu" else "topk" if config.act_fn == "topk" else "relu",
        w_enc=held["encoder.weight"],
        b_enc=held["encoder.bias"],
        w_dec=held["decoder.weight"].T.contiguous(),
        b_dec=held["decoder.bias"],
        threshold=held["encoder.bias"].new_tensor(config.jump_relu_threshold * inside),
        k=config.top_k,
        centre=config.apply_decoder_bias_to_pre_encoder,
        normalisation=Unnormalised() if inside == outside == 1.0 else Scale(inside, outside),
        transcodes=out != config.hook_point_in,
        reads=lens_place(config.hook_point_in),
        writes=lens_place(out) if out != config.hook_point_in else None,
        model="meta-llama/Llama-3.1-8B" if re.match("Llama3_1-8B-Base", source.folder.name) else "",
        l0=float(config.top_k) if config.top_k else None,
        hashes=source.hashes(),
    )
    return checked(found, source.name)


def _scales(source: Source, config: Config) -> tuple[float, float]:
    """√d / norm of what is read and of what is written."""
    if config.norm_activation != "dataset-wise":
        if config.norm_activation in ("none", "inference"):
            return 1.0, 1.0
        raise refused(source.name, f"it normalises activations {config.norm_activation[:40]!r}", "Choose another.")
    norms = config.dataset_average_activation_norm or {}
    norm = norms.get("in", 0.0)
    other = norms.get("out", norm)
    if norm <= 0 or other <= 0:
        raise refused(source.name, f"{CONFIG} does not say the mean norm of the activations")
    root = float(config.d_model**0.5)
    return root / norm, root / other


FORMAT = Format(recognises, read)
