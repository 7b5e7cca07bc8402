"""The Markov blanket of an answer: gates find the blocks that made the rows, and scores tell them from others."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from probes.constraints.registry import CONSTRAINTS
from probes.parts.blanket import BLOCKS, Blanket, one_hot
from probes.parts.blanket_scores import assignment_score, assignments
from probes.parts.networks import seeded
from probes.representations.represented import Represented
from probes.training.randomness import generator

DOMAINS = 8
ORDERS = ([2, 0, 3, 1], [3, 1, 0, 2])  # which block each latent is made as; in no order of places


def rows_made_as(order: list[int], rows: int = 4000) -> tuple[Tensor, Tensor, Tensor]:
    """(latents, answer, domain) of a parent, a spouse, a child and a rest, all but the answer shifted by domain."""
    draw = generator(0, "blanket")
    noise, domain = torch.randn(5, rows, generator=draw), torch.arange(rows) % DOMAINS
    parent, spouse, child, rest = torch.randn(4, DOMAINS, generator=draw)[:, domain]
    parent, spouse, rest = parent + noise[0], spouse + noise[1], rest + noise[2]
    answer = 1.2 * parent + 0.5 * noise[3]
    child = 1.5 * child + answer + 0.8 * spouse + 0.5 * noise[4]
    z = torch.stack([parent, spouse, child, rest], dim=1)[:, order]
    return z, (answer - answer.mean()) / answer.std(), domain


@pytest.mark.parametrize("order", ORDERS)
def test_the_blocks_that_made_the_rows_score_better_than_any_that_did_not(order: list[int]) -> None:
    z, answer, domain = rows_made_as(order)
    scores = {
        name: assignment_score(z, answer, domain, block) for name, block in assignments(torch.tensor(order)).items()
    }
    assert scores["as_gated"] > max(scores["swapped"], scores["in_order"]) + 0.5
    assert min(scores["swapped"], scores["in_order"]) > scores["no_blanket"] + 0.5
    every = [assignment_score(z, answer, domain, torch.tensor(block)) for block in product(range(4), repeat=4)]
    assert max(every) < scores["as_gated"] + 0.01, "others are no better: a parent of no weight is like none"


def test_a_score_is_of_rows_that_were_not_fitted_and_blind_to_scale() -> None:
    z, answer, domain = rows_made_as(ORDERS[0], rows=40)
    noise = torch.randn(40, 12, generator=generator(1, "blanket"))
    wide = torch.cat([z, noise], dim=1)
    inside, outside = ([*ORDERS[0], *[at] * 12] for at in (0, 3))
    parents, rest = (assignment_score(wide, answer, domain, torch.tensor(block)) for block in (inside, outside))
    assert parents < rest - 0.1, "noise explains rows it was fitted on, and no others"
    block = torch.tensor(ORDERS[0])
    assert assignment_score(z * 1e-3, answer * 50, domain, block) == pytest.approx(
        assignment_score(z, answer, domain, block), abs=1e-4
    )


def test_gates_prefer_no_place_and_a_certificate_tells_of_a_better_assignment() -> None:
    z, answer, domain = rows_made_as(ORDERS[0])
    blanket = seeded(lambda: Blanket(4, DOMAINS, 32), 0, "blanket")
    assert blanket.chances().tolist() == [[0.25] * 4] * 4
    drawn = blanket.drawn(torch.rand(4, 4, generator=generator(0, "draw")))
    assert sorted(set(drawn.flatten().tolist())) == [0.0, 1.0] and drawn.sum(dim=1).tolist() == [1.0] * 4
    latents, told = blanket(z, answer, domain, drawn)
    (slope,) = torch.autograd.grad(latents.mean() + told.mean() / 4, blanket.slow)
    assert bool(torch.isfinite(slope).all()) and bool(slope.any(dim=1).all())

    constraint: Any = CONSTRAINTS.load("markov_blanket")()
    seen = Represented(z, torch.zeros_like(z), z, {"answers": answer[:, None], "domain": domain}, (0, 0))
    model: Any = SimpleNamespace(prior=lambda name: blanket)
    found = []
    for block in (ORDERS[0], [2, 2, 2, 1]):  # as made, and with the parent taken for a child
        with torch.no_grad():
            blanket.slow.copy_(one_hot(torch.tensor(block)).float())
        found.append(constraint.certify(model, seen))
    right, wrong = found
    assert right["score_as_gated"] > max(right["score_swapped"], right["score_in_order"]) + 0.5
    assert right["score_one_moved"] < right["score_as_gated"] + 0.01 and right["undecided"] < 0.01
    assert wrong["score_one_moved"] > wrong["score_as_gated"] + 0.1
    assert [right[name] for name in BLOCKS] == [1.0] * 4 and [wrong[name] for name in BLOCKS] == [0.0, 1.0, 3.0, 0.0]


def test_a_latent_is_never_made_of_itself() -> None:
    blanket = seeded(lambda: Blanket(4, 2, 8), 0, "blanket")
    z = torch.randn(3, 4, generator=generator(0, "z"), requires_grad=True)
    for made in (blanket.for_spouses(z, None), blanket.for_children(z, z[:, 0].detach())):
        for latent in range(4):
            (slope,) = torch.autograd.grad(made[:, latent].sum(), z, retain_graph=True)
            assert not slope[:, latent].any() and slope.any()
