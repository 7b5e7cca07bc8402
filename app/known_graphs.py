"""What the Identifiability page shows of a run: plain values from what its suite wrote; no gradio, no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from app.suite_runs import KNOWN_GRAPH
from app.suites.rows import Row, read_rows
from concept_graphs.known_figure import known_figures
from concept_graphs.known_graph import KnownGraph, read_known, twins_said
from concept_graphs.methods import CHANCE, COACTIVATION, TESTED, TRUE_VARIABLE, called
from concept_graphs.text import number, with_interval

# Columns of the tables, and the share of the width that each takes.
PAIR_COLUMNS = {
    "levels": "13%",
    "found by": "17%",
    "AP ↑": "17%",
    "F1 ↑": "17%",
    "F1 of tested ↑": "17%",
    "SHD ↓": "19%",
}
WHOLE_COLUMNS = {"of the whole": "30%", "value": "24%", "what it is": "46%"}
FIGURES = {"sid": "SID", "ancestor_aid": "ancestor AID", "mcc": "MCC", "twins_block_r2": "twins as a block, R²"}
ARROWS = {"up": " ↑", "down": " ↓", "": ""}


class Opened(NamedTuple):
    """A finished run: the graph of its first seed, and its rows by name."""

    slug: str
    known: KnownGraph
    rows: dict[str, Row]

    @property
    def stage(self) -> str:
        return f"{self.known.codes}.{self.known.world}"

    def row(self, *parts: str) -> Row | None:
        return self.rows.get(".".join((self.stage, *parts)))


def form_of() -> tuple[type[BaseModel], dict[str, Any]]:
    """The config that the form is made from, and values to start with: every proposal whose library is here."""
    from app.suites.registry import SUITES
    from concept_graphs.proposing import usable

    return SUITES.load(KNOWN_GRAPH.suite).Config, {"proposals": usable()}


def opened(slug: str) -> Opened:
    """What a finished run left, measured once and read again. Raises `WorkbenchError` where it is another run's."""
    folder = KNOWN_GRAPH.folder(slug)
    return Opened(slug, read_known(folder), {row.name: row for row in read_rows(folder).rows})


def method_choices(found: Opened) -> list[tuple[str, str]]:
    """(in words, name) of everything whose edges can be drawn."""
    return [(called(method), method) for method in found.known.methods]


def pictures(found: Opened, method: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The known graph and the one a method recovered; the first method's where there is no such method."""
    taken = method if method in found.known.methods else found.known.methods[0]
    return known_figures(found.known, taken, called(taken))


def pair_table(found: Opened) -> list[list[str]]:
    """Per pair of levels a row per method, beside co-activation and a random order; then the whole graph."""
    methods = [name for name in found.known.methods if not name.endswith(TESTED)]
    table = []
    for at, pair in enumerate(found.known.pairs):
        levels = " – ".join(_ends(found, at))
        for method in (*methods, TRUE_VARIABLE):
            if found.row(pair.name, method, "f1") is not None:
                cells = [found.row(pair.name, method, figure) for figure in ("ap", "f1")]
                tested, shd = found.row(pair.name, method + TESTED, "f1"), found.row(pair.name, method, "shd")
                table.append([levels, _named(method), *map(_cell, [*cells, tested]), _cell(shd, 1)])
        table.append([levels, called(CHANCE), _cell(found.row(pair.name, CHANCE)), "", "", ""])
    whole = [(method, found.row("graph", method, "shd")) for method in methods]
    return table + [["all", _named(method), "", "", "", _cell(row, 1)] for method, row in whole if row is not None]


def whole_table(found: Opened) -> list[list[str]]:
    """Figures of concepts, and of the whole graph as effects would be estimated from it."""
    pairs = {pair.name for pair in found.known.pairs}
    table = []
    for name, row in found.rows.items():
        parts = name.removeprefix(f"{found.stage}.").split(".")
        single = parts[-1].startswith("seed-")
        if parts[0] in pairs or single or parts[-1] == "shd" or any(part.endswith(TESTED) for part in parts):
            continue
        what = ", ".join(FIGURES.get(part, called(part)) for part in parts)
        table.append([what + ARROWS[row.better], _cell(row, 3), row.unit])
    return sorted(table, key=lambda line: line[0].startswith("graph"))


def sentences(found: Opened, method: str) -> list[str]:
    """What the figures say of a method, in plain words."""
    said = [*_f1_said(found, method)]
    learned = found.row("mcc")
    if learned is not None:
        said.append(f"Learned latents follow their concepts with a mean |correlation| of {_cell(learned)}.")
    crowded = [
        f"{len(level.latents)} concepts of {level.name} share {level.dimensions} dimensions"
        for level in found.known.levels
        if len(level.latents) > level.dimensions
    ]
    if crowded:
        said.append(f"{'; '.join(crowded)}: they lie on top of each other, and even the world reads them with errors.")
    said += twins_said(found.known)
    seeds = max(row.seeds for row in found.rows.values())
    over = f"means over {seeds} worlds with 95 % intervals" if seeds > 1 else "of one world: more seeds give intervals"
    cut = "every ranking is cut where F1 is best on other worlds, which are scored nowhere"
    return [*said, f"Figures are {over}; {cut}."]


def _f1_said(found: Opened, method: str) -> Iterator[str]:
    """One sentence: F1 of every pair of levels, beside co-activation."""
    parts = []
    for at, pair in enumerate(found.known.pairs):
        row = found.row(pair.name, method, "f1")
        if row is None or row.value is None:
            continue
        said = f"{_cell(row)} between {' and '.join(_ends(found, at))}"
        if row.baseline is not None:
            said += f", {_beside(row)} {number(row.baseline)} of {called(COACTIVATION)}"
        parts.append(said)
    if parts:
        yield f"By {called(method)}, F1 is {'; '.join(parts)}."


def _beside(row: Row) -> str:
    """How a figure stands to its baseline, as far as its interval says."""
    assert row.baseline is not None
    if row.low is None or row.high is None:
        return "beside"
    if row.low > row.baseline:
        return "above the"
    return "below the" if row.high < row.baseline else "not told apart from the"


def _ends(found: Opened, at: int) -> list[str]:
    return [level.name for level in found.known.levels[at : at + 2]]


def _named(method: str) -> str:
    return called(method) + (" (baseline)" if method == COACTIVATION else "")


def _cell(row: Row | None, digits: int = 2) -> str:
    return "" if row is None else with_interval(row.value, row.low, row.high, digits)
