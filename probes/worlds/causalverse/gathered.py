"""Factors that come row by row as texts, as columns: bounded while they come, and a text that repeats read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from probes.worlds.causalverse.metavalues import read_metavalue
from probes.worlds.causalverse.stored import (
    MOST_COLUMNS,
    MOST_VALUES,
    RESERVED,
    Column,
    Value,
    refuse_too_many,
)

MOST_CHARACTERS = 2**28  # of all rows' texts together, however small the file makes texts that repeat
BLOCK = 256  # rows that are dictionaries at once
REMEMBERED = 256  # texts and what they say

Packed = NDArray[np.float64] | NDArray[np.int64] | list[Value]


def gathered(texts: Iterable[str], rows: int, name: str) -> dict[str, Column]:
    """Column to its values, none where a row lacks it; `texts` of `rows` rows.

    Raises `WorkbenchError` for a text that says no factors, and as soon as there are too many columns, values (rows
    times columns) or characters.
    """
    blocks: dict[str, list[Packed]] = {}
    done = 0
    metas = _read(texts, name)
    while block := list(islice(metas, BLOCK)):
        new = dict.fromkeys(key for meta in block for key in meta if key not in blocks)
        refuse_too_many(len(blocks) + len(new), MOST_COLUMNS, name, "columns")
        refuse_too_many((len(blocks) + len(new)) * rows, MOST_VALUES, name, "values in all columns")
        blocks |= {key: [[None] * done] if done else [] for key in new}
        for key, packed in blocks.items():
            packed.append(_packed([meta.get(key) for meta in block]))
        done += len(block)
    return {key: _joined(packed, exact=key in RESERVED) for key, packed in blocks.items()}


def _read(texts: Iterable[str], name: str) -> Iterator[Mapping[str, Value]]:
    """What each text says; equal texts are one object."""
    known: dict[str, dict[str, Value]] = {}
    words: dict[str, str] = {}
    characters = 0
    for at, text in enumerate(texts, 1):
        characters += len(text)
        refuse_too_many(characters, MOST_CHARACTERS, name, f"characters of metavalue up to row {at:,}")
        if text not in known:
            for memory in (known, words):
                if len(memory) >= REMEMBERED:
                    memory.clear()
            found = read_metavalue(text, f"row {at} of {name}")
            for key, said in found.items():
                if isinstance(said, str):
                    found[key] = words.setdefault(said, said)
            known[text] = found
        yield known[text]


def _packed(values: list[Value]) -> Packed:
    """Numbers of one kind as an array; whatever else as it is."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return np.array(values, dtype=np.float64)
    if kinds == {int}:
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError:
            return values
    return values


def _joined(blocks: Sequence[Packed], exact: bool) -> Column:
    """All rows: numbers as one array, unless they must stay `exact` as they are written."""
    if not exact and all(isinstance(block, np.ndarray) for block in blocks):
        return np.concatenate([np.asarray(block, dtype=np.float64) for block in blocks])
    return [value for block in blocks for value in (block.tolist() if isinstance(block, np.ndarray) else block)]
