"""Blocks of latents against the factors that belong to them, and interventional robustness in the score of a cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from probes.constraints.invariant_split import InvariantSplit, InvariantSplitConfig
from probes.constraints.kl import KL
from probes.constraints.markov_blanket import MarkovBlanket
from probes.representations.blocks import block_values, by_blanket, by_domain
from probes.representations.representation import LatentModel
from probes.representations.scoring import ScoringConfig, against_truth
from probes.representations.spec import spec_of
from probes.representations.training import Pair
from probes.tasks.reconstruction import Reconstruction
from probes.worlds.ball_room.world import BallRoom, BallRoomConfig
from probes.worlds.vectors import Vectors, VectorsConfig

ROOM = BallRoom(BallRoomConfig(size=16, labelled=("ball height",)), 0)
SPLIT = InvariantSplit(InvariantSplitConfig(changing=0.75))


def model_of(constraint: InvariantSplit | MarkovBlanket | KL, world: BallRoom | Vectors) -> LatentModel:
    """A model before any training, with as many latents as factors."""
    return Pair(Reconstruction(Reconstruction.Config()), constraint).model(spec_of(world, len(world.names), 16), 0)


def factors_of(world: BallRoom | Vectors) -> np.ndarray:
    return world.draw(1500, 1).factors.astype(np.float64)


def test_only_what_no_domain_reaches_is_still() -> None:
    """Domains scale the light and move the box; hue, ball x, shadow and stripes follow them."""
    own = by_domain(ROOM)
    assert [ROOM.names[at] for at in own["still"]] == ["ball size", "ball height"]
    assert not BallRoom(BallRoomConfig(size=16, domains=0), 0).process.moved.any()  # type: ignore[union-attr]


def test_a_blanket_is_parents_children_and_their_other_parents() -> None:
    own = {name: [ROOM.names[at] for at in places] for name, places in by_blanket(ROOM).items()}
    assert own == {
        "parents": ["ball size"],
        "spouses": ["light"],
        "children": ["shadow offset"],
        "rest": ["box x", "ball hue", "ball x", "stripe frequency"],
    }


def test_blocks_that_hold_their_own_factors_do_not_leak_and_mixed_ones_do() -> None:
    factors, model = factors_of(ROOM), model_of(SPLIT, ROOM)
    own = by_domain(ROOM)
    sorted_out = factors[:, [*own["still"], *own["moving"]]]
    found, why = block_values(SPLIT, model, ROOM, sorted_out, factors)
    assert not why and found["block_r2"] > 0.999
    assert found["block_leak"] == pytest.approx(found["block_leak_floor"]), (
        "factors cause each other: no code leaks less"
    )
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    mixed, _ = block_values(SPLIT, model, ROOM, sorted_out @ turn, factors)
    assert mixed["block_leak"] > mixed["block_leak_floor"] + 0.2 and mixed["block_r2"] < 0.95
    swapped, _ = block_values(SPLIT, model, ROOM, factors[:, [*own["moving"], *own["still"]]], factors)
    assert swapped["block.still.leak"] > 0.2 and swapped["block.still.r2"] < 0.1


def test_a_blanket_is_scored_without_its_answer() -> None:
    blanket = MarkovBlanket(MarkovBlanket.Config())
    factors, model = factors_of(ROOM), model_of(blanket, ROOM)
    settled = torch.arange(8) // 2  # two latents per block, in the order of the blocks
    with torch.no_grad():
        model.prior(blanket.key).slow.copy_(torch.nn.functional.one_hot(settled, 4))
    codes = factors[:, [2, 2, 0, 0, 6, 6, 1, 4]]
    found, why = block_values(blanket, model, ROOM, codes, factors)
    assert not why and found["block.parents.r2"] > 0.999 and found["block.children.r2"] > 0.999
    assert {name for name in found if name.endswith(".leak")} == {
        f"block.{name}.leak" for name in ("parents", "spouses", "children", "rest")
    }


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (Vectors(VectorsConfig(), 0), "none belong to: still"),  # every factor moves with the domain
        (BallRoom(BallRoomConfig(size=16, selection=True), 0), "not known which factors of this world change"),
    ],
)
def test_what_cannot_be_measured_is_left_out_with_a_reason(world: Vectors | BallRoom, reason: str) -> None:
    n = len(world.names)
    factors = np.random.default_rng(0).normal(size=(200, n))
    found, why = block_values(SPLIT, model_of(SPLIT, world), world, factors, factors)
    assert not found and why.keys() == {"block_r2", "block_leak", "block_leak_floor"} and reason in why["block_r2"]


def test_a_blanket_whose_gates_put_all_latents_into_one_block_is_not_scored() -> None:
    blanket, factors = MarkovBlanket(MarkovBlanket.Config()), factors_of(ROOM)
    found, why = block_values(blanket, model_of(blanket, ROOM), ROOM, factors, factors)
    assert not found and why["block_r2"].startswith("too few of its blocks have latents; none belong to: spouses")


def test_a_constraint_without_blocks_has_none_of_it() -> None:
    free = KL(KL.Config())
    assert block_values(free, model_of(free, ROOM), ROOM, np.zeros((9, 8)), np.zeros((9, 8))) == ({}, {})


def test_robustness_is_in_the_score_and_tells_single_factors_from_mixtures() -> None:
    factors = np.random.default_rng(0).uniform(size=(2000, 4))
    quick = ScoringConfig(kernel_rows=0, tree_rows=0)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    own, mixed = (against_truth(codes, factors, quick)[0]["irs"] for codes in (factors[:, ::-1] * 3, factors @ turn))
    assert own > 0.9 and mixed < 0.6
