"""Which output of a denoiser's module is the picture: read off diffusers' registry, or our table."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from probes.errors import WorkbenchError
from probes.hooks import HookPoint, keep
from probes.subjects.denoiser import MEMBERS
from probes.subjects.image_diffusion import ImageDiffusion
from tests.fixtures.picture_edits import hooks_left
from tests.fixtures.pipelines import FAMILIES, prompted


def test_the_output_that_is_the_picture_is_found_module_by_module(pipeline_subjects: Any) -> None:
    """A block of two streams returns the words first; what is read and edited is the picture all the same."""
    for name, block in (("sd3", "transformer_blocks.0"), ("flux", "single_transformer_blocks.0")):
        subject, family = pipeline_subjects(name), FAMILIES[name]
        points = [HookPoint(path=block, tap=tap) for tap in ("in", "out", "update")]  # type: ignore[arg-type]
        seen = subject.activations(family.inputs(), dict.fromkeys(points, keep))
        given, gave, added = (seen[point][0] for point in points)
        assert given.shape[1] == family.grid[0] * family.grid[1]
        assert torch.equal(added, gave - given)


def test_diffusers_registry_and_our_table_agree() -> None:
    helpers = pytest.importorskip("diffusers.hooks._helpers")
    helpers.TransformerBlockRegistry._register()
    known = {
        kind.__name__: row.return_hidden_states_index
        for kind, row in helpers.TransformerBlockRegistry._registry.items()
    }
    assert len(known) > 15
    assert {name: MEMBERS.get(name, 0) for name in known} == known


def test_our_table_stands_in_where_diffusers_has_none(monkeypatch: pytest.MonkeyPatch, pipeline_subjects: Any) -> None:
    from probes.subjects import denoiser

    subject = pipeline_subjects("sd3")
    point = subject.known_points()[0]
    monkeypatch.setattr(denoiser, "_registered", lambda kind: None)
    assert subject.points.member(point) == 1


def test_a_point_without_an_update_says_so(tiny_pictures: ImageDiffusion) -> None:
    point = HookPoint(path="conv_in", tap="update")
    with pytest.raises(WorkbenchError, match="has no update"):
        tiny_pictures.activations(prompted("a dot"), {point: keep})
    assert hooks_left(tiny_pictures) == 0
