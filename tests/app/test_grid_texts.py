"""What the Grid page says of a cell is read whole on a phone: no box is lower than its text."""

from __future__ import annotations

import gradio as gr

from app.pages.grid_cell import CellPanel

LONGEST = 20  # lines of what is said of a cell, on a phone


def test_no_text_of_a_cell_is_cut() -> None:
    with gr.Blocks() as page:
        CellPanel(gr.Dropdown([]))
    told = [one for one in page.blocks.values() if isinstance(one, gr.Textbox) and one.interactive is False]
    assert len(told) == 3 and all((one.max_lines or 0) >= LONGEST for one in told)


def test_all_that_opens_or_closes_a_cell_waits_in_one_line() -> None:
    """Beside it, an answer that closes could come after the one that opens, and nothing would be seen."""
    with gr.Blocks() as page:
        panel = CellPanel(gr.Dropdown([]))
        panel.wire()
    acts = [fn for fn in page.fns.values() if panel.detail in fn.outputs]
    assert len(acts) == 3 and {fn.queue for fn in acts} == {True}
    assert len({fn.concurrency_id for fn in acts}) == 1 and {fn.concurrency_limit for fn in acts} == {1}
