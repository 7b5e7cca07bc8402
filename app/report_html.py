"""Sections as one HTML document: self-contained, nothing requested, every string escaped here."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from html import escape

from app.components.base import script
from app.static import plotly_file
from concept_graphs.text import number, visible, visible_token
from probes.sections import Cell, Fact, Figure, Image, Link, Measure, Section, Strip, Table

MARK_WIDTH, MARK_HEIGHT = 96, 14  # of the picture of a measure, in pixels
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")


def render(title: str, byline: str, sections: Sequence[Section]) -> str:
    """The whole document. Its policy allows two scripts by their hashes, and no request of any kind."""
    plotly, draw = plotly_file().read_text(encoding="utf-8"), script("report.js")
    allowed = " ".join(f"'sha256-{_digest(text)}'" for text in (plotly, draw))
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    anchors = {section.anchor for section in sections}
    body = "".join(_chapter(chapter, anchors) for chapter in _chapters(sections))
    data = "".join(_data(name, figure) for name, figure in _figures(sections))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{_text(title)}</title><style>{script('report.css')}</style></head><body>"
        f'{_contents(sections)}<main><header><h1>{_text(title)}</h1><p class="note">{_text(byline)}</p></header>'
        f"{body}</main>{data}<script>{plotly}</script><script>{draw}</script></body></html>"
    )


def _digest(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _text(content: str) -> str:
    """The choke point: a string from anywhere, with nothing hidden in it and nothing left to interpret."""
    return escape(visible(content))


def _chapters(sections: Sequence[Section]) -> list[list[Section]]:
    """Each section of level 2 with the parts that follow it."""
    chapters: list[list[Section]] = []
    for section in sections:
        if section.level == 2 or not chapters:
            chapters.append([])
        chapters[-1].append(section)
    return chapters


def _contents(sections: Sequence[Section]) -> str:
    """The navigation: chapters, and the parts of each."""
    items = []
    for chapter, *parts in _chapters(sections):
        inner = "".join(f"<li>{_anchor(part)}</li>" for part in parts)
        items.append(f"<li>{_anchor(chapter)}{f'<ol>{inner}</ol>' if inner else ''}</li>")
    return f'<nav aria-label="Contents"><ol>{"".join(items)}</ol></nav>'


def _anchor(section: Section) -> str:
    group = "" if section.group is None else f' class="group-{section.group}"'
    return f'<a href="#{escape(section.anchor)}"{group}>{_text(section.title)}</a>'


def _chapter(sections: Sequence[Section], anchors: set[str]) -> str:
    first, *parts = (_section(section, anchors) for section in sections)
    return f'<section class="chapter">{first}{"".join(parts)}</section>'


def _section(section: Section, anchors: set[str]) -> str:
    name = escape(section.anchor)
    group = "" if section.group is None else f" group-{section.group}"
    tag = f'<span class="tag{group}">{_text(section.tag)}</span>' if section.tag else ""
    inner = "".join(
        (
            f"{tag}<h{section.level}>{_text(section.title)}</h{section.level}>",
            *(f'<p class="notice" role="note">{_text(text)}</p>' for text in section.notices),
            *(f"<p>{_text(text)}</p>" for text in section.paragraphs),
            _facts(section.facts),
            *(_words(name, words) for name, words in (section.words or {}).items()),
            *(_plot(section.anchor, at, figure) for at, figure in enumerate(section.figures)),
            *map(_image_row, section.images),
            f'<div class="strips{" beside" if section.beside else ""}">' if section.strips else "",
            *map(_strip, section.strips),
            "</div>" if section.strips else "",
            *(_table(table, anchors) for table in section.tables),
            f'<p class="note">The same again:</p><p class="command">{_command(section.command)}</p>'
            if section.command
            else "",
        )
    )
    kind = "part" if section.level > 2 else "opening"
    return f'<article id="{name}" class="{kind}">{inner}</article>'


def _command(content: str) -> str:
    """A command line as it is typed, line by line."""
    return "<br>".join(map(_text, content.split("\n")))


def _facts(facts: Sequence[Fact]) -> str:
    cells = "".join(
        f'<div><dt>{_text(fact.name)}</dt><dd>{_text(fact.value)}</dd><dd class="note">{_text(fact.note)}</dd></div>'
        for fact in facts
    )
    return f'<dl class="facts">{cells}</dl>' if cells else ""


def _words(name: str, words: Sequence[str]) -> str:
    chips = " ".join(f"<span>{_text(word)}</span>" for word in words)
    return f'<p class="words"><b>{_text(name)}</b> {chips}</p>'


def _plot(anchor: str, at: int, figure: Figure) -> str:
    name = escape(f"{anchor}-{at}")
    return f'<div class="plot" data-figure="{name}" role="img" aria-label="{_text(figure.alt)}"></div>'


def _image_row(images: Sequence[Image]) -> str:
    """Images side by side, each over its title and note."""
    figures = (
        f'<figure>{_image(image)}<figcaption><b>{_text(image.title)}</b> <span class="note">{_text(image.note)}</span>'
        "</figcaption></figure>"
        for image in images
    )
    return f'<div class="images">{"".join(figures)}</div>'


def _image(image: Image) -> str:
    """The choke point of pictures: an embedded PNG, or the words for it where the address is anything else."""
    if PICTURE.fullmatch(image.address) is None:
        return f'<span class="note">{_text(image.alt)}: no picture</span>'
    return f'<img src="{image.address}" alt="{_text(image.alt)}">'


def _figures(sections: Sequence[Section]) -> Iterator[tuple[str, Figure]]:
    for section in sections:
        for at, figure in enumerate(section.figures):
            yield f"{section.anchor}-{at}", figure


def _data(name: str, figure: Figure) -> str:
    """All variants as one data block, which no browser executes; without a `<` nothing can end it."""
    data = json.dumps(figure.variants, allow_nan=False).replace("<", "\\u003c").replace("&", "\\u0026")
    return f'<script type="application/json" id="{escape(name)}">{data}</script>'


def _table(table: Table, anchors: set[str]) -> str:
    head = "".join(f'<th scope="col">{_text(text)}</th>' for text in table.headers)
    rows = "".join(f"<tr>{_cells(row, table.headers, anchors)}</tr>" for row in table.rows)
    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    kind = "stacked" if table.stacked else "plain"
    return (
        f'<div class="scroll"><table class="{kind}">{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cells(row: Sequence[Cell], headers: Sequence[str], anchors: set[str]) -> str:
    """The cells of a row; its measures share one scale, so that they can be compared."""
    scale = max((_reach(cell) for cell in row if isinstance(cell, Measure)), default=0.0) or 1.0
    return "".join(
        f'<td data-name="{_text(name)}">{_cell(cell, scale, anchors)}</td>'
        for name, cell in zip(headers, row, strict=True)
    )


def _cell(cell: Cell, scale: float, anchors: set[str]) -> str:
    if isinstance(cell, Measure):
        return "–" if cell.value is None else _measure(cell, scale)
    if isinstance(cell, Image):
        return _image(cell)
    if isinstance(cell, Link):
        shown = _text(cell.text)
        return f'<a href="#{escape(cell.anchor)}">{shown}</a>' if cell.anchor in anchors else shown
    return _text(cell)


def _reach(measure: Measure) -> float:
    return max(abs(part or 0.0) for part in (measure.value, measure.low, measure.high, measure.null))


def _measure(measure: Measure, scale: float) -> str:
    """Null band, interval and dot around a zero line, then the same in figures."""

    def x(value: float) -> float:
        return round(MARK_WIDTH / 2 * (1 + 0.96 * value / scale), 1)

    value, null = measure.value or 0.0, measure.null
    interval = measure.low is not None and measure.high is not None
    low, high = (measure.low or 0.0, measure.high or 0.0) if interval else (value, value)
    middle = MARK_HEIGHT / 2
    band = (
        "" if null is None else f'<rect x="{x(-null)}" width="{round(x(null) - x(-null), 1)}" height="{MARK_HEIGHT}"/>'
    )
    picture = (
        f'<svg class="measure" width="{MARK_WIDTH}" height="{MARK_HEIGHT}" aria-hidden="true">{band}'
        f'<path class="zero" d="M{x(0)} 0V{MARK_HEIGHT}"/><path d="M{x(low)} {middle}H{x(high)}"/>'
        f'<circle cx="{x(value)}" cy="{middle}" r="2.6"/></svg>'
    )
    ends = f" [{_figure(low)}, {_figure(high)}]" if interval else ""
    against = "" if null is None else f'<span class="note"> null {_figure(null)}</span>'
    return f'{picture} <span class="figures">{_figure(value)}{ends}</span>{against}'


def _figure(value: float) -> str:
    """Three significant digits, with a real minus sign."""
    return f"{value:#.3g}".removesuffix(".").replace("-", "−")


def _strip(strip: Strip) -> str:
    title = f"<h4>{_text(strip.title)}</h4>" if strip.title else ""
    lead = f'<span class="lead">{_text(strip.lead)}</span>' if strip.lead else ""
    source = f'<div class="note">{_text(strip.source)}</div>' if strip.source else ""
    largest = max((abs(value) for value in strip.values), default=0.0) or 1.0
    tokens = "".join(_token(token, strip.values[at : at + 1], largest) for at, token in enumerate(strip.tokens))
    return f'<div class="strip">{title}<p>{lead}{tokens}</p>{source}</div>'


def _token(token: str, values: Sequence[float], largest: float) -> str:
    shown = visible_token(token)
    text = escape(shown.replace("␣", " ") if "␣" not in token else shown)
    ending = "<br>" if "\n" in token else ""
    if not values or not values[0]:
        return text + ending
    colour = "pos" if values[0] > 0 else "neg"
    strength = round(100 * min(1.0, abs(values[0]) / largest))
    return f'<span class="{colour}" style="--strength:{strength}%" title="{number(values[0], 3)}">{text}</span>{ending}'
