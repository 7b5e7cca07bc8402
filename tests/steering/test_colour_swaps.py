"""Steering the toy, whose pictures rules can read: chosen latents against random ones and a difference of means.

Latents are chosen on seeds below 60 000, strengths on those below 70 000, and scores come from the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from probes.addresses import HookPoint, Selector
from probes.autoencoders.dictionary import Dictionary
from probes.hooks import Edit, Where, hooked
from probes.latents import Codes
from probes.masks import Mask
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.loading import load_subject
from probes.worlds.shape_oracles import look
from probes.worlds.shapes import every_thing
from steering.arms import Arm
from steering.colour_dictionaries import BLOCKS, dictionary, rows_of
from steering.colour_swaps import (
    ColourSwapConfig,
    Known,
    Pair,
    arms_of,
    inputs_for,
    learn,
    oracle_for,
    swap_colours,
    things_of,
)
from steering.doses import Doses, beyond, spearman, working_strength
from steering.picture_bench import PictureBench, latent_change, masked_arm, within

CHOOSING, TUNING, SCORING = 50_000, 60_000, 70_000
CONFIG = ColourSwapConfig(strengths=(0.0, 1.0, 2.0, 4.0))
FEW: tuple[Pair, ...] = ((0, 1), (2, 0))


@cache
def toy() -> ImageDiffusion:
    return load_subject("bundled/toy", of=ImageDiffusion)


@cache
def spaces() -> dict[HookPoint, Dictionary]:
    return {point: dictionary(rows, point) for point, rows in rows_of(toy(), BLOCKS, (0,), CONFIG).items()}


@cache
def known(features: int = CONFIG.features) -> Known:
    return learn(toy(), spaces(), CONFIG.model_copy(update={"features": features}), first_seed=CHOOSING)


@cache
def scored() -> dict[str, Doses]:
    return swap_colours(toy(), spaces(), known(), CONFIG, first_seed=SCORING, pairs=FEW)


@cache
def tuned() -> float:
    """The strength chosen for the latents, on other seeds than they are scored on."""
    arms = swap_colours(toy(), spaces(), known(), CONFIG, first_seed=TUNING, pairs=FEW[:1], only=("chosen",))
    return working_strength(arms["chosen"])


def test_the_toy_draws_what_it_is_asked_for() -> None:
    things = every_thing()
    images = toy().generate(inputs_for(things, range(len(things)), CONFIG)).images.numpy()
    seen = look(images)
    assert seen.shows(things).mean() > 0.97
    assert seen.off_manifold.mean() < 0.05


def test_noise_is_the_share_of_noise_and_rows_are_uncond_then_cond() -> None:
    found = toy().activations(
        inputs_for(every_thing()[:2], (0, 1), CONFIG),
        {BLOCKS[0]: lambda x, where: (where.noise, where.step, where.branches, where.grid)},
    )[BLOCKS[0]]
    steps = np.arange(CONFIG.steps)
    assert [one[1] for one in found] == steps.tolist()
    assert np.allclose([one[0] for one in found], 1 - steps / CONFIG.steps, atol=2e-3)
    assert {one[2:] for one in found} == {(("uncond", "uncond", "cond", "cond"), (8, 8))}


def test_a_selector_of_one_picture_and_some_cells_reaches_nothing_else() -> None:
    inputs = inputs_for(every_thing()[:3], (0, 1, 2), CONFIG)
    where = Selector(rows=(1,), cells=Mask.box(0, 0, 0.5, 0.5), noise=(0.0, 0.5))

    def push(x: Tensor, _: Where) -> Tensor:
        return torch.full_like(x, 3.0)

    plain = toy().generate(inputs).images
    with hooked(toy(), write=[Edit(BLOCKS[0], where, push)]):
        steered = toy().generate(inputs).images
    assert torch.equal(plain[[0, 2]], steered[[0, 2]])
    assert not torch.equal(plain[1], steered[1])


def test_strength_zero_changes_no_bit_in_any_arm() -> None:
    things = things_of(0)[:4]
    bench = PictureBench.set_up(toy(), inputs_for(things, range(4), CONFIG))
    for arm in arms_of((0, 1), spaces(), known(), things, CONFIG, seed=0).values():
        drawn = bench.draw(arm, 0.0)
        assert np.array_equal(drawn, bench.plain), arm.name
        assert not oracle_for(things, 1)(drawn, bench.plain).effect.any()
        assert not np.array_equal(bench.draw(arm, 1.0), bench.plain), arm.name


def test_chosen_latents_turn_colours_and_random_ones_do_not() -> None:
    chosen, random = scored()["chosen"], scored()["random"]
    assert chosen.effect[0].sum() == random.effect[0].sum() == 0
    found = beyond(chosen, random, tuned())
    assert found.value >= 0.3, found
    assert found.low > 0.1


def test_more_strength_turns_more() -> None:
    assert scored()["chosen"].monotone() > 0.9


def test_the_difference_of_means_is_a_baseline_that_works() -> None:
    """A baseline that did nothing would make every lever look good."""
    assert scored()["difference of means"].effect.max(axis=0).mean() > 0.5


def turned(changes: dict[str, str], strength: float, pair: Pair = FEW[0]) -> float:
    config = CONFIG.model_copy(update={**changes, "strengths": (strength,)})
    found = swap_colours(toy(), spaces(), known(), config, first_seed=SCORING, pairs=(pair,), only=("chosen",))
    return float(found["chosen"].effect.mean())


def test_guidance_multiplies_an_edit_of_the_conditional_rows_alone() -> None:
    """At guidance g an edit there counts g times, one on both rows once, one on the others 1 − g times."""
    cond, both, uncond = (turned({"branch": branch}, 1.0) for branch in ("cond", "both", "uncond"))
    assert cond > both >= uncond, (cond, both, uncond)


# -- attribution within a step: what a derivative says, and what ablating shows ----------------------------------


def attributed(step: int, sources: list[int], targets: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Effects of block 0's latents on block 2's within one step, `source target`: by derivative, by ablation."""
    low, high = spaces()[BLOCKS[0]], spaces()[BLOCKS[2]]
    inputs = inputs_for(every_thing()[4:5], (CHOOSING,), CONFIG)
    start = toy().sampled(inputs, keep=(step,), until=step + 1).checkpoints[step]

    def read(measure: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Where], Tensor]:
        return lambda x, where: measure(x[[branch == "cond" for branch in where.branches]].float())

    def fired(x: Tensor) -> Tensor:
        return high.encode(x, targets).value.sum(dim=(0, 1))

    def smooth(x: Tensor) -> Tensor:
        return high.pre_activations(x.flatten(0, 1))[:, targets].relu().sum(dim=0)

    def run(measure: Callable[[Tensor], Tensor], edits: list[Edit]) -> Tensor:
        with hooked(toy(), {BLOCKS[2]: read(measure)}, edits) as tape:
            toy().sampled(inputs, start=start, until=step + 1)
        found: Tensor = tape.last(BLOCKS[2])
        return found

    share = torch.zeros(len(sources), requires_grad=True)

    def dose(x: Tensor, where: Where) -> Tensor:
        codes = low.encode(x.detach(), sources)
        return low.change(Codes(codes.index, codes.value * share, codes.n_latents))

    with torch.enable_grad():
        sums = run(smooth, [Edit(BLOCKS[0], Selector(), dose)])
        slopes = [torch.autograd.grad(one, share, retain_graph=True)[0] for one in sums]
    with torch.no_grad():
        plain = run(fired, [])
        removed = [
            run(fired, masked_arm("", {BLOCKS[0]: [(-1.0, latent_change(low, {source: 1.0}, "scale"))]}).edits(1.0))
            for source in sources
        ]
    return torch.stack(slopes, dim=1).numpy(), torch.stack([plain - one for one in removed]).numpy()


