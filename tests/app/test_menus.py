"""What a page still shows may be offered no longer: the question reaches its handler, which knows what there is."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from app import jobs
from app.components.menu import Menu
from app.grid_cells import cell_of
from app.worker import execute

TINY: dict[str, Any] = {
    "tasks": ["infonce", "reconstruction"],
    "constraints": ["none"],
    "world": {"kind": "vectors", "d": 6, "factors": 3},
    "seeds": 1,
    "curve_seeds": 1,
    "restarts": 1,
    "network": {"width": 8, "rows": 200, "scale_after": 2, "optimiser": {"steps": 4, "batch": 32}},
    "scoring": {"rows": 80, "kernel_rows": 0, "tree_rows": 0},
}


def asked(page: gr.Blocks, event: Any, given: list[Any], session: SessionState) -> list[Any]:
    """What a browser is told when it asks."""
    return list(asyncio.run(page.process_api(event, given, state=session))["data"])


def part(page: gr.Blocks, elem_id: str) -> Any:
    return next(one for one in page.blocks.values() if getattr(one, "elem_id", None) == elem_id)


def test_every_menu_whose_offer_changes_hands_on_what_it_offered_before(page: gr.Blocks) -> None:
    changed = {id(one): one for event in page.fns.values() for one in event.outputs if isinstance(one, gr.Dropdown)}
    refusing = {one.elem_id for one in changed.values() if not isinstance(one, Menu) and not one.allow_custom_value}
    # The rows of the registry that a job is made of: only the sentence below changes.
    assert {name for name in refusing if not str(name).startswith("train-row-")} == set()
    assert sum(isinstance(one, Menu) for one in changed.values()) >= 12


@pytest.mark.parametrize("several", [False, True])
def test_what_was_offered_before_is_handed_on_and_what_is_no_choice_is_refused(several: bool) -> None:
    with gr.Blocks() as page:
        menu, exchange = Menu(["a"], value="a", multiselect=several), gr.Button()
        exchange.click(lambda: gr.update(choices=["b"]), outputs=menu, api_name="exchange")
        exchange.click(str, menu, gr.Textbox(), api_name="ask")
    exchanged, question = page.fns.values()
    session, chosen = SessionState(page), ["a"] if several else "a"
    asked(page, exchanged, [], session)
    assert asked(page, question, [chosen], session) == [str(chosen)]
    for made in ({"a": 1}, [["a"]], ["a"] if not several else [{}]):
        with pytest.raises(gr.Error, match="not in the list of choices"):
            asked(page, question, [made], session)


def test_a_cell_opens_though_the_page_shows_the_menu_of_another_pair(
    page: gr.Blocks, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """The menu of cells has been exchanged, and Open is pressed before the browser has drawn it."""
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    execute(run := jobs.new_run("evaluate", jobs.config_for("evaluate", {"suite": "grid", "name": "g", "grid": TINY})))
    pairs, cells, detail = (part(page, f"grid-cell-{name}") for name in ("pair", "which", "detail"))
    offer = next(one for one in page.fns.values() if one.outputs == [cells, detail] and pairs in one.inputs)
    go = next(one for one in page.fns.values() if one.outputs[:1] == [detail] and len(one.outputs) > 5)
    before, session = cell_of(run.slug, "infonce/none", ""), SessionState(page)
    asked(page, offer, [run.slug, "reconstruction/none", None], session)
    told = asked(page, go, [run.slug, "reconstruction/none", before, 0, 2, None], session)
    assert told[0]["visible"] is True
    shown = [told[go.outputs.index(part(page, f"grid-cell-{name}"))] for name in ("which", "name")]
    assert shown[0]["value"] == shown[1] == cell_of(run.slug, "reconstruction/none", "") != before
