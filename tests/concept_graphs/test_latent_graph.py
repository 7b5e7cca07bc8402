"""A graph among latents: on latents that are the factors it is the known skeleton; on unrelated ones it is empty."""

from __future__ import annotations

import numpy as np
import pytest

from concept_graphs.latent_figure import latent_figures
from concept_graphs.latent_graph import LatentGraph, joined, latent_graph
from concept_graphs.latent_words import sentences
from probes.errors import WorkbenchError

NAMES = ["light", "shadow", "size", "height"]


def collider() -> tuple[np.ndarray, np.ndarray]:
    """(factors, known): light and size both cause height; shadow is by itself."""
    random = np.random.default_rng(3)
    factors = random.normal(size=(1500, 4))
    factors[:, 3] += factors[:, 0] + factors[:, 2]
    known = np.zeros((4, 4), dtype=bool)
    known[0, 3] = known[2, 3] = True
    return factors, known


@pytest.mark.parametrize("method", ["rcit", "pc", "grasp"])
def test_latents_that_are_the_factors_have_their_graph(method: str) -> None:
    pytest.importorskip("causallearn")
    factors, known = collider()
    codes = factors[:, [3, 2, 1, 0]] * [1, -2, 1, 3]  # in another order, scale and sign
    found = latent_graph(codes, factors, [3, 2, 1, 0], known, NAMES, method, rounds=2)
    assert joined(found.marks) == joined(found.of_factors) == [(0, 3), (2, 3)]
    if method != "grasp":
        assert (found.marks == known).all(), "a collider has one direction"
    assert found.shuffled <= 1 and found.frequency[0, 3] == 1.0
    said = " ".join(sentences(found))
    assert "joins 2 of the 2 pairs joined in the world, 0 more" in said


def test_factors_without_a_latent_are_left_out_and_said() -> None:
    pytest.importorskip("causallearn")
    factors, known = collider()
    found = latent_graph(factors, factors, [0, -1, 2, 3], known, NAMES, rounds=1)
    assert found.names == ["light", "size", "height"] and found.unmatched == ["shadow"]
    assert joined(found.known) == [(0, 2), (1, 2)] and "of their own: shadow" in " ".join(sentences(found))
    with pytest.raises(WorkbenchError, match="1 factors have a latent"):
        latent_graph(factors, factors, [0, -1, -1, -1], known, NAMES)


def test_pictures_say_what_was_found_missed_and_extra() -> None:
    _, known = collider()
    marks = np.zeros((4, 4), dtype=bool)
    marks[3, 0] = marks[0, 1] = marks[1, 0] = True
    found = LatentGraph("pc", NAMES, known, marks, known, np.full((4, 4), 0.5), [], [])
    first, second = latent_figures(found)
    assert "1 found, 1 missed" in first["layout"]["title"]["text"]
    assert "1 found, 1 extra" in second["layout"]["title"]["text"]
    heads = [arrow["arrowhead"] for arrow in second["layout"]["annotations"]]
    assert sorted(heads) == [0, 2], "the one without a direction has no head"
    places = [[trace["x"], trace["y"]] for trace in (first["data"][-1], second["data"][-1])]
    assert places[0] == places[1]
