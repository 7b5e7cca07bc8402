"""Label rows: how well the labels of random latents find them, beside the sheet a person reads."""

from __future__ import annotations

from collections.abc import Iterator

from app.suites.rows import Row, interval_row
from concept_graphs.reading import Card
from probes.metrics.intervals import bootstrap


def label_rows(sheet: dict[str, list[Card]]) -> Iterator[Row]:
    """Mean detection score per level with an interval over latents, and how many could be scored."""
    for level, cards in sheet.items():
        scores = [card.node.detection for card in cards if card.node.detection is not None]
        if scores:
            found = bootstrap([scores])
            unit = "area under the ROC curve of the label, held out, mean over random latents"
            yield interval_row(f"labels.random.{level}", [*found[:3], found.n], unit=unit, better="up")
        listed = sum(len(card.contexts) >= 3 for card in cards)
        unit = "random latents with contexts from three held-out documents"
        yield Row(name=f"labels.random.{level}.listed", value=listed, n=len(cards), unit=unit)
