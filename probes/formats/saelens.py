"""SAELens 6 and newer: `cfg.json` with `architecture` and `metadata`, `sae_weights.safetensors`.

What training leaves (batchtopk and its nested kind, norms of decoder rows still inside the rule) is read too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from probes.configs import validated
from probes.formats.files import Source, refused
from probes.formats.format import Format
from probes.formats.hook_names import lens_place, module_place

if TYPE_CHECKING:
    from torch import Tensor

    from probes.formats.imported import Imported, Rule
    from probes.formats.normalisations import Normalisation

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
SCALER, WHITENING = "activation_scaler.json", "activation_whitening.safetensors"
ARCHITECTURES: dict[str, Rule] = {
    "standard": "relu",
    "topk": "topk",
    "jumprelu": "jumprelu",
    "batchtopk": "jumprelu",
    "matryoshka_batchtopk": "jumprelu",
    "gated": "gated",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
NAMES: tuple[str, ...] = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold", "b_gate", "b_mag", "r_mag", "W_skip")
NAMES += ("log_threshold", "topk_threshold", "scaling_factor", "finetuning_scaling_factor")


class Config(BaseModel):
    """What `cfg.json` must say; whatever else it says is left alone."""

    model_config = ConfigDict(extra="ignore")

    architecture: str
    d_in: int = Field(ge=1, le=2**20)
    d_sae: int = Field(ge=1, le=2**24)
    d_out: int | None = Field(default=None, ge=1, le=2**20)
    k: float | None = Field(default=None, gt=0, le=2**20)
    apply_b_dec_to_input: bool = True
    rescale_acts_by_decoder_norm: bool = False
    normalize_activations: Literal[
        "none", "expected_average_only_in", "constant_norm_rescale", "layer_norm", "covariance_whitening"
    ] = "none"
    metadata: dict[str, Any] = {}


def recognises(source: Source) -> bool:
    return source.has(CONFIG, WEIGHTS) and "metadata" in source.json(CONFIG)


def read(source: Source) -> Imported:
    """The dictionary in the folder. Raises `WorkbenchError` for what it lacks and for rules we do not have."""
    return from_config(source, validated(Config, source.json(CONFIG), what=f"cfg.json of {source.name}"), "saelens")


def from_config(source: Source, config: Config, name: str) -> Imported:
    """The dictionary described by a config of today's form."""
    from probes.formats.imported import Imported, checked

    if config.architecture not in ARCHITECTURES:
        raise refused(
            source.name,
            f"SAELens' architecture {config.architecture[:40]!r} has a rule of its own",
            f"These can be imported: {', '.join(ARCHITECTURES)}.",
        )
    if config.metadata.get("hook_head_index") is not None:
        raise refused(source.name, "it reads one attention head out of a tensor of heads", "Choose another.")
    rule = ARCHITECTURES[config.architecture]
    held = source.tensors(WEIGHTS, NAMES)
    needed = {"W_enc", "W_dec", "b_dec", *(("b_gate", "b_mag", "r_mag") if rule == "gated" else ("b_enc",))}
    if missing := needed - held.keys():
        raise refused(source.name, f"{WEIGHTS} lacks {', '.join(sorted(missing))}")
    _same_sizes(source, config, held)
    transcodes = config.architecture.endswith("transcoder")
    found = Imported(
        format=name,
        rule=rule,
        w_enc=held["W_enc"].T.contiguous(),
        b_enc=held["b_gate"] if rule == "gated" else held["b_enc"],
        w_dec=held["W_dec"],
        b_dec=held["b_dec"],
        threshold=_threshold(held) if rule == "jumprelu" else None,
        k=None if rule != "topk" or config.k is None else int(config.k),
        centre=config.apply_b_dec_to_input and not transcodes,
        by_norm=config.rescale_acts_by_decoder_norm,
        r_mag=held.get("r_mag"),
        b_mag=held.get("b_mag"),
        skip=held.get("W_skip"),
        code_scale=_code_scale(held),
        normalisation=_normalisation(source, config),
        transcodes=transcodes,
        **_said(config),
    )
    return checked(replace(found, hashes=source.hashes()), source.name)


def _same_sizes(source: Source, config: Config, held: dict[str, Tensor]) -> None:
    shapes = (tuple(held["W_enc"].shape), tuple(held["W_dec"].shape))
    if shapes != ((config.d_in, config.d_sae), (config.d_sae, config.d_out or config.d_in)):
        said = f"{config.d_sae} latents of {config.d_in} dimensions"
        raise refused(source.name, f"cfg.json says {said}, the weights are {shapes[0]} and {shapes[1]}")


def _threshold(held: dict[str, Tensor]) -> Tensor | None:
    """Thresholds per latent, whatever the version kept; a batch-wise TopK in training keeps one for all."""
    if "log_threshold" in held:
        return held["log_threshold"].exp()
    return held.get("threshold", held.get("topk_threshold"))


def _code_scale(held: dict[str, Tensor]) -> Tensor | None:
    """Factors that older files apply to the codes before decoding; ones are none."""
    found = held.get("finetuning_scaling_factor", held.get("scaling_factor"))
    return None if found is None or bool((found == 1).all()) else found


def _normalisation(source: Source, config: Config) -> Normalisation:
    from probes.formats.normalisations import Affine, MeanNorm, RowNorm, Scale, Unnormalised

    kind = config.normalize_activations
    if kind == "none":
        return Unnormalised()
    if kind == "layer_norm":
        return RowNorm(1e-5)
    if kind == "constant_norm_rescale":
        raise refused(
            source.name, "it rescales each activation to one length, which is not supported", "Choose another."
        )
    if kind == "covariance_whitening":
        if not source.has(WHITENING):
            raise refused(source.name, f"it whitens activations, and {WHITENING} is missing")
        held = source.tensors(WHITENING, ("mean", "matrix", "inverse_matrix"))
        return Affine(held["mean"], held["matrix"], held["inverse_matrix"])
    factor = source.json(SCALER).get("scaling_factor") if source.has(SCALER) else None
    return MeanNorm(config.d_in) if not isinstance(factor, (int, float)) else Scale(float(factor), float(factor))


def _said(config: Config) -> dict[str, Any]:
    """What the metadata says of the place, the model and the sparsity."""
    said = config.metadata
    notes = []
    if said.get("prepend_bos"):
        notes.append("Its makers fed a beginning-of-text token first.")
    if config.architecture in ("batchtopk", "matryoshka_batchtopk"):
        notes.append("Read from a training checkpoint; its threshold is a moving average.")
    l0 = said.get("l0")
    return {
        "reads": lens_place(_text(said.get("hook_name"))) or module_place(_text(said.get("hf_hook_name"))),
        "writes": lens_place(_text(said.get("hook_name_out"))) or module_place(_text(said.get("hf_hook_name_out"))),
        "model": _text(said.get("model_name")) or "",
        "l0": float(l0) if isinstance(l0, (int, float)) and l0 > 0 else config.k,
        "notes": tuple(notes),
    }


def _text(value: Any) -> str | None:
    return value[:200] if isinstance(value, str) else None


FORMAT = Format(recognises, read)
