"""What a handler refuses or warns of has to reach the person, whichever page it stands on."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from app import server
from app.settings import Settings

SAYS = re.compile(r"gr\.(Error|Warning|Info)\(|\braised\(")


def test_gradio_shows_what_handlers_say_only_of_events_in_its_queue(
    monkeypatch: pytest.MonkeyPatch, synthetic_graph: str
) -> None:
    built: list[Any] = []
    build = server.build_page
    monkeypatch.setattr(server, "build_page", lambda context: built.append(build(context)) or built[-1])
    server.create_app(Settings())
    listened = [event for event in built[0].fns.values() if event.fn is not None]
    speaking = [event for event in listened if SAYS.search(_source(event.fn))]
    assert len(speaking) >= 12
    assert [_name(event.fn) for event in speaking if not event.queue] == []


def _source(handler: Any) -> str:
    try:
        return inspect.getsource(inspect.unwrap(handler))
    except (OSError, TypeError):
        return ""


def _name(handler: Any) -> str:
    found = inspect.unwrap(handler)
    return f"{found.__module__}.{getattr(found, '__qualname__', found)}"
