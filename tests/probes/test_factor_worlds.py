"""Worlds of factors: what every row of the registry owes with any dials, and that the process is what it says it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from probes.configs import validated
from probes.errors import WorkbenchError
from probes.worlds.assumptions import ASSUMPTIONS
from probes.worlds.ball_room.world import BallRoom, BallRoomConfig
from probes.worlds.factors import CONDITIONS, OBSERVATIONS, FactorSample, FactorWorld
from probes.worlds.registry import FACTOR_WORLDS
from probes.worlds.vectors import Vectors, VectorsConfig
from tests.fixtures.registries import check_config, check_row, check_sentence, rows_of

ROWS = 80
DIALS: list[dict[str, Any]] = [
    {},
    {"domains": 0},
    {"domains": 1},
    {"pairs": "changed", "most_changed": 2},
    {"pairs": "augmented"},
    {"lag": 2},
    {"lag": 1, "instantaneous": True, "carried": 0.5},
    {"interventions": 0.5},
    {"interventions": 1.0, "intervention": "soft"},
    {"labelled": ("all",)},
    {"combinations": "training"},
    {"combinations": "held_out", "pairs": "augmented"},
    {"pairs": "changed", "lag": 1, "interventions": 0.3, "labelled": ("all",), "combinations": "training"},
]
OWN: dict[str, list[dict[str, Any]]] = {
    "vectors": [
        {"labelled": ("z3", "z1"), "dependence": "chain", "mechanisms": "linear", "sources": "laplace"},
        {"dependence": "random", "sources": "uniform", "factors": 6, "d": 6, "lag": 1},
        {"factors": 1, "sources": "logistic", "layers": 0},
    ],
    "ball_room": [
        {"labelled": ("ball hue", "light"), "size": 64, "noise": 0.0},
        {"captions": "scene", "selection": True},
        {"captions": "objects", "pairs": "changed", "selection": True, "combinations": "training"},
        {"captions": "attributes", "mentioned": 0.0},
        {"captions": "mixed", "lag": 1, "interventions": 0.5},
    ],
}


def cases() -> list[Any]:
    named = [(name, dials) for name, own in OWN.items() for dials in DIALS + own]
    return [pytest.param(name, dials, id=f"{name}-{at}") for at, (name, dials) in enumerate(named)]


def made(name: str, dials: dict[str, Any], seed: int = 3) -> Any:
    world = FACTOR_WORLDS.load(name)
    return world(world.Config(**dials), seed)


@pytest.mark.parametrize(("table", "name"), rows_of(FACTOR_WORLDS))
def test_every_row_imports_says_what_it_is_and_is_a_variant(table: Any, name: str) -> None:
    check_row(table, name)
    check_config(table.load(name).Config)
    assert TypeAdapter(FACTOR_WORLDS.variants()).validate_python(name).kind == name


def check_fields(world: FactorWorld, sample: FactorSample, rows: int) -> None:
    """What was drawn is what was declared, and nothing of it is the truth but the answers."""
    fields, factors, n = sample.fields, sample.factors, len(world.names)
    assert set(fields) == world.fields and "x" in fields and world.fields <= {*OBSERVATIONS, *CONDITIONS}
    assert factors.shape == (rows, n) and factors.dtype == np.float32 and np.isfinite(factors).all()
    assert world.edges.shape == (n, n) and not np.tril(world.edges).any()
    assert all(len(values) == rows and np.isfinite(values).all() for values in fields.values())
    seen = world.render(factors)
    assert seen.shape == (rows, *world.shape) and seen.dtype == fields["x"].dtype
    for name in {"x", "second"} & set(fields):
        assert fields[name].shape == (rows, *world.shape) and fields[name].dtype == seen.dtype
    if "past" in fields:
        assert fields["past"].shape[2:] == world.shape and fields["past"].dtype == seen.dtype
    if "domain" in fields:
        assert fields["domain"].min() >= 0 and fields["domain"].max() < world.domains
    assert ("domain" in fields) == (world.domains > 0)
    if "changed" in fields:
        assert fields["changed"].shape == (rows, n) and fields["changed"].dtype == np.bool_
    if "target" in fields:
        assert fields["target"].min() >= -1 and fields["target"].max() < n
    if "caption" in fields:
        assert (
            fields["caption"].max() < len(world.words) and world.words[0] == "" and (fields["caption"] > 0).any(1).all()
        )
    if n > 1 and len(world.shape) == 1:  # one factor, or one behind a picture, may well be seen as it is
        for name in {"x", "second", "past"} & set(fields):
            found = np.corrcoef(fields[name].reshape(rows, -1).T, factors.T)[-n:, :-n]
            assert np.abs(found).max() < 0.999


@pytest.mark.parametrize(("name", "dials"), cases())
def test_a_world_holds_what_it_declares_and_is_a_function_of_its_seeds(name: str, dials: dict[str, Any]) -> None:
    world = made(name, dials)
    first, again, other = world.draw(ROWS, 1), world.draw(ROWS, 1), world.draw(ROWS, 2)
    check_fields(world, first, ROWS)
    assert all(np.array_equal(first.fields[key], again.fields[key]) for key in first.fields)
    assert not np.array_equal(first.fields["x"], other.fields["x"])
    fresh, same = made(name, dials, seed=4), made(name, dials)
    assert not np.array_equal(fresh.draw(ROWS, 1).fields["x"], first.fields["x"])
    assert np.array_equal(same.draw(ROWS, 1).factors, first.factors)
    assert tuple(world.card) == ASSUMPTIONS
    for sentence in world.card.values():
        check_sentence(sentence)
        assert sentence.startswith(("Yes", "No", "Partly"))


@pytest.mark.parametrize("name", list(OWN))
def test_draws_of_two_seeds_have_nothing_in_common(name: str) -> None:
    world = made(name, {"domains": 0})
    one, two = (world.process.draw(4000, seed).factors[:, 0] for seed in (1, 2))
    n = one.shape[1]
    assert np.abs(np.corrcoef(one.T, two.T)[:n, n:]).max() < 0.07
    assert not np.isin(one, two).any()


@pytest.mark.parametrize(
    ("name", "dials", "field", "remedy"),
    [
        ("vectors", {"pairs": "changed", "most_changed": 5}, "most_changed", "ask for 4 at most"),
        ("ball_room", {"pairs": "changed", "most_changed": 9}, "most_changed", "ask for 8 at most"),
        ("vectors", {"instantaneous": True}, "instantaneous", "set lag"),
        ("ball_room", {"labelled": ("hue",)}, "labelled", "choose of light"),
        ("ball_room", {"labelled": ("light", "light")}, "labelled", "name each once"),
        ("vectors", {"labelled": ("all", "z1")}, "labelled", "say all and nothing else"),
        ("vectors", {"factors": 1, "combinations": "training"}, "combinations", "leave it at all"),
        ("vectors", {"factors": 8, "d": 7}, "d", "raise d"),
    ],
)
def test_impossible_dials_are_refused_by_field_with_a_remedy(
    name: str, dials: dict[str, Any], field: str, remedy: str
) -> None:
    with pytest.raises(WorkbenchError, match=f"field {field}: .*{remedy}"):
        validated(FACTOR_WORLDS.load(name).Config, dials, what="the world")


def test_a_world_that_may_draw_no_row_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.worlds.process.ROUNDS", 3)
    world = Vectors(VectorsConfig(), 0)
    world.process.rule = lambda factors: np.zeros(len(factors), dtype=np.bool_)
    with pytest.raises(WorkbenchError, match="let hardly any row"):
        world.draw(10, 0)


# -- pairs -----------------------------------------------------------------------------------------------


def descendants(edges: Any) -> Any:
    """`factor factor`, true where the second follows the first, itself too."""
    reach = np.eye(len(edges), dtype=np.bool_)
    for _ in edges:
        reach |= reach @ edges
    return reach


@pytest.mark.parametrize("dials", [{}, {"lag": 2}, {"lag": 2, "instantaneous": True}, {"interventions": 0.5}])
@pytest.mark.parametrize("name", list(OWN))
def test_a_pair_differs_in_what_changed_and_what_follows_from_it(name: str, dials: dict[str, Any]) -> None:
    own = {"dependence": "chain"} if name == "vectors" else {}
    world = made(name, {"pairs": "changed", "most_changed": 3, **own, **dials})
    drawn = world.process.draw(800, 0)
    changed, target = drawn.conditions.changed, drawn.conditions.target
    differs = drawn.factors[:, -1] != drawn.factors[:, -2]
    at_once = world.edges if not dials.get("lag") or dials.get("instantaneous") else np.zeros_like(world.edges)
    for row in range(len(differs)):
        acting = at_once.copy()
        if target[row] >= 0:
            acting[:, target[row]] = False  # cut from its causes
        assert np.array_equal(differs[row], changed[row] @ descendants(acting))
    counts = np.bincount(changed.sum(axis=1), minlength=5)
    assert counts[0] == 0 and counts[4] == 0 and (counts[1:4] > 200).all()
    assert (changed.mean(axis=0) > 0.15).all()


@pytest.mark.parametrize("name", list(OWN))
def test_an_augmented_pair_is_of_the_same_factors_and_another_picture(name: str) -> None:
    world = made(name, {"pairs": "augmented"})
    drawn, sample = world.process.draw(50, 0), world.draw(50, 0)
    assert np.array_equal(drawn.factors[:, 0], drawn.factors[:, 1])
    x, second = (sample.fields[key].reshape(50, -1).astype(np.float64) for key in ("x", "second"))
    assert (x != second).any(axis=1).all()
    near, far = (np.square(x - other).mean() for other in (second, np.roll(second, 1, axis=0)))
    assert near < far / 2


# -- time, interventions, answers, combinations ------------------------------------------------------------


@pytest.mark.parametrize("instantaneous", [False, True])
def test_one_step_keeps_what_is_carried_and_causes_act_when_they_should(instantaneous: bool) -> None:
    dials = {"lag": 3, "carried": 0.6, "dependence": "chain", "mechanisms": "linear", "domains": 0}
    world = made("vectors", {**dials, "instantaneous": instantaneous})
    views = world.process.draw(30_000, 0).factors
    assert views.shape == (30_000, 4, 4)
    weight = world.process.model.mechanisms[1](np.eye(4))[0]
    for now in (1, 3):
        known = np.column_stack([views[:, now - 1, 1], views[:, now - 1, 0], views[:, now, 0]])
        slopes = np.linalg.lstsq(known, views[:, now, 1], rcond=None)[0]
        expected = [0.6, *((0, 0.4 * weight) if instantaneous else (0.4 * weight, 0))]
        np.testing.assert_allclose(slopes, expected, atol=0.02)
    np.testing.assert_allclose(views[:, 0].std(axis=0), views[:, 3].std(axis=0), rtol=0.03)  # it has settled


def test_the_past_is_seen_in_order() -> None:
    sample = made("vectors", {"lag": 3, "carried": 0.95}).draw(500, 0)
    steps = [np.square(sample.fields["x"] - sample.fields["past"][:, at]).mean() for at in range(3)]
    assert steps[0] > steps[1] > steps[2] > 0


@pytest.mark.parametrize("kind", ["perfect", "soft"])
@pytest.mark.parametrize("name", list(OWN))
def test_an_intervention_moves_its_target_and_a_perfect_one_cuts_it_from_its_causes(name: str, kind: str) -> None:
    own = {"dependence": "chain", "mechanisms": "linear"} if name == "vectors" else {}
    world = made(name, {"interventions": 0.6, "intervention": kind, "domains": 0, **own})
    drawn = world.process.draw(40_000, 0)
    factors, target, model = drawn.factors[:, 0], drawn.conditions.target, world.process.model
    n = len(world.names)
    assert (target >= 0).mean() == pytest.approx(0.6, abs=0.01)
    np.testing.assert_allclose(np.bincount(target[target >= 0]) / (target >= 0).sum(), 1 / n, atol=0.01)
    v = np.arctanh(factors.clip(-1 + 1e-12, 1 - 1e-12)) if model.bounded else factors
    for at in range(n):
        own_rows, others = v[target == at, at], v[target == -1, at]
        assert own_rows.mean() - others.mean() == pytest.approx(model.pushes[at], abs=0.1)
    cause, effect = np.argwhere(world.edges)[0]
    together = np.corrcoef(factors[target == effect][:, [cause, effect]].T)[0, 1]
    assert abs(together) < 0.06 if kind == "perfect" else abs(together) > 0.4
    assert abs(np.corrcoef(factors[target == -1][:, [cause, effect]].T)[0, 1]) > 0.4


@pytest.mark.parametrize("name", list(OWN))
def test_answers_are_the_labelled_factors_by_moments_that_splits_share(name: str) -> None:
    names = made(name, {}).names
    worlds = [made(name, {"labelled": (names[2], names[0]), "combinations": way}) for way in ("training", "held_out")]
    fits = []
    for world in worlds:
        sample = world.draw(300, 0)
        asked = sample.factors[:, [2, 0]]
        assert sample.fields["answers"].shape == (300, 2)
        fits.append([np.polyfit(asked[:, at], sample.fields["answers"][:, at], 1) for at in range(2)])
        for at, line in enumerate(fits[-1]):
            np.testing.assert_allclose(np.polyval(line, asked[:, at]), sample.fields["answers"][:, at], atol=1e-4)
    np.testing.assert_allclose(fits[0], fits[1], rtol=1e-3, atol=1e-4)
    answers = made(name, {"labelled": ("all",)}).draw(4000, 5).fields["answers"]
    np.testing.assert_allclose(answers.mean(axis=0), 0, atol=0.08)
    np.testing.assert_allclose(answers.std(axis=0), 1, atol=0.08)


@pytest.mark.parametrize("name", list(OWN))
def test_training_sees_no_held_out_combination_and_the_held_out_split_nothing_else(name: str) -> None:
    dials = {"lag": 1, "pairs": "changed"}
    free, training, held = (
        made(name, {**dials, "combinations": way}).process for way in ("all", "training", "held_out")
    )
    plain = made(name, {"interventions": 0.5, "labelled": ("all",)}).process
    for other in (held, free, plain):  # so that all of them mean the same by what is held out
        assert np.array_equal(training.reference, other.reference)
    assert not free.held_out(training.draw(1500, 0).factors).any()
    assert free.held_out(held.draw(1500, 0).factors[:, 1]).all()
    assert 0.05 < free.held_out(free.draw(1500, 0).factors[:, 1]).mean() < 0.4
    (low, high), rows = free.outer, training.draw(1500, 0).factors[:, 1]
    assert ((rows > high).mean(axis=0) > 0.1).all() and ((rows < low).mean(axis=0) > 0.1).all()  # each by itself


def test_domains_stay_even_where_rows_are_rejected() -> None:
    world = BallRoom(BallRoomConfig(selection=True, domains=5), 0)
    counts = np.bincount(world.process.draw(5000, 0).conditions.domain)
    assert counts.min() > 900 and counts.max() < 1100


def test_cards_tell_worlds_apart() -> None:
    verdicts = {
        "independent given domain": ({"domains": 4}, {"dependence": "chain"}),
        "enough domains": ({"domains": 9}, {"domains": 8}),
        "sparse changes": ({"pairs": "changed"}, {"pairs": "augmented"}),
        "time dependence": ({"lag": 1, "sources": "logistic"}, {}),
        "known interventions": ({"interventions": 0.1}, {}),
        "selection": ({"combinations": "training"}, {}),
    }
    for assumption, (met, unmet) in verdicts.items():
        assert made("vectors", met).card[assumption].startswith("Yes")
        assert made("vectors", unmet).card[assumption].startswith("No")
    assert made("ball_room", {}).card["enough domains"].startswith("No: 10 domains, where 17 are needed")
