"""The part of a report about minimality: edges of the selection maps against held-out bits."""

from __future__ import annotations

from concept_graphs.text import number
from concept_graphs.tradeoff_curve import Tradeoff, in_sentences, tradeoff_figure
from probes.sections import Cell, Figure, Measure, Section, Table

NOTE = (
    "Maps were fitted at several prices of an edge and scored on rows of chunks they had not seen. Bits: residual of "
    "the higher codes and the row's share of the edges; lower is better. The star is the highest price within one "
    "standard error of the fewest bits."
)
HEADERS = ["price", "edges", "edges a probe keeps", "bits per held-out row", "% of no map"]


def tradeoff_section(found: Tradeoff) -> Section:
    tables = []
    for curve in found.curves:
        rows: list[list[Cell]] = [
            [
                f"{point.price:g}" + (" ★" if point.price == curve.chosen else ""),
                number(point.edges, 1),
                number(point.kept, 1),
                Measure(point.bits, point.low, point.high),
                number(100 * point.bits / curve.plain, 1),
            ]
            for point in curve.points
        ]
        tables.append(Table(HEADERS, rows, f"{curve.lower} to {curve.upper}", stacked=True))
    said = in_sentences(found)
    return Section(
        "Edges against bits",
        "trade-off",
        paragraphs=[NOTE, *said],
        figures=[Figure({width: tradeoff_figure(found) for width in (350, 680, 1000)}, said[0])],
        tables=tables,
    )
