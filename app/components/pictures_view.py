"""Steered against unsteered pictures, seed by seed, with the difference, the figures and the controls."""

from __future__ import annotations

from typing import ClassVar

from app.components.base import Drawn


class PicturesView(Drawn):
    """Value: what `app.pages.outcome.pictures_value` or `evidence_value` returns; `{message}` before the first
    run; `{busy, done, total, message}` while one runs and `{message, failed}` when it failed, both of which
    leave what is shown."""

    source: ClassVar[str] = "pictures_view"
