"""Which labels fit beside their markers: greedy, the most connected concepts first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from concept_graphs.text import esc_plotly, visible

CHARACTER = 6.3  # mean width of a character at 11 px, system fonts
LONGEST, SHORT = 26, 11  # characters of a label, and of one where there is no room for it whole
GAP = 8.0
LINE = 13.0  # height of a line of labels, in pixels


@dataclass(frozen=True)
class Anchor:
    """A marker that would like a label: node row, place (x in [0, 1], y in levels), text, importance."""

    row: int
    x: float
    y: float
    text: str
    pull: float


def placed_labels(anchors: Sequence[Anchor], width: int) -> tuple[dict[int, str], dict[int, str]]:
    """Texts (escaped) and plotly text positions by node row, for the labels that fit in `width` pixels.

    The lowest storey carries its labels below, every other one above; in a crowded storey only the
    outermost sub-row has free space. Each side offers two lines of labels.
    """
    texts: dict[int, str] = {}
    sides: dict[int, str] = {}
    storeys: dict[int, list[Anchor]] = {}
    for anchor in anchors:
        storeys.setdefault(round(anchor.y), []).append(anchor)
    lowest = min(storeys, default=0)
    for storey, members in storeys.items():
        below = storey == lowest and len(storeys) > 1
        edge = (min if below else max)(anchor.y for anchor in members)
        taken: list[list[tuple[float, float]]] = [[], []]
        outer = [anchor for anchor in members if abs(anchor.y - edge) < 1e-6]
        for anchor in sorted(outer, key=lambda a: (-a.pull, a.row)):
            text = esc_plotly(anchor.text, LONGEST)
            length = CHARACTER * min(len(visible(anchor.text)), LONGEST)
            left, side = _span(anchor.x * width, length, width)
            for tier, spans in enumerate(taken):
                if all(left + length + GAP < start or left > end + GAP for start, end in spans):
                    spans.append((left, left + length))
                    texts[anchor.row] = _lifted(text, tier, below)
                    sides[anchor.row] = f"{'bottom' if below else 'top'} {side}"
                    break
    return texts, sides


def placed_beside(anchors: Sequence[Anchor], width: int, height: float) -> tuple[dict[int, str], dict[int, str]]:
    """The same for concepts that stand one above the other: labels beside their markers, where they meet neither
    another label nor another marker. `height`: pixels of one unit of y."""
    texts: dict[int, str] = {}
    sides: dict[int, str] = {}
    taken = [(a.x * width - GAP, a.x * width + GAP, a.y * height, a.row) for a in anchors]
    for anchor in sorted(anchors, key=lambda a: (-a.pull, a.row)):
        centre, y = anchor.x * width, anchor.y * height
        for most, side in product((LONGEST, SHORT), ("right", "left")):
            length = CHARACTER * min(len(visible(anchor.text)), most)
            left = centre + GAP if side == "right" else centre - GAP - length
            right = left + length
            met = any(
                abs(y - other) < LINE and left < end and right > start and row != anchor.row
                for start, end, other, row in taken
            )
            if left >= 0 and right <= width and not met:
                taken.append((left, right, y, anchor.row))
                texts[anchor.row], sides[anchor.row] = esc_plotly(anchor.text, most), f"middle {side}"
                break
    return texts, sides


def placed_in_line(wanted: Sequence[tuple[float, str]], width: float) -> list[tuple[float, int] | None]:
    """Texts in one line around their centres (pixels), those wanted first in preference.

    For each the centre it gets and how many of its characters may be shown, or None where it would meet another.
    """
    taken: list[tuple[float, float]] = []
    placed: list[tuple[float, int] | None] = []
    for centre, text in wanted:
        found = None
        for most in (LONGEST, SHORT):
            length = CHARACTER * min(len(visible(text)), most)
            left = min(max(centre - length / 2, 0.0), max(width - length, 0.0))
            if all(left + length + GAP < start or left > end + GAP for start, end in taken):
                taken.append((left, left + length))
                found = left + length / 2, most
                break
        placed.append(found)
    return placed


def _span(centre: float, length: float, width: float) -> tuple[float, str]:
    """Left end of a label and its horizontal position word, kept inside the picture."""
    if centre - length / 2 < 0:
        return centre, "right"
    if centre + length / 2 > width:
        return centre - length, "left"
    return centre - length / 2, "center"


def _lifted(text: str, tier: int, below: bool) -> str:
    if not tier:
        return text
    return f" <br>{text}" if below else f"{text}<br> "