def test_derivatives_rank_effects_within_a_step_as_ablations_do() -> None:
    common = [int(at) for at in spaces()[BLOCKS[0]].table.frequency.argsort(descending=True)[:12]]
    late = [int(at) for at in spaces()[BLOCKS[2]].table.frequency.argsort(descending=True)[:8]]
    derivative, ablation = attributed(6, common, late)
    assert np.count_nonzero(ablation) > 20
    assert spearman(derivative.ravel(), ablation.ravel()) > 0.6


# -- slowly: every pair, every block, fewer latents, other windows, the map ----------------------------------------


@pytest.mark.slow
def test_the_effect_holds_over_all_pairs() -> None:
    strength = tuned()
    config = CONFIG.model_copy(update={"strengths": (0.0, strength)})
    arms = swap_colours(toy(), spaces(), known(), config, first_seed=SCORING)
    assert beyond(arms["chosen"], arms["random"], strength).low >= 0.2


@pytest.mark.slow
def test_blocks_and_windows_differ_so_both_must_be_swept() -> None:
    """The wrong level: block 0's latents of a colour, chosen by the same rule, turn nothing."""
    things, pair = things_of(FEW[0][0]), FEW[0]
    bench = PictureBench.set_up(toy(), inputs_for(things, range(SCORING, SCORING + len(things)), CONFIG))
    oracle = oracle_for(things, pair[1])

    def turning(points: tuple[HookPoint, ...]) -> Arm:
        return arms_of(pair, {point: spaces()[point] for point in points}, known(), things, CONFIG, seed=0)["chosen"]

    alone = [bench.doses(turning((point,)), (tuned(),), oracle).effect.mean() for point in BLOCKS]
    assert alone[0] <= 0.1 and max(alone[1:]) >= 0.5, alone
    found = bench.heat_map(turning(BLOCKS), ((0.5, 1.0), (0.0, 0.5)), (0.0, tuned()), oracle)
    assert not found.effect[:, 0].any()
    assert abs(found.effect[0, 1] - found.effect[1, 1]) > 0.3, found
    whole = within(turning(BLOCKS), (0.0, 1.0))
    assert np.array_equal(bench.draw(whole, tuned()), bench.draw(turning(BLOCKS), tuned()))


@pytest.mark.slow
def test_one_latent_is_not_a_concept() -> None:
    """Flips rise with the number of latents: 1 does clearly less than 8."""
    config = CONFIG.model_copy(update={"strengths": (tuned(),)})
    flips = [
        swap_colours(toy(), spaces(), known(count), config, first_seed=SCORING, pairs=FEW, only=("chosen",))[
            "chosen"
        ].effect.mean()
        for count in (1, 8)
    ]
    assert flips[1] > flips[0] + 0.2, flips
