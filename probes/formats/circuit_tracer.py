"""circuit-tracer's transcoders of one layer: `layer_<i>.safetensors`, and `config.yaml` beside them.

W_enc is `n d`, transposed against SAELens. Without a threshold its rule is a ReLU, or TopK where a k is given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from probes.formats.files import JSON_LIMIT, Source, refused
from probes.formats.format import Format
from probes.formats.hook_names import Place, lens_place, number_after

if TYPE_CHECKING:
    from probes.formats.imported import Imported

CONFIG = "config.yaml"
THRESHOLD = "activation_function.threshold"
NAMES = ("W_enc", "W_dec", "b_enc", "b_dec", "W_skip", "k", THRESHOLD)


def recognises(source: Source) -> bool:
    name = source.only(".safetensors")
    return name is not None and source.keys(name) >= set(NAMES[:4])


def read(source: Source) -> Imported:
    """The transcoder of one file."""
    from probes.formats.imported import Imported, checked

    name = source.only(".safetensors")
    if name is None:
        raise refused(source.name, "it has no single safetensors file", "Name one of the files.")
    held = source.tensors(name, NAMES)
    said = flat_yaml(source, CONFIG)
    k = int(held["k"]) if "k" in held else int(said["k"]) if said.get("k", "").isdigit() else None
    if said.get("activation") == "topk" and k is None:
        raise refused(source.name, "it keeps the largest values, and does not say how many")
    reads, writes = places_of(said, number_after("layer", name))
    return checked(
        Imported(
            format="circuit_tracer",
            rule="topk" if k is not None else "jumprelu" if THRESHOLD in held else "relu",
            w_enc=held["W_enc"],
            b_enc=held["b_enc"],
            w_dec=held["W_dec"],
            b_dec=held["b_dec"],
            threshold=held[THRESHOLD].reshape(-1) if THRESHOLD in held else None,
            k=k,
            # Its jump has no ReLU behind it: a negative threshold lets negative values through.
            floor=float("-inf") if THRESHOLD in held and k is None else 0.0,
            centre=False,
            skip=held.get("W_skip"),
            transcodes=True,
            reads=reads,
            writes=writes,
            model=said.get("model_name", "")[:200],
            l0=None if k is None else float(k),
            hashes=source.hashes(),
        ),
        source.name,
    )


def places_of(said: dict[str, str], layer: int | None) -> tuple[Place | None, Place | None]:
    """(reads, writes) of a block, from the hook names in the config; circuit-tracer's usual ones without them."""
    if layer is None:
        return None, None
    reads = lens_place(said.get("feature_input_hook", "hook_resid_mid"), layer)
    return reads, lens_place(said.get("feature_output_hook", "hook_mlp_out"), layer)


def flat_yaml(source: Source, name: str) -> dict[str, str]:
    """The plain `key: value` lines of a YAML file; lists, nesting, anchors and tags are passed over."""
    if not source.has(name):
        return {}
    path = source.path(name)
    if path.stat().st_size > JSON_LIMIT:
        raise refused(source.name, f"{name} is larger than 1 MiB")
    found: dict[str, Any] = {}
    for line in path.read_text("utf-8", "replace").splitlines():
        match = re.fullmatch(r"([A-Za-z_]\w*):\s+['\"]?([^'\"#&*!\[\]{}|>]*?)['\"]?\s*(?:#.*)?", line)
        if match:
            found[match[1]] = match[2]
    return found


FORMAT = Format(recognises, read)
