"""A comparison of two graphs in words for people: a line per change, and a summary in a few."""

from __future__ import annotations

from typing import NamedTuple

from concept_graphs.comparison import GraphComparison, OneSided
from concept_graphs.text import number


class Change(NamedTuple):
    """One line of a comparison for people."""

    what: str
    kind: str
    first: str
    second: str
    note: str


def changes(found: GraphComparison) -> list[Change]:
    """Every concept and edge as a line: lost and new ones before kept ones."""
    rows = [Change("concept", "lost", f"{n.id} {n.label}", n.undrawn or "", _undrawn(n)) for n in found.lost]
    rows += [Change("concept", "new", n.undrawn or "", f"{n.id} {n.label}", _undrawn(n)) for n in found.new]
    for kind, edges in (("lost", found.lost_edges), ("new", found.new_edges), ("kept", found.kept_edges)):
        for edge in edges:
            ends = f"{edge.source} {'–' if edge.oriented is False else '→'} {edge.target}"
            first, second = (_effect(one) for one in (edge.effect_a, edge.effect_b))
            note = "" if kind == "kept" else f"the other graph: {edge.there}"
            named = (first, _joined(ends, second)) if kind == "new" else (_joined(ends, first), second)
            rows.append(Change("edge", kind, *named, note))
    kept = sorted(found.kept, key=lambda row: row.similarity)
    rows += [
        Change("concept", "kept", f"{n.a} {n.label_a}", f"{n.b} {n.label_b}", f"alike {n.similarity:.2f}") for n in kept
    ]
    return rows


def summary(found: GraphComparison) -> list[str]:
    """The comparison in a few lines, what must be known before the rest first."""
    ways = {
        "index": "by their index, both graphs being of the same latents",
        "decoder": "by the cosine of their decoder rows",
        "shown": "by their label tokens and examples",
    }
    lines = [
        f"{row.a if row.a == row.b else f'{row.a} and {row.b}'}: {row.kept} concepts kept, {row.lost} lost, "
        f"{row.new} new, matched {ways[row.by]}"
        for row in reversed(found.levels)
    ]
    counts = len(found.kept_edges), len(found.lost_edges), len(found.new_edges)
    said = "confirmed edges" if found.edges == "confirmed" else "proposed edges" if found.untested else "edges"
    agree = "" if found.edge_agreement is None else f"; of concepts both have, {found.edge_agreement:.0%} agree"
    return [*found.notices, *lines, "{} {} kept, {} lost, {} new{}".format(counts[0], said, *counts[1:], agree)]


def _undrawn(node: OneSided) -> str:
    return f"the other probe has it as {node.undrawn}, its graph has not" if node.undrawn else ""


def _joined(ends: str, effect: str) -> str:
    return f"{ends}, {effect}" if effect else ends


def _effect(value: float | None) -> str:
    return "" if value is None else f"effect {number(value)}"
