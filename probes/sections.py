"""Sections: what any package can put into a report. Plain data, no markup; the report escapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """Column headers and rows of text."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Strip:
    """Tokens with a value each (or none), and where they come from."""

    tokens: Sequence[str]
    values: Sequence[float] = ()
    source: str = ""


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, tables, token strips and plotly figures (plain JSON), in that order."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    strips: Sequence[Strip] = ()
    figures: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    level: int = 2
