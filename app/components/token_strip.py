"""A line of tokens with a value each: hover shows the number, colour its sign and size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from app.components.base import Drawn
from concept_graphs.text import visible_token

# Longer texts are cut: one chip per token is what makes a page slow.
LONGEST = 1000


def token_cells(
    tokens: Sequence[str],
    values: Sequence[float | None] | None = None,
    *,
    peak: int | None = None,
    muted: int = 0,
) -> list[dict[str, Any]]:
    """What a strip shows of each token.

    `text` keeps its spaces so that a line reads as text; `shown` is the unambiguous form for the hover.
    Control, bidirectional and zero-width characters are visible in both. The first `muted` tokens (a
    prompt) are drawn in grey.
    """
    cells: list[dict[str, Any]] = []
    for at, token in enumerate(tokens[:LONGEST]):
        shown = visible_token(token)
        cell: dict[str, Any] = {"text": shown.replace("␣", " ") if "␣" not in token else shown, "shown": shown}
        if "\n" in token:
            cell["breaks"] = True
        value = values[at] if values is not None and at < len(values) else None
        if value is not None:
            cell["value"] = float(value)
        if at == peak:
            cell["peak"] = True
        if at < muted:
            cell["muted"] = True
        cells.append(cell)
    return cells


class TokenStrip(Drawn):
    """Value: `{title, tokens: token_cells(...), scale?, signed?, note?}`."""

    source: ClassVar[str] = "token_strip"
