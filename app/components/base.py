"""What every component of the workbench shares: a constant template and a script that draws the value.

Nothing from a model, a file or a person is ever pasted into a template: the script receives plain data
and sets it with `textContent`, or hands it to plotly already escaped.
"""

from __future__ import annotations

from abc import ABCMeta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr
from gradio.component_meta import ComponentMeta, updateable

WEB = Path(__file__).parent / "web"


@cache
def script(name: str) -> str:
    """The text of one of the package's own front-end files."""
    return (WEB / name).read_text(encoding="utf-8")


@cache
def versioned(name: str) -> str:
    """Address of one of the package's own static files; it changes when the content does."""
    return f"/static/{name}?v={sha256((WEB / name).read_bytes()).hexdigest()[:12]}"


@cache
def plotly_address() -> str:
    """Address of the plotly.js that belongs to the installed plotly package."""
    from importlib.metadata import version

    return f"/static/plotly.min.js?v={version('plotly')}"


class WithoutStub(ComponentMeta):
    """Gradio's component metaclass writes a `.pyi` file beside every subclass; here it must not."""

    def __new__(mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> type:
        if "__init__" in attrs:
            attrs["__init__"] = updateable(attrs["__init__"])
        return ABCMeta.__new__(mcs, name, bases, attrs)


class Drawn(gr.HTML, metaclass=WithoutStub):
    """A component drawn by `web/<source>.js` from its value and props.

    Subclasses name their script; the events they send are those quoted in it. A prop can be updated
    alone by returning `gr.update(prop=...)` from a handler.
    """

    source: ClassVar[str]
    needs_plotly: ClassVar[bool] = False

    def __init__(self, value: Any = None, *, elem_id: str | None = None, **props: Any) -> None:
        address = versioned("fulcrum.js")
        head = f'<script src="{address}"></script>'
        if self.needs_plotly:
            head += f'<script src="{plotly_address()}"></script>'
        # An update inside a handler passes the whole constructor back, these included.
        for own in ("html_template", "js_on_load", "head", "apply_default_css"):
            props.pop(own, None)
        super().__init__(
            value,
            html_template='<div class="fc-root"></div>',
            js_on_load=script(f"{self.source}.js"),
            apply_default_css=False,
            head=head,
            elem_id=elem_id,
            **props,
        )
