"""Save a dictionary for SAELens 6: `cfg.json` and `sae_weights.safetensors` in a new folder.

The rule decides the architecture. Where a largest number and a threshold hold together SAELens has no rule
for it: one of the two is dropped, whichever changes the reconstruction of held-out rows less, and what that
changes is measured and said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from probes.addresses import HookPoint
from probes.autoencoders.dictionary import Dictionary
from probes.errors import WorkbenchError
from probes.files import commit_directory, write_json
from probes.formats.saelens import CONFIG, WEIGHTS
from probes.tensors import save_tensors

VERSION = "6.0.0"  # the oldest SAELens whose files look like these
Approximation = Literal["topk", "jumprelu"]


@dataclass(frozen=True)
class Change:
    """What an approximation changes on rows it was not chosen on: shares and means before and after."""

    rule: Approximation
    rows: int
    changed: float
    l0: tuple[float, float]
    explained: tuple[float, float]

    def sentence(self) -> str:
        kept = "the largest number of latents" if self.rule == "topk" else "the threshold"
        dropped = "the threshold" if self.rule == "topk" else "the largest number of latents"
        return (
            f"SAELens cannot hold both {kept} and {dropped}: {dropped} is dropped. On {self.rows:,} rows "
            f"{self.changed:.2%} of the rows get other codes, active latents go from {self.l0[0]:.2f} to "
            f"{self.l0[1]:.2f} and explained variance from {self.explained[0]:.4f} to {self.explained[1]:.4f}."
        )


def export_saelens(space: Dictionary, target: Path, *, said: dict[str, Any], change: Change | None = None) -> None:
    """Write the folder in one step. `said` is metadata: model_name, l0 and what else SAELens keeps.

    `change` is the approximation chosen by `approximated`; without it the rule must be one that SAELens has.
    Raises `WorkbenchError` for a dictionary it cannot represent and when the folder exists.
    """
    if change is not None:
        space = approximation(space, change.rule)
    architecture, tensors, config = _parts(space)
    metadata = {
        "sae_lens_version": VERSION,
        **_places(space.point, space.writes),
        **said,
        **({} if change is None else {"fulcrum_approximation": change.sentence()}),
    }
    whole = {
        "architecture": architecture,
        "d_in": space.w_enc.shape[1],
        "d_sae": space.n_latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": space.centre,
        "normalize_activations": "none" if space.row_norm is None else "layer_norm",
        "reshape_activations": "none",
        **config,
        "metadata": metadata,
    }
    with commit_directory(target) as folder:
        save_tensors(folder / WEIGHTS, tensors)
        write_json(folder / CONFIG, whole)


def needs_approximation(space: Dictionary) -> bool:
    """Whether both a largest number and positive thresholds decide which latents are on."""
    return space.most_active is not None and bool((space.threshold > 0).any())


def approximation(space: Dictionary, rule: Approximation) -> Dictionary:
    """The dictionary with one of its two rules dropped."""
    if rule == "topk":
        return replace(space, threshold=torch.zeros(()))
    return replace(space, most_active=None)


def approximated(space: Dictionary, choosing: Tensor, judging: Tensor, target: Tensor | None = None) -> Change:
    """The approximation that changes the reconstruction of `choosing` less, and what it changes on `judging`.

    Both `row d_in`, float32, of different documents; `target`, `row d_out`: as in `change_of`. SAELens' transcoders
    have no largest number, so one that writes elsewhere keeps its threshold.
    """
    if _writes_elsewhere(space):
        return change_of(space, "jumprelu", judging, target)
    reference = space.reconstruct(choosing)
    errors = {
        rule: float((approximation(space, rule).reconstruct(choosing) - reference).square().sum())
        for rule in ("topk", "jumprelu")
    }
    return change_of(space, "topk" if errors["topk"] <= errors["jumprelu"] else "jumprelu", judging, target)


def change_of(space: Dictionary, rule: Approximation, rows: Tensor, target: Tensor | None = None) -> Change:
    """What dropping a rule changes on rows `row d_in`; `target`: what they predict, `row d_out`, where that is not
    the rows themselves."""
    other = approximation(space, rule)
    was, now = space.encode(rows), other.encode(rows)
    moved = (other.change(now) - space.change(was)).norm(dim=1) > 1e-4 * space.change(was).norm(dim=1).clamp_min(1e-9)
    meant = rows if target is None else target
    return Change(
        rule,
        len(rows),
        float(moved.float().mean()),
        (float(was.l0().float().mean()), float(now.l0().float().mean())),
        (_explained(meant, space.reconstruct(rows, was)), _explained(meant, other.reconstruct(rows, now))),
    )


def _explained(x: Tensor, decoded: Tensor) -> float:
    """Share of the variance of `x` about its mean."""
    error, centre = (x.double() - decoded.double()).square().sum(), x.double() - x.double().mean(dim=0)
    return float(1 - error / centre.square().sum())


def _writes_elsewhere(space: Dictionary) -> bool:
    """Whether it is a transcoder to SAELens."""
    return space.writes is not None or space.skip is not None or space.w_enc.shape[1] != space.w_dec.shape[1]


def _parts(space: Dictionary) -> tuple[str, dict[str, Tensor], dict[str, Any]]:
    """(architecture, tensors, settings of its own)."""
    tensors = {"W_enc": space.w_enc.T, "W_dec": space.w_dec, "b_enc": space.b_enc, "b_dec": space.b_dec}
    above = bool((space.threshold > 0).any())
    if needs_approximation(space):
        raise _no_rule("it keeps both a largest number of latents and a threshold, and no approximation is chosen")
    if bool((space.threshold < 0).any()):
        raise _no_rule("its thresholds are negative, and SAELens takes the positive part first")
    if space.row_norm not in (None, 1e-5):
        raise _no_rule(f"it standardises rows with epsilon {space.row_norm:g}, and SAELens with 1e-05")
    if space.gain is not None and space.magnitude_bias is not None:
        return "gated", *_gated(space, tensors, above)
    if _writes_elsewhere(space):
        return _transcoder(space, tensors, above)
    if space.most_active is not None:
        return "topk", tensors, {"k": space.most_active, "rescale_acts_by_decoder_norm": False}
    if above:
        return "jumprelu", tensors | {"threshold": space.threshold}, {}
    return "standard", tensors, {}


def _gated(space: Dictionary, tensors: dict[str, Tensor], above: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if above or space.most_active is not None or space.skip is not None or space.writes is not None:
        raise _no_rule("its gates stand beside a threshold, a largest number, a skip or another place to write")
    assert space.gain is not None and space.magnitude_bias is not None
    del tensors["b_enc"]
    return tensors | {"b_gate": space.b_enc, "b_mag": space.magnitude_bias, "r_mag": space.gain.log()}, {}


def _transcoder(
    space: Dictionary, tensors: dict[str, Tensor], above: bool
) -> tuple[str, dict[str, Tensor], dict[str, Any]]:
    """One of the four transcoders. A bias it subtracts is folded: SAELens' transcoders subtract none."""
    if space.most_active is not None or space.row_norm is not None:
        raise _no_rule("SAELens' transcoders neither keep a largest number of latents nor standardise rows")
    if space.centre:
        tensors["b_enc"] = space.b_enc - space.w_enc @ space.b_dec
    name = "transcoder" if space.skip is None else "skip_transcoder"
    tensors |= {} if space.skip is None else {"W_skip": space.skip}
    tensors |= {"threshold": space.threshold} if above else {}
    config = {"d_out": space.w_dec.shape[1], "apply_b_dec_to_input": False}
    return f"jumprelu_{name}" if above else name, tensors, config


def _places(point: HookPoint | None, writes: HookPoint | None) -> dict[str, Any]:
    return {
        "hook_name": _lens_name(point),
        "hf_hook_name": _hub_name(point),
        **({} if writes is None else {"hook_name_out": _lens_name(writes), "hf_hook_name_out": _hub_name(writes)}),
    }


def _lens_name(point: HookPoint | None) -> str | None:
    """TransformerLens' name of a block's output or input; for other places the module path."""
    if point is None:
        return None
    match = re.fullmatch(r"(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*\.(\d+)", point.path)
    sites = {"out": "hook_resid_post", "in": "hook_resid_pre"}
    return f"blocks.{match[1]}.{sites[point.tap]}" if match and point.tap in sites else _hub_name(point)


def _hub_name(point: HookPoint | None) -> str | None:
    ends = {"out": "output", "in": "input", "update": "update"}
    return None if point is None else f"{point.path}.{ends[point.tap]}"


def _no_rule(why: str) -> WorkbenchError:
    return WorkbenchError(
        "not-exportable",
        "The dictionary cannot be saved for SAELens",
        why,
        "Keep it in its own format, or choose a level.",
    )
