"""What a handler refuses or warns of has to reach the person, whichever page it stands on."""

from __future__ import annotations

import inspect
import re
from typing import Any

SAYS = re.compile(r"gr\.(Error|Warning|Info)\(|\braised\(")


def test_gradio_shows_what_handlers_say_only_of_events_in_its_queue(page: Any) -> None:
    listened = [event for event in page.fns.values() if event.fn is not None]
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
