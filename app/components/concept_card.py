"""The inspector of one concept: label, figures, edges with intervals, examples, promoted tokens."""

from __future__ import annotations

from typing import ClassVar

from app.components.base import Drawn


class ConceptCard(Drawn):
    """Value: what `app.pages.inspect.card` returns, or `{message}` when no concept is chosen.

    Events: `concept_open` with `{id}` (a neighbour was clicked), `label_save` with `{id, label}`,
    `lever_add` with `{id}`.
    """

    source: ClassVar[str] = "concept_card"
