"""Lever evaluation on a small random subject and a planted dictionary; what is drawn and what is scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from concept_graphs.context_words import Around, context_words
from concept_graphs.contexts import Firings, Text
from concept_graphs.tables import Node
from probes.activations.rows import RowKind
from probes.errors import WorkbenchError
from probes.hooks import Edit, Selector
from probes.subjects.text_autoregressive import TextAutoregressive
from steering.arms import Arm, Bench, draw_prompts, strongest_within
from steering.evaluation import LeverEvaluationConfig, chosen_concepts


def text_of(tokens: np.ndarray) -> Text:
    chunks = np.arange(len(tokens))
    return Text(tokens, np.ones_like(tokens, dtype=bool), chunks // 2, chunks * 0, chunks * 0, chunks)


def fired(chunk: list[int], row: list[int]) -> Firings:
    n = len(chunk)
    return Firings(np.zeros(n, int), np.ones(n), np.array(chunk), np.array(row), np.array(chunk) // 2)


def test_context_words_are_what_stands_near_more_often_than_elsewhere() -> None:
    random = np.random.default_rng(0)
    tokens = random.integers(10, 30, size=(40, 24))
    places = [(chunk, int(random.integers(4, 20))) for chunk in range(40)]
    for chunk, row in places:
        tokens[chunk, row + 1], tokens[chunk, row - 1] = 7, 8
    text, found = text_of(tokens), fired(*map(list, zip(*places, strict=True)))
    near = context_words(found, text, RowKind(), 0, around=Around(1, 1), count=2)
    assert set(near) == {7, 8}
    after = context_words(found, text, RowKind(), 0, around=Around(0, 1), count=1)
    assert after == [7]
    assert context_words(found, text, RowKind(), 1, around=Around(), count=5) == []


def test_common_tokens_do_not_win_by_their_frequency() -> None:
    random = np.random.default_rng(1)
    tokens = np.where(random.random((60, 24)) < 0.6, 3, random.integers(10, 60, size=(60, 24)))
    for chunk in range(0, 60, 4):
        tokens[chunk, 11] = 5
    found = fired(list(range(0, 60, 4)), [10] * 15)
    assert context_words(found, text_of(tokens), RowKind(), 0, around=Around(2, 2), count=1) == [5]


def described(latents: list[int]) -> list[Node]:
    """Nodes whose labels find the even latents well and the odd ones badly."""
    return [
        Node(
            id=f"middle/{latent}",
            level="middle",
            index=latent,
            label=str(latent),
            label_tokens=[],
            detection=None if latent % 5 == 0 else 0.9 if latent % 2 == 0 else 0.5,
            frequency=0.005,
            typical=1.0,
        )
        for latent in latents
    ]


def test_concepts_are_drawn_by_rule_and_parts_of_the_draw_do_not_overlap() -> None:
    frequency = torch.full((60,), 0.005)
    frequency[40:50], frequency[50:] = 0.5, 1e-6
    allowed = {latent for latent in range(40) if latent % 2 == 0 and latent % 5}

    def drawn(**rest: float) -> list[int]:
        return [n.index for n in chosen_concepts(frequency, LeverEvaluationConfig(**rest), described)]

    first, rest = drawn(concepts=6), drawn(concepts=500, skip=6)
    assert first == drawn(concepts=6)
    assert first == drawn(concepts=3) + drawn(concepts=3, skip=3)
    assert len(first) == 6
    assert {*first, *rest} == allowed
    assert not {*first} & {*rest}
    assert drawn(concepts=6, seed=1) != first
    with pytest.raises(WorkbenchError, match="Widen the band"):
        drawn(detection=0.99)


@pytest.fixture(scope="module")
def bench(tiny_subject: TextAutoregressive) -> Bench:
    prompts = torch.randint(3, 100, (4, 6), generator=torch.Generator().manual_seed(0))
    return Bench.set_up(tiny_subject, prompts, new_tokens=8, seed=3, temperature=0.7)


def pushed(bench: Bench, size: float) -> Arm:
    """Adds a multiple of the output direction of token 9 before the last layer's output is read."""
    point = bench.subject.layer_point(1)
    row = bench.subject.model.get_output_embeddings().weight[9]
    step = size * torch.nn.functional.normalize(row, dim=0)
    return Arm("push", lambda s: [Edit(point, Selector(), lambda x, where: (s * step).expand_as(x))])


def test_an_arm_that_does_nothing_costs_nothing_and_writes_the_same(bench: Bench) -> None:
    followed = bench.follow(pushed(bench, 1.0), 0.0, [9])
    assert np.abs(followed.damage).max() == 0
    assert torch.equal(bench.write(pushed(bench, 1.0), 0.0), bench.plain)


def test_pushing_towards_a_token_raises_it_and_damages_the_rest(bench: Bench) -> None:
    none, some = (bench.follow(pushed(bench, 5.0), strength, [9]) for strength in (0.0, 1.0))
    assert (some.words > none.words).all()
    assert some.damage.mean() < 0


def test_parts_of_a_bench_agree_with_the_whole(bench: Bench) -> None:
    arm = pushed(bench, 3.0)
    whole, part = bench.write(arm, 1.0), bench.part(slice(2, None)).write(arm, 1.0)
    assert torch.equal(whole[2:], part)
    np.testing.assert_allclose(
        bench.follow(arm, 1.0, [9]).damage[2:],
        bench.part(slice(2, None)).follow(arm, 1.0, [9]).damage,
        atol=1e-5,
    )


def test_the_strongest_strength_within_the_damage_is_chosen(bench: Bench) -> None:
    arm, grid = pushed(bench, 3.0), (0.1, 0.5, 1.0, 4.0)
    damages = {s: -float(bench.follow(arm, s, [0]).damage.mean()) for s in grid}
    for limit in (damages[0.5] + 1e-6, damages[1.0] + 1e-6):
        fits = max(s for s in grid if damages[s] <= limit)
        assert strongest_within(bench, arm, grid, limit) == fits
    assert strongest_within(bench, arm, grid, 1e-9) == 0.1


def test_prompts_come_from_different_documents_and_only_from_usable_text() -> None:
    tokens = np.arange(60).reshape(10, 6)
    usable = np.ones_like(tokens, dtype=bool)
    usable[:, 0] = False
    usable[4, 2] = False
    document = np.arange(10) // 2
    prompts = draw_prompts(tokens, usable, document, count=5, length=4, seed=0)
    chunks = prompts[:, 0].numpy() // 6
    assert 4 not in chunks
    assert len(set(document[chunks])) == 5
    with pytest.raises(WorkbenchError, match="Give more text"):
        draw_prompts(tokens, usable, document, count=10, length=4, seed=0)
