"""SAELens before 6: the same weights under a flat `cfg.json` with older names and older ways to say things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probes.configs import validated
from probes.formats.files import Source
from probes.formats.format import Format
from probes.formats.saelens import CONFIG, WEIGHTS, Config, from_config

if TYPE_CHECKING:
    from probes.formats.imported import Imported

RENAMED = {
    "hook_point": "hook_name",
    "hook_point_head_index": "hook_head_index",
    "activation_fn_str": "activation_fn",
}


def recognises(source: Source) -> bool:
    return source.has(CONFIG, WEIGHTS)


def read(source: Source) -> Imported:
    """The dictionary in the folder, its config translated first."""
    today = translated(source.json(CONFIG))
    return from_config(source, validated(Config, today, what=f"cfg.json of {source.name}"), "saelens_old")


def translated(old: dict[str, Any]) -> dict[str, Any]:
    """A config of SAELens 5 or older in the terms of version 6."""
    said = {RENAMED.get(key, key): value for key, value in old.items()}
    options = said.get("activation_fn_kwargs")
    k = options.get("k") if isinstance(options, dict) else None
    architecture = said.get("architecture") or "standard"
    if said.get("activation_fn") == "topk" and k is not None:
        architecture = "topk"
    normalise = said.get("normalize_activations")
    if isinstance(normalise, bool) or normalise is None:
        normalise = "expected_average_only_in" if normalise else "none"
    return {
        "architecture": architecture,
        "d_in": said.get("d_in"),
        "d_sae": said.get("d_sae"),
        "k": k,
        "apply_b_dec_to_input": said.get("apply_b_dec_to_input", True),
        "normalize_activations": normalise,
        "metadata": {"prepend_bos": True, **said},
    }


FORMAT = Format(recognises, read)
