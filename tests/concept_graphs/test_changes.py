"""What stands beside a source: random latents in its place."""

from __future__ import annotations

import pytest
import torch

from concept_graphs.changes import other_latents
from concept_graphs.evidence import EvidenceConfig
from probes.training.randomness import generator

CONFIG = EvidenceConfig()


@pytest.mark.parametrize("own", [torch.tensor(3), torch.tensor([3, 0, -1])])
def test_a_random_direction_is_never_one_of_the_source(own: torch.Tensor) -> None:
    drawn = torch.stack([other_latents(6, own, CONFIG, draw, 3) for draw in range(200)])
    assert drawn.shape == (200, *own.shape) and not torch.isin(drawn, own).any()
    left = set(range(6)) - set(own.flatten().tolist())
    assert set(drawn.flatten().tolist()) == left, "and may be any other"


def test_draws_that_were_no_hit_stay_as_graphs_keep_them() -> None:
    for draw in range(50):
        first = torch.randint(6, (), generator=generator(CONFIG.seed, f"null{draw}", 3))
        assert first == 3 or other_latents(6, torch.tensor(3), CONFIG, draw, 3) == first


def test_where_there_is_no_other_latent_any_is_drawn() -> None:
    assert other_latents(1, torch.tensor([0, -1]), CONFIG, 0, 0).tolist() == [0, 0]
