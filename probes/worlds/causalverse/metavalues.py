"""The text that a row's factors come in: JSON, a Python literal or `k:v` pairs; and nested ones laid flat."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from probes.worlds.causalverse.stored import MOST_COLUMNS, Value, quoted, refuse_too_many, refused

LONGEST = 64 * 2**10
LONGEST_LITERAL = 16 * 2**10
DEEPEST = 8
BRACKETS = re.compile(r"[\[{(\]})]")
HOW = "Write each metavalue as one flat JSON object."


def read_metavalue(text: str, what: str) -> dict[str, Value]:
    """Factor to value. Raises `WorkbenchError` for text that is too long, too deep, or none of the three."""
    if len(text) > LONGEST:
        raise refused(what, f"its metavalue has {len(text):,} characters, more than {LONGEST:,}", HOW)
    if _depth(text) > DEEPEST:
        raise refused(what, f"its metavalue is nested more than {DEEPEST} deep", HOW)
    found = _json(text)
    if found is None and len(text) <= LONGEST_LITERAL:
        found = _literal(text)
    if found is None:
        found = _pairs(text)
    if not isinstance(found, dict) or not found:
        raise refused(what, f"its metavalue {quoted(text)} is no JSON object, Python dictionary or k:v text", HOW)
    return flat(found, what)


def flat(nested: Mapping[Any, Any], what: str) -> dict[str, Value]:
    """{"a": {"b": [1, 2]}} as {"a.b.0": 1, "a.b.1": 2}. Raises `WorkbenchError` where it is too deep or too wide."""
    found: dict[str, Value] = {}
    for name, value in _leaves("", nested, 0, what):
        if name in found:
            raise refused(what, f"{quoted(name)} is there twice", HOW)
        found[name] = value
        refuse_too_many(len(found), MOST_COLUMNS, what, "values")
    return found


def _leaves(name: str, value: Any, depth: int, what: str) -> Iterator[tuple[str, Value]]:
    if depth > DEEPEST:
        raise refused(what, f"{quoted(name)} is nested more than {DEEPEST} deep", HOW)
    if isinstance(value, Mapping):
        inside = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, (list, tuple)):
        inside = [(str(at), part) for at, part in enumerate(value)]
    elif value is None or isinstance(value, (str, int, float, bool)):
        yield name, value
        return
    else:
        raise refused(what, f"{quoted(name)} is a {type(value).__name__}, which is no factor", HOW)
    for key, part in inside:
        yield from _leaves(f"{name}.{key}" if name else key, part, depth + 1, what)


def _depth(text: str) -> int:
    """The most brackets open at once; those inside quoted text count too, which only errs towards refusing."""
    deepest = now = 0
    for sign in BRACKETS.findall(text):
        now += 1 if sign in "[{(" else -1
        deepest = max(deepest, now)
    return deepest


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # all that nonsense makes it raise
        return None


def _pairs(text: str) -> dict[str, str] | None:
    """`k:v` or `k=v` between commas, semicolons or line ends; none where a part is neither."""
    parts = [part.strip() for part in re.split(r"[,;\n]", text) if part.strip()]
    split = [re.split("[:=]", part, maxsplit=1) for part in parts]
    if not all(len(pair) == 2 and re.fullmatch(r"\w+", pair[0].strip()) for pair in split):
        return None
    return {pair[0].strip(): pair[1].strip() for pair in split}
