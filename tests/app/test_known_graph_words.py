"""What the Identifiability page says of figures that are known beforehand: every cell is the figure its head names."""

from __future__ import annotations

from typing import Any

import pytest

from app.known_graphs import PAIR_COLUMNS, Opened, method_choices, pair_table, pictures, sentences, whole_table
from app.suites.rows import Row
from concept_graphs.known_graph import KnownGraph
from concept_graphs.methods import CHANCE, COACTIVATION, TESTED, TRUE_VARIABLE

LEVELS = [
    {"name": "low", "dimensions": 2, "latents": [5, 3, 4], "correlation": [0.9, 0.8, 0.7], "twins": []},
    {"name": "high", "dimensions": 2, "latents": [7, 8], "correlation": [1.0, 1.0], "twins": []},
]
DRAWN = {COACTIVATION: [[5, 7]], "ridge": [[5, 8], [3, 8], [4, 8]], f"ridge{TESTED}": [[3, 8]]}
KNOWN = KnownGraph.model_validate(
    {
        "world": "generated",
        "codes": "oracle",
        "direction": "generates",
        "seed": 3,
        "levels": LEVELS,
        "pairs": [{"name": "low-high", "true": [[0, 0], [1, 1]], "drawn": DRAWN}],
    }
)


def row(name: str, value: float, **rest: Any) -> Row:
    return Row(name=f"oracle.generated.{name}", value=value, seeds=3, **rest)


def ranged(name: str, value: float, **rest: Any) -> Row:
    return row(name, value, low=value - 0.01, high=value + 0.01, **rest)


# No two numbers are alike, so that none can stand where another belongs.
ROWS = [
    ranged(f"low-high.{COACTIVATION}.ap", 0.11),
    ranged(f"low-high.{COACTIVATION}.f1", 0.22),
    ranged(f"low-high.{COACTIVATION}.shd", 7),
    ranged("low-high.ridge.ap", 0.33),
    ranged("low-high.ridge.f1", 0.44, baseline=0.22),
    ranged(f"low-high.ridge{TESTED}.f1", 0.55),
    ranged("low-high.ridge.shd", 8),
    ranged(f"low-high.{TRUE_VARIABLE}.f1", 0.66),
    row(f"low-high.{CHANCE}", 0.05),
    ranged("graph.ridge.shd", 9),
    ranged("graph.ridge.sid", 4, better="down", unit="pairs of concepts"),
    ranged("mcc", 0.77, better="up", unit="mean correlation"),
]


@pytest.fixture
def found() -> Opened:
    return Opened("mine", KNOWN, {one.name: one for one in ROWS})


def test_every_cell_of_the_table_is_the_figure_of_its_head_with_its_interval(found: Opened) -> None:
    heads = [head.rstrip(" ↑↓") for head in PAIR_COLUMNS]
    rows = [dict(zip(heads, line, strict=True)) for line in pair_table(found)]
    assert {line["levels"] for line in rows} == {"low – high", "all"}
    by = {(line["levels"], line["found by"]): line for line in rows}
    ridge = by["low – high", "ridge"]
    assert ridge["AP"] == "0.33 [0.32, 0.34]" and ridge["F1"] == "0.44 [0.43, 0.45]"
    assert ridge["F1 of tested"] == "0.55 [0.54, 0.56]" and ridge["SHD"] == "8.0 [8.0, 8.0]"
    base = by["low – high", "co-activation (baseline)"]
    assert (base["AP"], base["F1"], base["F1 of tested"]) == ("0.11 [0.10, 0.12]", "0.22 [0.21, 0.23]", "")
    assert by["low – high", "a random order"]["AP"] == "0.05"
    assert by["all", "ridge"]["SHD"] == "9.0 [9.0, 9.0]"
    assert list(PAIR_COLUMNS) == ["levels", "found by", "AP ↑", "F1 ↑", "F1 of tested ↑", "SHD ↓"]
    assert any(line["F1"].startswith("0.66 ") for line in rows), "what the true variable gives stands beside them"


def test_the_figures_of_the_whole_say_which_way_is_better_and_what_they_are(found: Opened) -> None:
    assert whole_table(found) == [
        ["MCC ↑", "0.770 [0.760, 0.780]", "mean correlation"],
        ["graph, ridge, SID ↓", "4.000 [3.990, 4.010]", "pairs of concepts"],
    ]


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        (0.22, "above the 0.22"),
        (0.9, "below the 0.90"),
        (0.432, "not told apart from the 0.43"),
        (0.448, "not told apart from the 0.45"),
    ],
)
def test_a_figure_is_called_better_only_where_its_interval_says_so(found: Opened, baseline: float, said: str) -> None:
    name = "oracle.generated.low-high.ridge.f1"
    rows = found.rows | {name: found.rows[name].model_copy(update={"baseline": baseline})}
    first = sentences(found._replace(rows=rows), "ridge")[0]
    assert first == f"By ridge, F1 is 0.44 [0.43, 0.45] between low and high, {said} of co-activation."
    alone = rows | {name: rows[name].model_copy(update={"low": None, "high": None})}
    assert f"0.44 between low and high, beside {baseline:.2f} of" in sentences(found._replace(rows=alone), "ridge")[0]


def test_the_first_picture_is_the_known_graph_and_the_second_the_one_that_was_chosen(found: Opened) -> None:
    assert [name for _, name in method_choices(found)] == list(DRAWN)
    seen = {}
    for method in DRAWN:
        truth, recovered = (figure["layout"]["title"]["text"] for figure in pictures(found, method))
        assert "seed 3" in truth and "Recovered" not in truth and "Recovered by" in recovered
        seen[method] = recovered
    assert len(set(seen.values())) == len(DRAWN), "each method has a picture of its own"
    assert "1 found, 1 missed, 2 extra" in seen["ridge"] and "1 found, 1 missed, 0 extra" in seen[COACTIVATION]
    assert pictures(found, "no such method")[1]["layout"]["title"]["text"] == seen[COACTIVATION]
