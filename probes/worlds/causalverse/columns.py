"""Columns of a table as numbers: what is text is told apart from what is a number, and what is neither is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes.worlds.causalverse.stored import MOST_COLUMNS, Column, Stored, Value, quoted, refuse_too_many, refused

Floats = NDArray[np.float64]
ABSENT = {"", "nan", "none", "null", "na", "n/a"}  # among numbers; among words "none" is a word
SCENE = re.compile(r"scene([1-9]\d{0,2})")
MOST_DOMAINS = 1_000
LONGEST_NAME = 200
LEAVE_OUT = "Correct the data, or name the column in leave_out."
LARGEST = float(np.finfo(np.float32).max)


class Factors(NamedTuple):
    """`values` `row factor`; `words`: the sorted words behind the numbers of each factor that has words."""

    names: tuple[str, ...]
    values: Floats
    words: Mapping[str, tuple[str, ...]]


def factors_of(stored: Stored, leave_out: Sequence[str]) -> Factors:
    """All columns but those left out (* in a name stands for anything), words as their places in sorted order.

    Raises `WorkbenchError` for names in `leave_out` that no column has, values that are missing, NaN or infinite, and
    a split without columns or with fewer rows than columns.
    """
    unknown = [left for left in leave_out if not any(fnmatchcase(name, left) for name in stored.factors)]
    if unknown:
        known = ", ".join(list(stored.factors)[:20])
        raise refused(stored.name, f"no column is called {quoted(unknown[0])}", f"Name some of {known} in leave_out.")
    names = tuple(name for name in stored.factors if not any(fnmatchcase(name, left) for left in leave_out))
    refuse_too_many(len(names), MOST_COLUMNS, stored.name, "factors")
    if not names:
        raise refused(stored.name, "no column but reserved ones is left, so there is no factor", "Leave out fewer.")
    if len(stored.ids) <= len(names):
        why = f"it has {len(stored.ids)} rows for {len(names)} factors"
        raise refused(stored.name, why, "Give more rows than factors, or name columns in leave_out.")
    for name in names:
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise refused(stored.name, f"a column is called {quoted(name)}, which is no usable name", LEAVE_OUT)
    read = [_column(stored.factors[name], f"column {quoted(name)} of {stored.name}") for name in names]
    words = {name: found for name, (_, found) in zip(names, read, strict=True) if found}
    return Factors(names, np.stack([numbers for numbers, _ in read], axis=1), words)


def refuse_constant(factors: Factors, rows: NDArray[np.int64], what: str) -> None:
    """Raise `WorkbenchError` naming the factors that have one value in all `rows`, as float32."""
    values = factors.values[rows].astype(np.float32)
    same = [name for name, column in zip(factors.names, values.T, strict=True) if column.min() == column.max()]
    if same:
        listed = ", ".join(same[:10]) + (f" and {len(same) - 10} more" if len(same) > 10 else "")
        raise refused(
            what, f"{listed} never changes in its training part", f"Set leave_out to {listed}, or give more rows."
        )


def domains_of(views: Sequence[str], what: str) -> NDArray[np.int64]:
    """`row`: sceneN is N - 1; otherwise the place in the sorted order of all views, as numbers where all are."""
    plain = [view.strip().lower() for view in views]
    found = [SCENE.fullmatch(view) for view in plain]
    if all(found):
        return np.array([int(match[1]) - 1 for match in found if match], dtype=np.int64)
    known = set(plain)
    if "" in known:
        raise refused(what, f"view or domain is empty in {plain.count('')} rows", "Fill the column in, or remove it.")
    refuse_too_many(len(known), MOST_DOMAINS, what, "different views")
    numbers = {view: _number(view) for view in known}
    if all(number is not None and np.isfinite(number) for number in numbers.values()):
        order = sorted(known, key=lambda view: (numbers[view], view))
    else:
        order = sorted(known)
    place = {view: at for at, view in enumerate(order)}
    return np.array([place[view] for view in plain], dtype=np.int64)


def _column(column: Column, what: str) -> tuple[Floats, tuple[str, ...]]:
    """(numbers, words behind them, none where they are numbers) of one column."""
    if isinstance(column, np.ndarray):
        return _finite(column.astype(np.float64), what), ()
    numbers = [_number(value) for value in column]
    texts = ["" if value is None else str(value).strip() for value in column]
    are_words = [number is None and text.lower() not in ABSENT for number, text in zip(numbers, texts, strict=True)]
    absent = texts.count("") if any(are_words) else sum(number is None for number in numbers)
    if absent:
        raise refused(what, f"it has no value in {absent} of {len(column)} rows", LEAVE_OUT)
    if any(are_words):
        words = tuple(sorted(set(texts)))
        place = {word: at for at, word in enumerate(words)}
        return np.array([place[text] for text in texts], dtype=np.float64), words
    return _finite(np.array(numbers, dtype=np.float64), what), ()


def _finite(values: Floats, what: str) -> Floats:
    bad = int((~(np.abs(values) <= LARGEST)).sum())
    if bad:
        raise refused(what, f"it is NaN, infinite or beyond float32 in {bad} of {len(values)} rows", LEAVE_OUT)
    return values


def _number(value: Value) -> float | None:
    """A number that the value is or writes; none where it is text. What no float holds is infinite."""
    if value is None or (isinstance(value, str) and "_" in value):  # Python reads 1_0 as ten; a table means a name
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf")
    except ValueError:
        return None
