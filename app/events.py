"""How the browser's events are listened to."""

from __future__ import annotations

from typing import Any

# Answered at once, beside what waits in the queue, without a veil over the page, and no part of the public API.
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# Gradio sends the change event of a State only after events that went through its queue.
TELLING: dict[str, Any] = QUIET | {"queue": True, "concurrency_limit": None}
