"""dictionary_learning: `ae.pt` (or a checkpoint `ae_<step>.pt`) and the trainer's `config.json`.

Its TopK and its batch-wise TopK have the same tensors and different rules: the config decides, never a guess.
A periodic backup has the final file's name and holds the weights under "ae", biases not yet scaled back.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from probes.formats.files import Source, refused
from probes.formats.format import Format
from probes.formats.hook_names import Place, worded_place
from probes.formats.pickled import load_torch

if TYPE_CHECKING:
    from torch import Tensor

    from probes.formats.imported import Imported

BIASES = (
    "bias",
    "b_dec",
    "decoder_bias",
    "decoder.bias",
    "encoder.bias",
    "b_enc",
    "gate_bias",
    "mag_bias",
    "threshold",
)


def recognises(source: Source) -> bool:
    return any(re.fullmatch(r"ae(_\d+)?\.pt", name) for name in source.names)


def read(source: Source) -> Imported:
    """The dictionary of the folder. Raises `WorkbenchError` when its class cannot be told."""
    from probes.formats.imported import checked

    name = "ae.pt" if "ae.pt" in source.names else source.only(".pt")
    if name is None:
        raise refused(source.name, "it has several checkpoints", "Name one of the .pt files.")
    held, trainer, notes = _parts(source, name)
    kind = _class_of(source, held, trainer)
    return checked(_imported(source, held, kind, trainer, notes), source.name)


def _parts(source: Source, name: str) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """(tensors, the trainer's config, notes). A backup is unpacked and scaled as its final file would be."""
    found = load_torch(source, name)
    beside = source.folder / "config.json"
    beside = beside if beside.is_file() else source.folder.parent / "config.json"
    config = Source(beside.parent).json("config.json") if beside.is_file() else {}
    if not isinstance(found.get("ae"), dict):
        trainer = config.get("trainer")
        return found, trainer if isinstance(trainer, dict) else {}, ()
    held: dict[str, Any] = found["ae"]
    factor = found.get("norm_factor")
    if isinstance(factor, (int, float)) and factor > 0:
        held = {key: _scaled(key, part, float(factor)) for key, part in held.items()}
    trainer = found["config"] if isinstance(found.get("config"), dict) else config.get("trainer")
    said = f"Read from a backup made during training, at step {found.get('step')}."
    return held, trainer if isinstance(trainer, dict) else {}, (said,)


def _scaled(key: str, part: Tensor, factor: float) -> Tensor:
    """Biases and a threshold that was set (−1 says it was not), in units of the raw activations."""
    return part * factor if key in BIASES and not (key == "threshold" and bool((part < 0).all())) else part


def _class_of(source: Source, held: dict[str, Any], trainer: dict[str, Any]) -> str:
    """The dictionary's class: what the config says, provided the tensors agree; else what they leave open."""
    said = str(trainer.get("dict_class", ""))
    fits = [name for name, keys in KEYS.items() if keys <= held.keys()]
    if said in KEYS and said in fits:
        return said
    if said:
        lacking = sorted(KEYS.get(said, set()) - held.keys())
        why = f"the tensors lack {', '.join(lacking)}" if lacking else "that class is not known"
        raise refused(source.name, f"config.json says {said[:40]!r}, and {why}")
    most = [name for name in fits if len(KEYS[name]) == max(len(KEYS[fit]) for fit in fits)]
    if len(most) == 1:
        return most[0]
    why = "its tensors fit no class of dictionary_learning" if not fits else f"it may be {' or '.join(most)}"
    raise refused(source.name, why, "Put the config.json of its training beside it.")


KEYS: dict[str, set[str]] = {
    "AutoEncoder": {"bias", "encoder.weight", "encoder.bias", "decoder.weight"},
    "AutoEncoderNew": {"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"},
    "GatedAutoEncoder": {"decoder_bias", "r_mag", "gate_bias", "mag_bias", "encoder.weight", "decoder.weight"},
    "AutoEncoderTopK": {"b_dec", "k", "threshold", "encoder.weight", "encoder.bias", "decoder.weight"},
    "BatchTopKSAE": {"b_dec", "k", "threshold", "encoder.weight", "encoder.bias", "decoder.weight"},
    "MatryoshkaBatchTopKSAE": {"W_enc", "b_enc", "W_dec", "b_dec", "k", "threshold", "group_sizes"},
    "JumpReluAutoEncoder": {"W_enc", "b_enc", "W_dec", "b_dec", "threshold"},
}


def _imported(
    source: Source, held: dict[str, Any], kind: str, trainer: dict[str, Any], notes: tuple[str, ...]
) -> Imported:
    from probes.formats.imported import Imported

    ours = "W_enc" in held
    by_threshold = kind in ("BatchTopKSAE", "MatryoshkaBatchTopKSAE", "JumpReluAutoEncoder")
    rule: Any = "jumprelu" if by_threshold else "topk" if kind == "AutoEncoderTopK" else "relu"
    k = int(held["k"]) if "k" in held else None
    if by_threshold and k is not None and bool((held["threshold"] < 0).all()):
        notes = (*notes, "Its threshold was never set, so every positive value counts as active.")
    return Imported(
        format="dictionary_learning",
        rule="gated" if kind == "GatedAutoEncoder" else rule,
        w_enc=held["W_enc"].T.contiguous() if ours else held["encoder.weight"],
        b_enc=_first(held, "b_enc", "encoder.bias", "gate_bias"),
        w_dec=held["W_dec"] if ours else held["decoder.weight"].T.contiguous(),
        b_dec=_first(held, "b_dec", "bias", "decoder_bias", "decoder.bias"),
        threshold=held["threshold"] if by_threshold else None,
        k=k if rule == "topk" else None,
        centre=kind not in ("AutoEncoderNew", "JumpReluAutoEncoder"),
        r_mag=held.get("r_mag"),
        b_mag=held.get("mag_bias"),
        reads=_place(trainer),
        model=str(trainer.get("lm_name") or "")[:200],
        l0=_sparsity(trainer, k),
        hashes=source.hashes(),
        notes=notes,
    )


def _first(held: dict[str, Any], *names: str) -> Any:
    return next(held[name] for name in names if name in held)


def _place(trainer: dict[str, Any]) -> Place | None:
    layer, name = trainer.get("layer"), trainer.get("submodule_name")
    number = layer if isinstance(layer, int) and layer >= 0 else None
    return worded_place(name, number) if isinstance(name, str) else None


def _sparsity(trainer: dict[str, Any], k: int | None) -> float | None:
    target = trainer.get("target_l0")
    return float(k) if k is not None else float(target) if isinstance(target, (int, float)) and target > 0 else None


FORMAT = Format(recognises, read)
