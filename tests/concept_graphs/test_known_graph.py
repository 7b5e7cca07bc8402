"""A known graph against what was drawn: every edge is found, missed, extra or astray, and both pictures agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from concept_graphs.figure import LEVEL_COLOURS
from concept_graphs.known_figure import ON_COLOUR, STROKES, known_figures
from concept_graphs.known_graph import KNOWN_FILE, KnownGraph, held_against, read_known, twins_said
from probes.errors import WorkbenchError
from probes.files import write_json

# Concepts 0 to 2 of the low level have latents 5, 3 and none; 7 and 8 stand for the two high ones.
CONTENT: dict[str, Any] = {
    "world": "generated",
    "codes": "oracle",
    "direction": "generates",
    "seed": 0,
    "levels": [
        {"name": "low", "dimensions": 2, "latents": [5, 3, -1], "correlation": [0.9, 0.8, 0.0], "twins": [[0, 2]]},
        {"name": "high", "dimensions": 2, "latents": [7, 8], "correlation": [1.0, 1.0], "twins": []},
    ],
    "pairs": [
        {
            "name": "low-high",
            "true": [[0, 0], [1, 1], [2, 0]],
            "drawn": {"gates": [[5, 7], [5, 8], [4, 8]], "ridge": []},
        }
    ],
}


@pytest.fixture
def known() -> KnownGraph:
    return KnownGraph.model_validate(CONTENT)


def test_a_drawn_edge_is_found_extra_or_astray_and_the_rest_is_missed(known: KnownGraph) -> None:
    held = held_against(known, 0, "gates")
    assert held.found == [(0, 0)] and held.extra == [(0, 1)] and held.missed == [(1, 1), (2, 0)]
    assert held.astray == [(4, 8)]
    assert held_against(known, 0, "ridge").missed == [(0, 0), (1, 1), (2, 0)]


def _traces(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {trace["name"].partition(" (")[0]: trace for trace in figure["data"] if "name" in trace}


def test_concepts_stand_at_the_same_places_in_both_pictures(known: KnownGraph) -> None:
    truth, recovered = known_figures(known, "gates", "gates")
    first, second = _traces(truth), _traces(recovered)
    for level in ("low", "high"):
        assert [first[level][key] for key in "xy"] == [second[level][key] for key in "xy"]
    assert set(first) & set(STROKES) == {"found", "missed"} and set(second) & set(STROKES) == {"found", "extra"}
    assert first["found"]["x"] == second["found"]["x"]
    assert first["missed"]["x"].count(None) == 2, "a gap after each of two edges"
    assert "1 found, 2 missed, 1 extra, 1 at latents of no concept" in recovered["layout"]["title"]["text"]
    assert first["low"]["marker"]["symbol"] == ["diamond", "circle", "diamond"]
    assert first["low"]["marker"]["color"][2] == "rgba(0,0,0,0)", "a concept without a latent is hollow"
    assert "no latent stands for it" in first["low"]["hovertext"][2]


def _luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb, as WCAG defines it."""
    digits = colour.lstrip("#")
    pairs = [digits[at : at + 2] for at in (0, 2, 4)] if len(digits) == 6 else [2 * digit for digit in digits]
    parts = [int(pair, 16) / 255 for pair in pairs]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_numbers_can_be_read_on_their_marks_and_those_of_hollow_ones_on_the_page(known: KnownGraph) -> None:
    for colour in LEVEL_COLOURS:
        low, high = sorted(_luminance(one) for one in (colour, ON_COLOUR))
        assert (high + 0.05) / (low + 0.05) >= 4.5, colour
    numbers = [trace for trace in known_figures(known, "gates", "gates")[0]["data"] if trace["mode"] == "text"]
    said = [(trace["text"], trace["textfont"].get("color")) for trace in numbers]
    assert (["0", "1"], ON_COLOUR) in said and (["2"], None) in said, "without a colour, in the ink of the page"


def test_a_kind_of_edge_that_does_not_occur_is_still_in_the_legend(known: KnownGraph) -> None:
    _, recovered = known_figures(known, "ridge", "ridge")
    assert {"extra (0)", "found (0)"} <= {trace.get("name") for trace in recovered["data"]}


def test_twins_are_said_to_be_a_block(known: KnownGraph) -> None:
    (said,) = twins_said(known)
    assert "low/0 and low/2" in said and "only as a block" in said


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"pairs": []}, "do not fit each other"),
        ({"pairs": [{"name": "low-high", "true": [[9, 0]], "drawn": {}}]}, "a concept there is not"),
        ({"world": "x" * 100}, "world"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    write_json(tmp_path / KNOWN_FILE, CONTENT | change)
    with pytest.raises(WorkbenchError, match=why):
        read_known(tmp_path)
