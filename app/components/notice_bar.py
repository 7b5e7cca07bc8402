"""Warnings that belong to what is on screen, and the first steps for someone new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from app.components.base import Drawn


class NoticeBar(Drawn):
    """Value: `{hint: {key, steps}?, warnings: [str], notes: [str]}`; see `notices`."""

    source: ClassVar[str] = "notice_bar"


def notices(warnings: Sequence[str] = (), notes: Sequence[str] = (), **hint: Sequence[str]) -> dict[str, Any]:
    """The value of a `NoticeBar`; `notices(tour=[...])` adds a hint in steps remembered under `tour`."""
    value: dict[str, Any] = {"warnings": list(warnings), "notes": list(notes)}
    for key, steps in hint.items():
        value["hint"] = {"key": key, "steps": list(steps)}
    return value
