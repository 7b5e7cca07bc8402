"""Sections: what any package can put into a report. Plain data, no markup; the report escapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measure:
    """A number with its 95 % interval and the 95 % quantile of |x| under its null; drawn as well as written."""

    value: float | None
    low: float | None = None
    high: float | None = None
    null: float | None = None


@dataclass(frozen=True)
class Link:
    """Text that leads to the section with this anchor, where the report has one."""

    text: str
    anchor: str


@dataclass(frozen=True)
class Image:
    """A picture as a PNG data address, and what it shows in words; `note` stands below it."""

    address: str
    alt: str
    title: str = ""
    note: str = ""


Cell = str | Measure | Link | Image


@dataclass(frozen=True)
class Table:
    """Column headers and rows of cells. `stacked`: on a narrow screen each row becomes a block of its own."""

    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    stacked: bool = False


@dataclass(frozen=True)
class Strip:
    """Tokens with a value each (or none), after a `lead` shown in grey; `source` says where they come from."""

    tokens: Sequence[str]
    values: Sequence[float] = ()
    source: str = ""
    title: str = ""
    lead: str = ""


@dataclass(frozen=True)
class Fact:
    """One number under its name, with a note beside it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture as plotly JSON, by the width in pixels each variant is made for, and what it shows in words."""

    variants: Mapping[int, Mapping[str, Any]]
    alt: str


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, in the order of the fields.

    Level 2 is a chapter, level 3 a part of the chapter before it. `anchor` is the section's address in the
    page (letters, digits, hyphens); `tag` a short word before the title, `group` the number of its colour.
    Images come in rows, those of a row side by side.
    """

    title: str
    anchor: str
    level: int = 2
    tag: str = ""
    group: int | None = None
    notices: Sequence[str] = ()
    paragraphs: Sequence[str] = ()
    facts: Sequence[Fact] = ()
    words: Mapping[str, Sequence[str]] | None = None
    figures: Sequence[Figure] = ()
    images: Sequence[Sequence[Image]] = ()
    strips: Sequence[Strip] = ()
    beside: bool = False
    tables: Sequence[Table] = ()
    command: str = ""
