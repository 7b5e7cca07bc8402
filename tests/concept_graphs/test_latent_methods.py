"""The ways to look for a graph among latents: what one sees that another cannot, one result per seed, cost before."""

from __future__ import annotations

import numpy as np
import pytest

from concept_graphs.latent_graph import discovered, joined, latent_graph
from concept_graphs.latent_methods import AUTO, METHODS, SMALL, Discovery, method_among
from concept_graphs.latent_words import f1, sentences
from probes.errors import WorkbenchError
from probes.worlds.ball_room.world import BallRoom, BallRoomConfig


def bent(rows: int = 1500) -> np.ndarray:
    """The second column is what the first is squared, the third is by itself."""
    columns = np.random.default_rng(5).normal(size=(rows, 3))
    columns[:, 1] = columns[:, 0] ** 2 + 0.5 * columns[:, 1]
    return columns


def test_random_features_see_a_bend_that_lines_do_not() -> None:
    pytest.importorskip("causallearn")
    found = {name: joined(discovered(bent(), name)) for name in METHODS}
    assert found["rcit"] == found[AUTO] == [(0, 1)]
    assert found["pc"] == found["grasp"] == []


def test_the_seed_alone_decides_and_numpys_own_numbers_stay() -> None:
    pytest.importorskip("causallearn")
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    first = discovered(bent(), "rcit", seed=4)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]  # noqa: NPY002
    np.random.seed(11)  # noqa: NPY002
    assert (discovered(bent(), "rcit", seed=4) == first).all()


def test_the_slower_test_is_the_default_where_latents_are_few() -> None:
    assert METHODS.first == AUTO
    assert method_among(AUTO, SMALL) == "rcit" and method_among(AUTO, SMALL + 1) == "pc"
    assert method_among("rcit", SMALL + 1) == "rcit"


def test_its_cost_is_told_before_and_grows_with_the_latents() -> None:
    pytest.importorskip("causallearn")
    method: Discovery = METHODS.load("rcit")
    columns = np.random.default_rng(0).normal(size=(300, 12))
    few, many = method.seconds(columns[:, :5]), method.seconds(columns)
    assert 0 < few < many
    assert METHODS.load("pc").seconds(columns) == METHODS.load("grasp").seconds(columns) == 0


def test_on_true_factors_of_the_ball_room_it_finds_what_lines_miss() -> None:
    """F1 over draws 0 to 4 without domains: .92 each, one edge into the stripe frequency missing; by Fisher's z and by
    GRaSP .83 each, both missing."""
    pytest.importorskip("causallearn")
    world = BallRoom(BallRoomConfig(size=16, domains=0), 0)
    factors = world.process.draw(5000, 1).factors[:, 0].astype(np.float64)
    known = set(joined(world.edges))
    found = latent_graph(factors, factors, range(8), world.edges, world.names, rounds=1)
    assert found.method == "rcit" and f1(known, found.pairs) >= 0.9
    assert {pair for pair in known if world.names[pair[1]] == "stripe frequency"} & set(found.pairs)
    assert f1(known, joined(discovered(factors[:2000], "pc"))) < 0.85
    assert "PC with RCIT joins" in " ".join(sentences(found))


def test_a_method_that_there_is_not_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="no discovery among latents called 'ges'"):
        latent_graph(bent(), bent(), [0, 1, 2], np.zeros((3, 3), dtype=bool), ["a", "b", "c"], "ges")
