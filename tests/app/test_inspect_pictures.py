"""The inspector's value of a concept of images: its pictures, its noise profile and its words."""

from __future__ import annotations

from typing import Any

import pytest

from app.graphs import GraphLibrary
from app.pages.inspect import card
from probes.artefacts import artefact_path
from tests.fixtures.graphs import make_picture_graph


@pytest.fixture(scope="module")
def shown(data_home: Any) -> dict[str, Any]:
    folder = artefact_path("graph", "wide")
    folder.mkdir(parents=True)
    make_picture_graph("wide").save(folder)
    opened = GraphLibrary().open("wide")
    key = next(edge.source for edge in opened.graph.edges if opened.graph.parents(edge.source))
    return card(opened, key)


def test_every_picture_has_its_true_grid_and_its_words(shown: dict[str, Any]) -> None:
    assert shown["of_pictures"] and len(shown["pictures"]) == 3
    first = shown["pictures"][0]
    assert (first["rows"], first["columns"], first["ratio"]) == (2, 4, 2.0)
    assert first["values"].index(max(first["values"])) == first["peak"] == 6
    assert "row 2 of 2, column 3 of 4" in first["heat_alt"] and first["prompt"] in first["alt"]
    assert first["address"].startswith("data:image/png;base64,")


def test_the_profile_falls_from_pure_noise_and_the_level_is_compared_with_the_one_below(shown: dict[str, Any]) -> None:
    profile = shown["profile"]
    noises = [noise for noise, _ in profile["points"]]
    assert noises == sorted(noises, reverse=True) and profile["band"] == [0.0, 0.5]
    assert "noise 0.50" in profile["said"] and "fills 1.50 cells" in profile["spread"]
    middle = next(
        card(GraphLibrary().open("wide"), key) for key in make_picture_graph().nodes["id"] if key.startswith("middle")
    )
    assert "fills 2.50 cells" in middle["profile"]["spread"] and "more than one of low" in middle["profile"]["spread"]


def test_nothing_is_said_of_text(shown: dict[str, Any]) -> None:
    said = [shown["null_note"], *(f"{fact['note']} {fact.get('help', '')}" for fact in shown["figures"])]
    said += [edge["detail"] for edge in (*shown["children"], *shown["parents"])]
    assert shown["null_note"] and not [text for text in said if "chunk" in text or "text" in text or "document" in text]
