"""What the Grid page shows: sentences, figures, plans and opened cells follow from what a run left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app import grid_cells, grid_figures, grid_plans, grid_words, grids, jobs
from app.grids import Closed, GridFile, KeptCell, Opened
from app.heat_maps import SHARE, SIGNED, colour_at, ink_on, short
from app.suite_runs import GRID
from app.suites.rows import Row
from app.worker import execute
from concept_graphs.latent_methods import METHODS
from probes.errors import WorkbenchError
from probes.representations.grid import GridConfig
from probes.runs import Run

Gains = dict[tuple[str, str], tuple[float, float, float]]  # pair to value and interval


def found_with(gains: Gains, lost: Gains | None = None, seeds: int = 5, **more: float) -> Opened:
    """A finished run whose MCC gains, and R² gains where they are named, are these."""
    tasks, constraints = ["reconstruction", "infonce"], ["none", "kl", "minimal_change"]
    rows = [
        Row(name=f"{task}.{c}.{measure}", value=0.5, low=0.4, high=0.6, seeds=seeds, baseline=0.07, unit="-")
        for task in tasks
        for c in constraints
        for measure in ("mcc", "r2")
    ]
    for measure, given in (("mcc", gains), ("r2", lost or {})):
        for (task, c), (value, low, high) in given.items():
            name = f"{task}.{c}.{measure}_gained"
            rows.append(Row(name=name, value=value, low=low, high=high, seeds=seeds, unit="-"))
    for name, value in more.items():
        rows.append(Row(name=name.replace("__", "."), value=value, baseline=0.05, seeds=seeds, unit="-", note="2 x 2"))
    closed = [Closed(task="infonce", constraint="minimal_change", reason="the world as set has no changed")]
    file = GridFile(
        tasks=tasks,
        constraints=constraints,
        world="vectors",
        card={"a": "Yes."},
        factors=["z1"],
        refused=closed,
        rows=rows,
    )
    return Opened("run", file, {row.name: row for row in rows})


GAINS: Gains = {
    ("reconstruction", "kl"): (0.01, -0.02, 0.04),
    ("reconstruction", "minimal_change"): (0.3, 0.2, 0.4),
    ("infonce", "kl"): (-0.1, -0.2, -0.05),
    ("infonce", "minimal_change"): (0.0, -0.1, 0.1),
}


def test_sentences_follow_the_numbers() -> None:
    lost: Gains = {("reconstruction", "minimal_change"): (-0.2, -0.3, -0.1)}
    shares = {"variance__mcc__interaction": 0.4, "variance__mcc__p": 0.001}
    said = "\n".join(grid_words.sentences(found_with(GAINS, lost, **shares)))
    assert "MCC gains most by minimal change under reconstruction: +0.30 [0.20, 0.40]" in said
    assert "Of 4 pairs, the interval of the gain lies above zero for 1 and below it for 1" in said
    assert "Under reconstruction the control kl changes MCC by +0.01 [−0.02, 0.04], less than minimal change" in said
    assert "Minimal change gains under reconstruction, and not under infonce." in said
    assert "What a constraint does to MCC depends on the task: the interaction takes 40.0%" in said
    assert "Whether constraints act on R² alike under all tasks was not tested" in said
    assert "would lie beside zero by chance." in said, "intervals over few worlds are as wide as they must be"
    assert said.count("Chance keeps each world's table together") == 1
    assert "R² fell while MCC rose: minimal change under reconstruction (MCC +0.30" in said
    assert "MCC would be 0.07" in said and "5 worlds of kind vectors" in said


def test_what_is_told_of_the_truth_is_marked_wherever_it_is_compared() -> None:
    found = found_with(GAINS)
    plain = "\n".join(grid_words.sentences(found))
    assert "told" not in plain.replace("not told apart", "")
    found = found._replace(file=found.file.model_copy(update={"told": {"minimal_change": "an answer"}}))
    said = grid_words.sentences(found)
    assert said[0].startswith("MCC gains most by minimal change (told an answer) under reconstruction")
    assert said[1].startswith("In training minimal change is told an answer, whatever the task")
    assert "\nMinimal change (told an answer) gains under reconstruction" in "\n".join(said)
    for figure in (grid_figures.heat_figure(found, "mcc"), grid_figures.gain_figure(found)):
        labels = figure["layout"]["xaxis"]["ticktext"]
        assert [label for label in labels if "told" in label] == ["minimal change<br><i>told an answer</i>"]
        hovers = [text for row in figure["data"][0]["text"] for text in row]
        assert (
            sum("minimal change (told an answer)" in text for text in hovers) == 2 == sum("told" in t for t in hovers)
        )
    cell = KeptCell(
        "x", "supervised", "kl", 1.0, 0, 0, 1.0, {"mcc": 1.0, "r2": 1.0}, {}, told={"supervised": "answers"}
    )
    assert grids.live_table([cell])[0][:3] == ["supervised (told answers)", "kl", "1"]
    assert grid_cells.pair_choices([cell, cell]) == [("supervised (told answers) × kl", "supervised/kl")]
    options = {"world": {"kind": "vectors", "labelled": ("all",)}, "tasks": ("supervised",), "constraints": ("kl",)}
    planned, _ = grid_plans.planned(GridConfig.model_validate(options))
    assert planned["layout"]["yaxis"]["ticktext"] == ["supervised<br><i>told answers</i>"]


def test_where_nothing_is_gained_or_one_world_was_trained_nothing_is_claimed() -> None:
    none = dict.fromkeys(GAINS, (-0.1, -0.2, 0.1))
    said = "\n".join(grid_words.sentences(found_with(none, variance__mcc__interaction=0.01, variance__mcc__p=0.7)))
    assert said.startswith("No constraint gains MCC") and "is not shown to depend on the task" in said
    assert "For no pair is R² shown to fall" in said and " gains under " not in said
    small = GAINS | {("reconstruction", "minimal_change"): (0.0006, -0.04, 0.03)}
    said = "\n".join(
        grid_words.sentences(found_with({pair: (min(v, 0.0006), low, 0.03) for pair, (v, low, _) in small.items()}))
    )
    assert said.startswith("No constraint is shown to gain MCC. The largest gain, whose interval holds zero, is of ")
    assert "+0.00 [−0." in said and "e−" not in said
    single = found_with(GAINS, seeds=1)
    said = "\n".join(grid_words.sentences(single))
    assert "one world has no interval" in said and "[" not in said and "interval of the gain" not in said
    assert grid_figures.gain_figure(single)["layout"]["shapes"] == []


def test_maps_show_numbers_reasons_and_what_is_certain() -> None:
    found = found_with(GAINS)
    del found.rows["infonce.minimal_change.mcc"]
    heat, texts, gaps = grid_figures.heat_figure(found, "mcc")["data"]
    assert heat["zmin"] == 0 and heat["zmax"] == 1 and heat["z"][1] == [0.5, 0.5, None]
    assert "no changed" in heat["text"][1][2] and "[0.40, 0.60]" in heat["text"][0][0]
    assert texts["text"] == [".50"] * 5 and (gaps["x"], gaps["y"]) == ([2], [1])
    gained = grid_figures.gain_figure(found)
    heat = gained["data"][0]
    assert heat["zmin"] == -heat["zmax"] == -0.3, "zero lies in the middle of the scale"
    framed = {(round(s["x0"] + 0.47), round(s["y0"] + 0.46)) for s in gained["layout"]["shapes"]}
    assert framed == {(1, 0), (0, 1)}


@pytest.mark.parametrize("stops", [SHARE, SIGNED])
def test_numbers_in_cells_can_be_read_on_every_colour(stops: Any) -> None:
    def luminance(colour: tuple[int, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for share in [at / 100 for at in range(-5, 106)]:
        under = luminance(colour_at(stops, share))
        contrast = 1.05 / (under + 0.05) if ink_on(colour_at(stops, share)) == "#fff" else (under + 0.05) / 0.05
        assert contrast >= 4.5, share


def test_numbers_in_cells_are_short() -> None:
    assert [short(value) for value in (0.834, 1.0, 0.0, -0.004)] == [".83", "1.0", ".00", ".00"]
    assert [short(value, signed=True) for value in (0.07, -0.07, 0.001)] == ["+.07", "−.07", ".00"]


def test_the_curve_stands_beside_the_task_alone_on_the_same_worlds() -> None:
    def cell(seed: int, restart: int, objective: float, mcc: float) -> KeptCell:
        values = {"objective": objective, "mcc": mcc, "r2": 0.5}
        return KeptCell(f"{seed}-{restart}", "infonce", "none", 0.0, seed, restart, 1.0, values, {})

    cells = [cell(0, 0, 2.0, 0.9), cell(0, 1, 1.0, 0.4), cell(1, 0, 1.0, 0.6), cell(2, 0, 1.0, 0.0)]
    assert grids.alone_on(cells, "infonce", 2) == {"mcc": pytest.approx(0.5), "r2": 0.5}
    assert grids.alone_on(cells, "vicreg", 2) == {}
    found = found_with(GAINS)
    for weight, value in ((0.1, 0.6), (1.0, 0.7)):
        row = Row(name=f"infonce.kl.at.{weight:g}.mcc", value=value, seeds=2, unit="-")
        found.rows[row.name] = row
    found.rows["infonce.kl.weight"] = Row(name="infonce.kl.weight", value=1.0, unit="-")
    figure = grid_figures.curve_figure(found, ("infonce", "kl"), {"mcc": 0.5})
    assert [trace["y"] for trace in figure["data"]] == [[0.6, 0.7], [0.5, 0.5], [None, None]]
    assert figure["layout"]["shapes"][0]["x0"] == 1 and "first 2 worlds" in figure["layout"]["title"]["text"]


def test_a_cost_is_said_in_a_fitting_unit() -> None:
    said = {seconds: grid_plans.cost_sentence(seconds, "x") for seconds in (0.2, 90, 600, 9000)}
    for seconds, start in ((0.2, "2 seconds"), (90, "90 seconds"), (600, "10 minutes"), (9000, "2.5 hours")):
        assert said[seconds].startswith(f"About {start} on this machine")


TINY: dict[str, Any] = {
    "tasks": ["reconstruction", "infonce"],
    "constraints": ["none", "temporal_prior"],
    "seeds": 1,
    "network": {"width": 8, "rows": 200, "scale_after": 2, "optimiser": {"steps": 4, "batch": 32}},
    "scoring": {"rows": 80},
}


def test_ways_to_find_a_graph_follow_their_table_and_say_what_they_cost(run: Run) -> None:
    pytest.importorskip("causallearn")
    assert [name for _, name in grid_cells.method_choices()] == list(METHODS)
    found = grid_cells.opened(run.slug, grids.kept_cells(run)[0].slug)
    said = grid_cells.method_costs(found)
    assert said.startswith("By size is PC with RCIT among these 4 latents. PC with RCIT takes at most ")
    assert said.endswith("PC and GRaSP a few seconds.")
    words, _, recovered = grid_cells.graphs(found, "not there")
    assert "Among latents, by PC with RCIT" in recovered["layout"]["title"]["text"]
    assert "SHD from the known graph's class: " in words and "of 12 effects wrong" in words


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    values = {"suite": "grid", "name": "mine", "grid": TINY}
    made = jobs.new_run("evaluate", jobs.config_for("evaluate", values, "tiny"))
    execute(made)
    return made


def test_a_run_is_planned_watched_and_its_cells_opened(run: Run) -> None:
    config = getattr(jobs.load_config(run), GRID.section)
    figure, said = grid_plans.planned(config)
    assert said.startswith(
        "2 pairs can be had; 2 cells would be trained.\n1: the world as set has no past: set its lag"
    )
    assert figure["data"][1]["text"] == ["✓", "1", "✓", "1"]
    assert "rests on 2 cells that earlier runs kept" in grid_plans.cost_said(config)
    other = config.model_copy(update={"scoring": config.scoring.model_copy(update={"rows": 90})})
    assert "a few training steps of 2 of the 2 pairs" in grid_plans.cost_said(other)
    cells = grids.kept_cells(run)
    assert [line[:3] for line in grids.live_table(cells)] == [["infonce", "none", "1"], ["reconstruction", "none", "1"]]
    (run.path / "cells" / "torn.json").write_text("{")
    assert grids.kept_cells(run) == cells, "what cannot be read is left out"
    assert set(grids.opened(run.slug).reasons) == {(task, "temporal_prior") for task in TINY["tasks"]}

    decoding, contrast = (next(c for c in cells if c.task == task) for task in ("reconstruction", "infonce"))
    found = grid_cells.opened(run.slug, decoding.slug)
    assert found is grid_cells.opened(run.slug, decoding.slug)
    table = grid_cells.factor_table(grid_cells.kept(run.slug, decoding.slug), found)
    assert [line[0] for line in table] == ["z1", "z2", "z3", "z4"] and table[0][1].endswith(": z1")
    said, here, along = grid_cells.traversal(found, 0, 3, 1.5)
    assert (
        "row 3" in said
        and "+1.5" in said
        and len(along["data"][0]["z"]) == 7
        and set(along["data"][0]["z"][3]) == {0.0}
    )
    assert here["data"][0]["y"] != here["data"][1]["y"]
    with pytest.raises(WorkbenchError, match=r"no held-out row 1000000000: there are rows 0 to"):
        grid_cells.traversal(found, 0, 10**9, 0.0)
    said, low, _ = grid_cells.traversal(grid_cells.opened(run.slug, contrast.slug), 0, 10**9, 0.0)
    assert "has no decoder" in said and "lowest" in low["layout"]["title"]["text"]
    assert {line[0] for line in grid_cells.measure_table(decoding)} >= {"mcc ↑", "irs ↑", "task ↓"}
    for chosen in (contrast.slug, decoding.slug, ""):  # the menu of cells may still show another pair's
        assert grid_cells.cell_of(run.slug, "infonce/none", chosen) == contrast.slug
    assert grid_cells.cell_of(run.slug, "infonce/kl", decoding.slug) == decoding.slug
    with pytest.raises(WorkbenchError, match="no cell"):
        grid_cells.opened(run.slug, "../../x")
    with pytest.raises(WorkbenchError, match="has no grid"):
        GRID.found(jobs.new_run("evaluate", jobs.config_for("evaluate", {"suite": "worlds"})).slug)
