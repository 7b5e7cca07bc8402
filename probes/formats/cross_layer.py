"""circuit-tracer's cross-layer transcoders: `W_enc_<i>.safetensors` and `W_dec_<i>.safetensors`, one pair per layer.

A latent of layer i writes at every layer from i on: its decoder is `n (L − i) d`. A dictionary writes at one
place, so only the last layer's can become one; codes of the others would be right and their effect wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from probes.formats.circuit_tracer import CONFIG, flat_yaml, places_of
from probes.formats.files import Source, refused, shape_of
from probes.formats.format import Format

if TYPE_CHECKING:
    from probes.formats.imported import Imported


def recognises(source: Source) -> bool:
    return bool(_layers(source))


def _layers(source: Source) -> list[int]:
    """The layers whose encoder is there (the one named, when a file was)."""
    found = [re.fullmatch(r"W_enc_(\d{1,4})\.safetensors", name) for name in source.names]
    return sorted(int(match[1]) for match in found if match)


def read(source: Source) -> Imported:
    """The last layer's transcoder, or that of the file named. Refuses a latent that writes at several layers."""
    from probes.formats.imported import Imported, checked

    layers = _layers(source)
    i = layers[-1]
    encoder, decoder = f"W_enc_{i}.safetensors", f"W_dec_{i}.safetensors"
    if not source.has(decoder):
        raise refused(source.name, f"{decoder} is missing")
    row = source.header(decoder).get(f"W_dec_{i}")
    shape = shape_of(row, f"W_dec_{i}", source.name)
    if len(shape) != 3 or shape[1] != 1:
        reach = shape[1] if len(shape) == 3 else 0
        raise refused(
            source.name,
            f"a latent of layer {i} writes at {reach} layers, and a dictionary writes at one",
            "Choose the last layer, or transcoders of one layer.",
        )
    held = source.tensors(encoder) | source.tensors(decoder)
    if missing := {f"{name}_{i}" for name in ("W_enc", "b_enc", "b_dec", "W_dec")} - held.keys():
        raise refused(source.name, f"it lacks {', '.join(sorted(missing))}")
    threshold = held.get(f"threshold_{i}")
    said = flat_yaml(source, CONFIG)
    reads, writes = places_of(said, i)
    return checked(
        Imported(
            format="cross_layer",
            rule="relu" if threshold is None else "jumprelu",
            w_enc=held[f"W_enc_{i}"],
            b_enc=held[f"b_enc_{i}"],
            w_dec=held[f"W_dec_{i}"][:, 0].contiguous(),
            b_dec=held[f"b_dec_{i}"],
            threshold=None if threshold is None else threshold.reshape(-1),
            floor=0.0 if threshold is None else float("-inf"),
            centre=False,
            transcodes=True,
            reads=reads,
            writes=writes,
            model=said.get("model_name", "")[:200],
            hashes=source.hashes(),
            notes=("Earlier layers write here too: it explains a part of what its place holds.",),
        ),
        source.name,
    )


FORMAT = Format(recognises, read)
