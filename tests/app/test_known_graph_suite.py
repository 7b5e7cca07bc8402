"""One world with its dials set: its file says the same as its rows, and the page reads it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app import jobs, known_graphs
from app.components.config_form import ConfigForm
from app.suite_runs import KNOWN_GRAPH
from app.worker import execute
from concept_graphs.known_graph import held_against
from concept_graphs.methods import BOOTSTRAP, COACTIVATION, INTERVENTION, TESTED
from concept_graphs.proposing import FROM_CODES
from probes.errors import WorkbenchError
from probes.runs import Run
from probes.worlds.registry import HIERARCHIES
from tests.fixtures.suites import few_resamples, rows_of

PROPOSALS = ["gates", COACTIVATION, "ridge"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    few_resamples(monkeypatch)


def made(name: str, **values: Any) -> Run:
    given = {"suite": KNOWN_GRAPH.suite, "name": name, KNOWN_GRAPH.section: {"proposals": PROPOSALS} | values}
    return jobs.new_run("evaluate", jobs.config_for("evaluate", given, "tiny"))


def test_the_picture_holds_what_the_rows_count() -> None:
    run = made("known", seeds=2, world={"kind": "generated", "low": 8, "middle": 4, "high": 2, "d_model": 12})
    rows = rows_of(execute(run))
    found = known_graphs.opened(run.slug)
    assert set(found.rows) == set(rows) and KNOWN_GRAPH.names() == [run.slug]
    every = [*PROPOSALS, BOOTSTRAP]
    assert set(found.known.methods) == {*every, *(name + TESTED for name in every), INTERVENTION}
    for at, pair in enumerate(found.known.pairs):
        for method in found.known.methods:
            held = held_against(found.known, at, method)
            wrong = len(held.missed) + len(held.extra) + len(held.astray)
            assert rows[f"oracle.generated.{pair.name}.{method}.shd.seed-0"].value == wrong
            assert rows[f"oracle.generated.{pair.name}.{method}.f1"].low is not None
    table = known_graphs.pair_table(found)
    named = [(line[0], line[1]) for line in table]
    assert ("low – middle", "co-activation (baseline)") in named and ("all", "gates") in named
    assert ("middle – high", "a random order") in named
    (first, *_), said = known_graphs.pictures(found, "gates"), known_graphs.sentences(found, "gates")
    assert "seed 0" in first["layout"]["title"]["text"]
    assert said[0].startswith("By gates, F1 is ") and "of co-activation" in said[0]
    assert "means over 2 worlds" in said[-1] and "other worlds" in said[-1]


def test_learned_codes_have_figures_of_concepts_and_one_world_has_no_interval() -> None:
    run = made("learned", codes="batch_topk", proposals=[COACTIVATION])
    rows = rows_of(execute(run))
    assert rows["batch_topk.generated.mcc"].value is not None
    found = known_graphs.opened(run.slug)
    assert found.known.methods == [COACTIVATION, COACTIVATION + TESTED, INTERVENTION]
    assert any(line[0].startswith("MCC") for line in known_graphs.whole_table(found))
    said = " ".join(known_graphs.sentences(found, COACTIVATION))
    assert "Learned latents follow" in said and "of one world: more seeds give intervals" in said
    assert len(list((run.path / "dictionaries").iterdir())) == 3 * 2, "kept, so that a stopped run goes on with them"


def test_an_evaluation_that_was_written_over_is_not_shown_as_the_first_run() -> None:
    first, second = made("same"), made("same")
    for run in (first, second):
        execute(run)
    assert known_graphs.opened(second.slug).slug == second.slug
    with pytest.raises(WorkbenchError, match="under a name of its own"):
        known_graphs.opened(first.slug)


def form(**values: Any) -> ConfigForm:
    config, start = known_graphs.form_of()
    with gr.Blocks():
        return ConfigForm(config, start | values, prefix="known", first=(("world",), ("codes", "proposals")))


def test_the_form_follows_the_registries() -> None:
    fields = form()
    parts = {control.path: control.component for control in fields.controls}
    assert [choice[1] for choice in parts["world", "kind"].choices] == list(HIERARCHIES)
    assert [choice[1] for choice in parts[("proposals",)].choices] == list(FROM_CODES)
    assert "transcoder" not in [choice[1] for choice in parts[("codes",)].choices]
    assert parts[("proposals",)].multiselect
    assert fields.controls[0].path == ("world", "kind"), "the world and its dials stand first"
    config = fields.read([part.value for part in fields.components])
    command = jobs.command_line("evaluate", KNOWN_GRAPH.config_of("mine", config))
    assert command.startswith("python -m app evaluate --suite known-graph --name mine")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"proposals": []}, "field proposals is empty. Give Proposals"),
        ({"world": {"kind": "storeys", "needed": 2.0}}, "needed.*Correct World"),
        ({"world": {"kind": "generated", "low": 8, "twins": 5}}, "5 pairs need 10 of 8.*Correct World"),
        ({"world": {"kind": "storeys", "d_model": 8, "carried": 0.5}}, "leave no room for what is carried"),
        ({"world": {"kind": "storeys", "low": 8, "active": 9.0}}, "less than the 8 concepts.*Correct World"),
        ({"rows": 600, "batch": 700}, "at most the 600 rows.*Correct Batch"),
        ({"rates": (0.01, -1.0)}, "rates.*more than 0"),
    ],
)
def test_bad_input_is_refused_with_the_field_and_the_remedy(values: dict[str, Any], said: str) -> None:
    fields = form(**values)
    with pytest.raises(WorkbenchError, match=said):
        fields.read([part.value for part in fields.components])


def test_only_runs_of_the_suite_are_of_this_page() -> None:
    other = jobs.new_run("evaluate", jobs.config_for("evaluate", {"suite": "worlds"}))
    assert KNOWN_GRAPH.belongs(made("mine").slug)
    assert not any(map(KNOWN_GRAPH.belongs, (other.slug, "no-such-run", "../runs", "")))


def test_rows_of_other_settings_are_never_replaced() -> None:
    few: dict[str, Any] = {
        "proposals": [COACTIVATION],
        "world": {"kind": "generated", "low": 8, "middle": 4, "high": 2},
    }
    first = execute(made("", **few))
    assert execute(made("", **few)) == first, "the same again is"
    other = execute(made("", **few, seeds=2))
    assert first is not None and other is not None and other.parent.name == f"{first.parent.name}-2"
    assert execute(made("", **few, seeds=2)) == other
    with pytest.raises(WorkbenchError, match=r"exists: it was measured with other settings.*Choose another name"):
        made(first.parent.name, **few, seeds=3)
