"""Contexts of a concept from its examples in a graph, for the difference-of-means direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from probes.subjects.text_autoregressive import TextAutoregressive
from steering.controls import Context

if TYPE_CHECKING:
    from concept_graphs.tables import Example

ON_SHARE = 0.5


def contexts_of(subject: TextAutoregressive, examples: Sequence[Example]) -> list[Context]:
    """Examples as token ids with the places where the concept is on (half its peak or more).

    Pieces are joined and tokenised again, so an example whose tokens do not come back the same is left
    out: its values would stand at the wrong places.
    """
    contexts = []
    for example in examples:
        ids = subject.tokenizer("".join(example.tokens), add_special_tokens=False).input_ids
        if subject.facts.pieces(ids) != list(example.tokens):
            continue
        values = torch.tensor(example.values)
        contexts.append(Context(torch.tensor(ids), values >= ON_SHARE * float(values.max())))
    return contexts
