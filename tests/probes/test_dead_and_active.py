"""What is promised of trained dictionaries as a whole: how many latents are on, and that dead ones come back."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from probes.addresses import HookPoint
from probes.autoencoders.dictionary import Dictionary
from probes.autoencoders.fitting import DictionaryConfig, finished, fit
from probes.tasks.reconstruct import ReviveConfig
from probes.training.loop import OptimiserConfig
from probes.training.randomness import permutation
from tests.fixtures.mixtures import Batches, mixtures, run, started

POINT = HookPoint(path="layers.0")
WORLD = mixtures(features=128, width=32, active=4.0, rows=512)  # rows have 4 features on average, not exactly


def rows(first: int, batches: int = 16) -> Tensor:
    return torch.cat([WORLD(step)["x"] for step in range(first, first + batches)])


def config(kind: Any, steps: int, k: float = 4, n_latents: int = 256, **more: object) -> DictionaryConfig:
    optimiser = OptimiserConfig(steps=steps, batch=512, learning_rate=3e-3, decay=0.05)
    return DictionaryConfig(
        autoencoder=kind,
        n_latents=n_latents,
        k=k,
        dead_after=5000,
        optimiser=optimiser,
        **more,  # type: ignore[arg-type]
    )


@cache
def fitted(kind: str, steps: int, k: float) -> Dictionary:
    """Calibrated on rows that it was not trained on, and that the tests below do not use."""
    return fit(WORLD, config(kind, steps, k), rows(20_000))


def l0(space: Dictionary) -> float:
    return float(space.encode(rows(30_000)).l0().float().mean())


@pytest.mark.parametrize("kind", ["batch_topk", "matryoshka", "hierarchical", "jumprelu"])
@pytest.mark.parametrize(
    "steps", [100, pytest.param(300, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.slow)]
)
def test_as_many_latents_are_on_as_were_asked_for(kind: str, steps: int) -> None:
    assert l0(fitted(kind, steps, 4)) == pytest.approx(4, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [100, 300, 1000])
def test_a_fractional_number_too(steps: int) -> None:
    assert l0(fitted("batch_topk", steps, 3.5)) == pytest.approx(3.5, rel=0.05)


@pytest.mark.parametrize(
    "steps", [100, pytest.param(300, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.slow)]
)
def test_it_is_a_jumprelu_dictionary_that_a_batch_topk_becomes(steps: int) -> None:
    """Thresholds alone decide, and saved per latent, as a JumpReLU's are, they decide the same."""
    found = fitted("batch_topk", steps, 4)
    assert found.most_active is None and bool((found.threshold > 0).all())
    tensors = found.tensors() | {"threshold": found.threshold.clone()}
    jumprelu = Dictionary.from_tensors(tensors, found.table, POINT)
    assert l0(jumprelu) == pytest.approx(4, rel=0.05)
    x = rows(30_000, 1)
    pre = found.pre_activations(x)
    torch.testing.assert_close(jumprelu.encode(x).dense(), torch.where(pre > found.threshold, pre, 0.0))


def test_learnt_thresholds_fall_to_the_number_that_is_aimed_at() -> None:
    """Log-thresholds hardly move from a small start; these fall by far more than a third in 500 steps."""
    setting = config("jumprelu", 500)
    objective = started(setting, WORLD)
    with torch.no_grad():
        objective.representation.threshold.fill_(0.01)
    _, logged = run(objective, setting, WORLD)
    first, last = logged[0]["l0"], logged[-1]["l0"]
    assert first > 50 and last < 0.2 * first and last == pytest.approx(4, rel=0.25)
    assert float(objective.representation.threshold.detach().min()) >= 0


def test_learnt_thresholds_are_held_to_the_number_by_moving_together() -> None:
    """Each stays as far from the others as training left it; what is not positive stays off."""
    setting = config("jumprelu", 100)
    objective = started(setting, WORLD)
    run(objective, setting, WORLD)
    learnt = Dictionary.from_training(objective.representation, POINT, "low")
    for k in (1.0, 4.0, 8.0):
        found = learnt.calibrated(rows(20_000), k, learnt=True)
        assert l0(found) == pytest.approx(k, rel=0.05)
        moved = (found.threshold - learnt.threshold)[found.threshold > 0]
        assert len(moved) > 200 and float(moved.max() - moved.min()) < 1e-5
    everything = learnt.calibrated(rows(20_000), 128.0, learnt=True)
    assert not everything.threshold.any()
    pre = everything.pre_activations(rows(30_000))
    assert torch.equal(everything.encode(rows(30_000)).l0(), (pre > 0).sum(dim=1))


def test_a_price_of_a_count_promises_no_number() -> None:
    assert started(config({"kind": "jumprelu"}, 1), WORLD).representation.aims_at_k()
    for penalty in ("step", "tanh"):
        priced = config({"kind": "jumprelu", "penalty": penalty}, 1)
        model = started(priced, WORLD).representation
        assert not model.aims_at_k()
        kept = finished(model, priced, rows(20_000, 1), POINT, "low").threshold
        assert torch.equal(kept, Dictionary.from_training(model, POINT, "low").threshold)


def test_calibration_in_blocks_is_the_exact_quantile() -> None:
    found = fitted("batch_topk", 100, 4)
    sample = rows(20_000, 20)  # three blocks
    for k in (0.01, 3.3, 250.0):
        pre = found.pre_activations(sample).flatten().sort(descending=True).values
        wanted = pre[min(round(k * len(sample)), len(pre) - 1)].clamp_min(0)
        assert torch.equal(found.calibrated(sample, k).threshold, wanted.expand(256))


def fired_again(kind: str, world: Batches, weight: float) -> tuple[float, float]:
    """(share of the artificially dead that fire at some point in 500 steps, share firing at the end).

    The residual is rebuilt from d/2 dead latents per row, as in the literature: from all of them at once it would be
    rebuilt by signed sums, and none would have to fire.
    """
    setting = config(kind, 500, n_latents=128, revive=ReviveConfig(weight=weight, k=16))
    objective = started(setting, world)
    model = objective.representation
    half = permutation(128, 0, "dead")[:64]
    with torch.no_grad():  # out of reach of every row, by a margin
        reach = torch.stack([model.pre_activations(model.normalise.rows(world(s)["x"])).amax(dim=0) for s in range(20)])
        model.b_enc[half] -= reach.amax(dim=0)[half] + 0.5
    model.since_fired[half] = 10**6
    fired = torch.zeros(128, dtype=torch.bool)
    after = model.after_step

    def watched() -> None:
        after()
        fired[model._last.fired()] = True

    fired[model.represent(world(0)).fired()] = True
    assert not fired[half].any()
    model.after_step = watched
    run(objective, setting, world)
    end = torch.zeros(128, dtype=torch.bool)
    for step in range(1000, 1020):
        end[model.represent(world(step)).fired()] = True
    return float(fired[half].float().mean()), float(end[half].float().mean())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["topk", "batch_topk", "matryoshka", "hierarchical", "jumprelu", "gated"])
def test_dead_latents_come_back_because_they_are_revived(kind: str) -> None:
    world = mixtures(features=128, width=32, active=4.0, rows=1024)
    again, end = fired_again(kind, world, ReviveConfig().weight)
    assert again >= 0.9 and end > 0.6
    assert fired_again(kind, world, 0.0)[1] < 0.1
