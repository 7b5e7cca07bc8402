"""Levers by rule from contrasts, on codes made by hand: which latents, how much, where, and how long the controls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from probes.hierarchy.selection_map import SelectionMap
from probes.hooks import Edit, Where
from steering.arms import Arm
from steering.concept_levers import Latents, added, at_random, chosen, direction_part, parts_of, rows_arm
from steering.contrasts import along_edges
from steering.lever_families import Case, Families, Shape, forms_of
from tests.fixtures.captions import POINT, TYPICAL, level, means

LOW, HIGH, WHOLE = (0.0, 0.3), (0.7, 1.0), (0.0, 1.0)
LABELS: list[dict[str, object]] = [{"style": 0}, {"style": 0}, {"style": 1}, {"style": 1}]
# Latent 0 falls from style 0 to style 1 by 2, latent 1 rises by 3, latent 2 by 1; latent 3 tells nothing.
CODES = [[2.0, 0.0, 1.0, 1.0], [2.0, 0.0, 1.0, 3.0], [0.0, 3.0, 2.0, 2.0], [0.0, 3.0, 2.0, 2.0]]
SEEN = means("low", LOW, CODES, LABELS)
CASE = Case((1,), SEEN.where("style", 1), SEEN.where("style", 0))
CONTRAST = SEEN.contrast(CASE.on, CASE.off)


def families() -> Families:
    high = means("high", HIGH, [[0, 0, 5, 0], [0, 0, 5, 0], [0, 0, 0, 7], [0, 0, 0, 7]], LABELS)
    edges = torch.tensor([1, 0]), torch.tensor([3, 3])
    nothing = torch.zeros(2)
    down = SelectionMap("low", "high", *edges, torch.tensor([2.0, 0.5]), nothing, nothing, torch.zeros(4))
    return Families((SEEN, high), means("flat", WHOLE, CODES, LABELS), (down,))


def effect(edit: Edit, x: torch.Tensor) -> torch.Tensor:
    return edit.change(x, Where(0, branches=("cond",) * len(x), items=tuple(range(len(x)))))


def edits(arm: Arm, strength: float = 1.0) -> list[Edit]:
    return arm.edits(strength) if arm.edits else []


def test_a_contrast_ranks_latents_by_what_they_change() -> None:
    assert CONTRAST.codes.tolist() == [-2, 3, 1, 0]
    assert CONTRAST.strongest(4) == [1, 2] and CONTRAST.strongest(4, -1) == [0] and CONTRAST.strongest(1) == [1]
    assert CONTRAST.largest(2) == [1, 0] and CONTRAST.largest(9) == [1, 0, 2]
    with pytest.raises(ValueError, match="both kinds"):
        SEEN.contrast(CASE.on, SEEN.where("style", 7))


def test_adding_all_latents_of_a_contrast_makes_up_the_difference() -> None:
    latents = chosen(SEEN.level, CONTRAST, "add", 4)
    assert latents.takes == {} and latents.adds[0] == -2 / TYPICAL[0] and latents.adds[1] == 3 / TYPICAL[1]
    assert torch.allclose(added(SEEN.level, latents.adds), torch.tensor([-2.0, 3, 1, 0]))
    (part,) = parts_of(SEEN.level, latents)
    assert part.noise == LOW
    x = torch.from_numpy(SEEN.activations[CASE.off]).float()[:, None]
    moved = x + part.change(x, Where(0))
    assert torch.allclose(moved.mean(dim=0)[0], torch.from_numpy(SEEN.activations[CASE.on].mean(axis=0)).float())


def test_a_swap_takes_out_what_is_there_and_a_removal_nothing_else() -> None:
    assert chosen(SEEN.level, CONTRAST, "swap", 1) == Latents({1: 1.5}, {0: 1.0})
    latents = chosen(SEEN.level, CONTRAST, "remove", 4)
    assert latents == Latents({}, {0: 1.0})
    (part,) = parts_of(SEEN.level, latents)
    x = torch.tensor([[[5.0, 1, 1, 1], [0.0, 1, 1, 1]]])
    assert (x + part.change(x, Where(0))).tolist() == [[[0, 1, 1, 1], [0, 1, 1, 1]]]


def test_beside_what_is_added_no_more_is_taken_out_than_there_is() -> None:
    x = torch.tensor([[[5.0, 1, 1, 1]]])
    swap, remove = (rows_arm("a", POINT, [((0,), parts_of(SEEN.level, one))]) for one in (
        Latents({1: 1.5}, {0: 1.0}), Latents({}, {0: 1.0}),
    ))  # fmt: skip
    total = sum((effect(edit, x) for edit in edits(swap, 4.0)), x)
    assert total.tolist() == [[[0, 13, 1, 1]]]
    (edit,) = edits(remove, 4.0)
    assert (x + effect(edit, x)).tolist() == [[[-15, 1, 1, 1]]]


def test_random_latents_add_as_much_and_are_none_of_the_chosen() -> None:
    latents = Latents({1: 1.5}, {0: 1.0})
    drawn = at_random(SEEN.level, latents, seed=3)
    assert added(SEEN.level, drawn.adds).norm() == pytest.approx(3.0)
    assert not set(drawn.adds) & set(latents.adds) and not set(drawn.takes) & set(latents.takes)
    assert at_random(SEEN.level, latents, seed=3) == drawn


def test_the_difference_of_means_adds_or_moves_or_goes_back() -> None:
    difference = torch.tensor([-2.0, 3, 1, 0])
    x = torch.tensor([[[2.0, 0, 1, 1], [9.0, 9, 9, 9]]])
    assert torch.allclose(direction_part(CONTRAST, "add", LOW).change(x, Where(0)), difference.expand_as(x))
    unit, goal = difference / difference.norm(), torch.tensor([0.0, 3, 2, 2])
    moved = x + direction_part(CONTRAST, "move", LOW).change(x, Where(0))
    assert torch.allclose(moved @ unit, (goal @ unit).expand(1, 2), atol=1e-5)
    back = direction_part(CONTRAST, "remove", LOW).change(x, Where(0))
    assert torch.allclose((x + back)[0, 0] @ unit, goal @ unit, atol=1e-5)
    beyond = goal + 2 * unit
    assert not direction_part(CONTRAST, "remove", LOW).change(beyond[None, None], Where(0)).any()


def test_an_arm_steers_each_picture_with_its_own_lever_and_strength_nought_is_nothing() -> None:
    shape = families().hierarchical("add", 1)
    arm = families().arm("h", shape, [CASE, CASE._replace(rows=(0,), on=CASE.off, off=CASE.on)])
    made = edits(arm, 2.0)
    assert {edit.point for edit in made} == {POINT}
    assert [(edit.where.rows, edit.where.noise) for edit in made] == [
        ((1,), LOW), ((1,), HIGH), ((0,), LOW), ((0,), HIGH),
    ]  # fmt: skip
    x = torch.randn(3, 4, 4)
    assert torch.equal(effect(made[0], x)[1], torch.tensor([0.0, 6, 0, 0]).expand(4, 4))
    assert torch.equal(effect(made[2], x)[0], torch.tensor([0.0, -6, 0, 0]).expand(4, 4))
    assert not effect(made[0], x)[[0, 2]].any()
    for edit in edits(arm, 0.0):
        assert torch.equal(x + effect(edit, x), x)


def test_edges_lead_down_to_latents_that_add_as_much_as_the_levels_own() -> None:
    found = families()
    assert along_edges(found.maps[0], {3: 7.0}, torch.tensor(TYPICAL), 4) == {1: 14.0, 0: 3.5}
    assert along_edges(found.maps[0], {2: 7.0}, torch.tensor(TYPICAL), 4) == {}
    high, low = found.along_edges(1).parts(CASE)
    x = torch.zeros(1, 1, 4)
    assert high.noise == HIGH and high.change(x, Where(0)).flatten().tolist() == [0, 0, 0, 7]
    # the level's own latent is number 1 with 3; the edge of latent 3 above leads to number 1 as well
    assert low.noise == LOW and low.change(x, Where(0)).flatten().tolist() == [0, 3, 0, 0]


def test_controls_act_as_strongly_in_the_wrong_place() -> None:
    found = families()
    x = torch.zeros(1, 1, 4)
    (own,) = found.of_levels("add", 1, [0]).parts(CASE)
    (wrong,) = found.wrong_level("add", 1, 0).parts(CASE)
    assert wrong.noise == own.noise == LOW
    sizes = [part.change(x, Where(0)).norm().item() for part in (own, wrong)]
    assert sizes == pytest.approx([3, 3]) and wrong.change(x, Where(0))[..., 3] == 3
    (elsewhere,) = found.wrong_noise("add", 1, 0).parts(CASE)
    assert elsewhere.noise == HIGH and torch.equal(elsewhere.change(x, Where(0)), own.change(x, Where(0)))
    (single,) = found.single(True).parts(CASE)
    assert single.noise == HIGH
    (single,) = found.single(False).parts(CASE)
    assert single.noise == WHOLE and single.change(x, Where(0)).flatten().tolist() == [0, 3, 0, 0]


def test_every_way_may_choose_among_as_many_forms() -> None:
    shapes: dict[str, list[Shape]] = forms_of(families(), ("add", "swap"), (1, 2))
    assert {name: len(found) for name, found in shapes.items()} == dict.fromkeys(shapes, 4)
    assert set(shapes) == {"hierarchical", "flat", "difference_of_means"}
    for found in shapes.values():
        assert len({shape.name for shape in found}) == 4
        assert all(shape.parts(CASE) for shape in found)
        for shape in found:
            control, own = shape.randomly().parts(CASE), shape.parts(CASE)
            assert [part.noise for part in control] == [part.noise for part in own]
            if shape.form == "add":
                x = torch.zeros(1, 1, 4)
                sizes = [[float(part.change(x, Where(0)).norm()) for part in made] for made in (control, own)]
                assert sizes[0] == pytest.approx(sizes[1])
    with pytest.raises(ValueError, match="no random control"):
        families().single(True).randomly()
    bands = [shape for shape in shapes["difference_of_means"] if "each" in shape.name]
    assert [part.noise for part in bands[0].parts(CASE)] == [LOW, HIGH]
    assert np.array_equal(level("low", LOW).space.table.typical.numpy(), TYPICAL)
