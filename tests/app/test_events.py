"""What a handler refuses or warns of has to reach the person, whichever page it stands on."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from typing import Any

import gradio as gr

from app.server import PAGES

SAYS = re.compile(r"gr\.(Error|Warning|Info)\(|\braised\(")


def test_gradio_shows_what_handlers_say_only_of_events_in_its_queue(page: Any) -> None:
    listened = [event for event in page.fns.values() if event.fn is not None]
    speaking = [event for event in listened if SAYS.search(_source(event.fn))]
    assert len(speaking) >= 12
    assert [_name(event.fn) for event in speaking if not event.queue] == []


def test_a_visitor_costs_one_question_and_each_tab_one_more(page: Any) -> None:
    """A question costs the browser some tenths of a second, and a page that opens with twenty is slow to be seen."""
    at_once = [event for event in page.fns.values() if event.fn and "load" in {name for _, name in event.targets}]
    assert [_name(event.fn) for event in at_once] == ["app.pages.graph.build.<locals>.arrive"]
    by_tab = Counter(
        page.blocks[of].id
        for event in page.fns.values()
        for of, name in event.targets
        if event.fn and name == "select" and isinstance(page.blocks.get(of), gr.Tab)
    )
    assert set(by_tab) == {name.lower() for name in PAGES} and set(by_tab.values()) == {1}


def _source(handler: Any) -> str:
    try:
        return inspect.getsource(inspect.unwrap(handler))
    except (OSError, TypeError):
        return ""


def _name(handler: Any) -> str:
    found = inspect.unwrap(handler)
    return f"{found.__module__}.{getattr(found, '__qualname__', found)}"
