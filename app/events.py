"""How the browser's events are listened to."""

from __future__ import annotations

from typing import Any

# Answered at once, beside what waits in the queue, without a veil over the page, and no part of the public API.
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# Through the queue. Gradio shows what a handler refuses or warns of, and sends the change event of a State, only of
# such events: whatever may refuse is listened to like this.
TELLING: dict[str, Any] = QUIET | {"queue": True, "concurrency_limit": None}
