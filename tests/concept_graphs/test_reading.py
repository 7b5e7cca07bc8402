"""The reading sheet: what is drawn, and how contexts are shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from concept_graphs.reading import Card, as_markdown, draw_latents
from concept_graphs.tables import Example, Node


def level(frequency: torch.Tensor) -> Any:
    return SimpleNamespace(
        record=SimpleNamespace(name="middle"),
        space=SimpleNamespace(table=SimpleNamespace(frequency=frequency)),
    )


def test_latents_are_drawn_from_the_readable_band_and_by_the_seed() -> None:
    frequency = torch.full((400,), 1e-3)
    frequency[:100], frequency[100:200] = 1e-5, 0.5
    drawn = draw_latents(level(frequency), 20, seed=0)
    assert len(set(drawn)) == 20
    assert min(drawn) >= 200
    assert drawn == draw_latents(level(frequency), 20, seed=0)
    assert drawn != draw_latents(level(frequency), 20, seed=1)
    assert len(draw_latents(level(frequency), 1000, seed=0)) == 200


def test_contexts_mark_strong_tokens_on_one_line() -> None:
    node = Node(id="middle/3", level="middle", index=3, label="whale", label_tokens=[], frequency=1e-3, typical=1.0)
    context = Example(
        document="moby/1",
        position=0,
        tokens=["the", " great", "\n", " whale"],
        values=[0, 0.2, 0, 0.4],
        peak=3,
    )
    text = as_markdown({"middle": [Card(node, [context])]})
    assert "### middle/3: whale (unscored, frequency 1.0e-03)" in text
    assert "- moby/1: the[ great] [ whale]" in text
