"""Keeping an opened cell: a name, a button, and where its graph is then."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import keeping
from app.components.run_panel import raised
from probes.files import slug

SAID = "Kept as the representation {name} and the graph {name}. The same from the command line:\n{command}"


class KeepRow:
    """Made where it is constructed inside a `gr.Blocks`."""

    def __init__(self) -> None:
        with gr.Row(equal_height=False):
            self.name = gr.Textbox(
                "",
                label="Name",
                info="Of the representation, and of the graph of its latents.",
                max_length=64,
                elem_id="grid-cell-name",
            )
            with gr.Column(min_width=220):
                self.go = gr.Button("Keep as a representation", variant="primary", size="sm", elem_id="grid-cell-keep")
                self.to_graph = gr.Button("Open its graph", size="sm", visible=False, elem_id="grid-cell-to-graph")
        self.said = gr.Textbox(
            "", show_label=False, lines=2, max_lines=20, interactive=False, visible=False, elem_id="grid-cell-kept"
        )

    @property
    def outputs(self) -> list[Any]:
        return [self.name, self.said, self.to_graph]

    @staticmethod
    def fresh(cell: str) -> list[Any]:
        """Values of `outputs` for a cell that was just opened."""
        return [slug(cell), gr.update(visible=False), gr.update(visible=False)]

    def wire(self, run: Any, cell: Any, method: Any, heavy: dict[str, Any]) -> None:
        """Keep what is shown; the edges are found by the method that is chosen there."""
        self.go.click(self._keep, [run, cell, self.name, method], [self.said, self.to_graph], **heavy)

    @staticmethod
    def _keep(run: str, cell: str, name: str, method: str) -> list[Any]:
        kept, command = raised(lambda: keeping.kept_now(run, cell, name, method))
        # The name is a slug by now, so it needs no escaping in an address.
        return [
            gr.update(value=SAID.format(name=kept, command=command), visible=True),
            gr.update(visible=True, link=f"/?tab=graph&graph={kept}"),
        ]
