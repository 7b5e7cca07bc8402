"""The toolbar of the graph page: what is searched, which levels and edges are drawn."""

from __future__ import annotations

from typing import Any, ClassVar

from app.components.base import Drawn

DEFAULT_VIEW: dict[str, Any] = {
    "search": "",
    "levels": [],
    "min_effect": 0.0,
    "top_k": 6,
    "composed": True,
    "carried": True,
    "unsupported": False,
}
KINDS = ("composed", "carried", "unsupported")


class ViewBar(Drawn):
    """Value: a dictionary like `DEFAULT_VIEW` (an empty level list means all). Props: `levels`, level
    names; `kinds`, names of the kinds of edges that can be shown or hidden.

    Event: `change`, when the person or a handler changes the value.
    """

    source: ClassVar[str] = "view_bar"

    def __init__(self, value: Any = None, **props: Any) -> None:
        super().__init__(
            value or dict(DEFAULT_VIEW), **{"levels": [], "kinds": [*KINDS], "defaults": dict(DEFAULT_VIEW), **props}
        )
