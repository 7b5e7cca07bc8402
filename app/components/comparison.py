"""Steered and unsteered text side by side, with the damage per token and the control rows."""

from __future__ import annotations

from typing import ClassVar

from app.components.base import Drawn


class ComparisonView(Drawn):
    """Value: what `app.pages.outcome.outcome_value` returns, or `{message}` before the first run."""

    source: ClassVar[str] = "comparison"
