"""Places that files name are found in a subject by its structure: what is read there adds up as it must."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from probes.errors import WorkbenchError
from probes.formats.hook_names import Place, Site, lens_place, module_place, worded_place
from probes.formats.points import norm_gain, resolve_place
from probes.hooks import HookPoint, keep
from probes.subjects.module import ModuleSubject
from probes.subjects.text_autoregressive import TextAutoregressive


def point(subject: TextAutoregressive, site: Site, layer: int = 1) -> HookPoint:
    return resolve_place(Place(layer=layer, site=site), subject, level="low")


def seen(subject: TextAutoregressive, *sites: Site) -> list[Tensor]:
    points = [point(subject, site) for site in sites]
    tokens = torch.randint(3, 100, (2, 9), generator=torch.Generator().manual_seed(0))
    found = subject.activations(tokens, dict.fromkeys(points, keep))
    return [found[at].float() for at in points]


@pytest.fixture
def model(family: tuple[str, Any]) -> TextAutoregressive:
    return TextAutoregressive(family[1], None, name=family[0])


def test_what_a_block_adds_is_found_in_every_family(model: TextAutoregressive) -> None:
    before, after, mixed = seen(model, "block_in", "block_out", "attention_out")
    if model.name == "mamba":
        torch.testing.assert_close(before + mixed, after, rtol=1e-4, atol=1e-4)
        return
    (added,) = seen(model, "mlp_out")
    torch.testing.assert_close(before + mixed + added, after, rtol=1e-4, atol=1e-4)


def test_the_middle_of_a_block_lies_between_its_two_additions(model: TextAutoregressive) -> None:
    if model.name in ("mamba", "gpt_neox"):
        pytest.skip("has no middle: one addition, or both from the same stream")
    before, mixed, middle = seen(model, "block_in", "attention_out", "middle")
    torch.testing.assert_close(before + mixed, middle, rtol=1e-4, atol=1e-4)


def test_rows_before_a_norms_gain_are_what_the_norm_makes_of_the_stream(model: TextAutoregressive) -> None:
    if model.name in ("mamba", "gpt_neox"):
        pytest.skip("has no middle")
    place = Place(layer=1, site="mlp_in_unscaled")
    norm: Any = model.points.module(point(model, "mlp_in_unscaled"))
    with torch.no_grad():  # gains that matter, and are put back: the model is shared
        before = [part.clone() for part in norm.parameters()]
        for part in norm.parameters():
            part.add_(0.3 * torch.sin(torch.arange(len(part)) + 1.0))
    try:
        middle, after = seen(model, "middle", "mlp_in_unscaled")
        found = norm_gain(place, point(model, "mlp_in_unscaled"), model)
    finally:
        with torch.no_grad():
            for part, was in zip(norm.parameters(), before, strict=True):
                part.copy_(was)
    assert found is not None
    rows = middle - middle.mean(dim=-1, keepdim=True) if model.name == "gpt2" else middle
    expected = rows / rows.square().mean(dim=-1, keepdim=True).sqrt()
    torch.testing.assert_close((after - found[1]) / found[0], expected, rtol=1e-3, atol=1e-3)
    assert norm_gain(Place(layer=1, site="mlp_in"), point(model, "mlp_in"), model) is None


def test_the_heads_are_what_the_last_matrix_of_the_mixer_takes(model: TextAutoregressive) -> None:
    heads = point(model, "attention_heads")
    matrix: Any = model.points.module(heads)
    read, mixed = seen(model, "attention_heads", "attention_out")
    if model.name == "gemma3":  # a norm stands behind the matrix
        assert heads.path.endswith("o_proj")
        return
    with torch.no_grad():
        torch.testing.assert_close(matrix(read), mixed, rtol=1e-4, atol=1e-4)


def test_the_embedding_is_read_as_the_first_block_gets_it(tiny_subject: TextAutoregressive) -> None:
    assert resolve_place(Place(site="embedding"), tiny_subject, level="a") == HookPoint(path="model.layers.0", tap="in")


@pytest.mark.parametrize(
    ("name", "tap", "expected"),
    [
        ("layers.1", "out", "model.layers.1:out"),
        ("model.layers.1.output", "out", "model.layers.1:out"),
        ("layers.1.mlp", "in", "model.layers.1.mlp:in"),
        ("model.language_model.layers.1.mlp.input", "out", "model.layers.1.mlp:in"),
    ],
)
def test_module_paths_are_found_by_their_tail(
    name: str, tap: Any, expected: str, tiny_subject: TextAutoregressive
) -> None:
    assert str(resolve_place(module_place(name, tap), tiny_subject, level="low")) == expected


@pytest.mark.parametrize(
    "place",
    [
        None,
        Place(layer=99, site="block_out"),
        Place(path="layers.9.mlp"),
        Place(path="unet.down_blocks.2.attentions.1", tap="update"),
    ],
)
def test_a_place_the_subject_lacks_is_asked_for(place: Place | None, tiny_subject: TextAutoregressive) -> None:
    with pytest.raises(WorkbenchError, match=r"--point|from 0 to 1"):
        resolve_place(place, tiny_subject, level="low")


def test_a_module_subject_has_paths_but_no_blocks() -> None:
    toy = ModuleSubject(nn.ModuleDict({"encoder": nn.Linear(2, 2)}), name="toy-of-points")
    assert str(resolve_place(module_place("encoder"), toy, level="a")) == "encoder:out"
    with pytest.raises(WorkbenchError, match="no language model"):
        resolve_place(Place(layer=0, site="block_out"), toy, level="a")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("blocks.7.hook_resid_post", Place(layer=7, site="block_out")),
        ("blocks.0.attn.hook_z", Place(layer=0, site="attention_heads")),
        ("hook_embed", Place(site="embedding")),
        ("hook_mlp_out", None),
        ("blocks.7.hook_pattern", None),
        ("blocks.-1.hook_resid_post", None),
        (None, None),
    ],
)
def test_transformer_lens_names(name: str | None, expected: Place | None) -> None:
    assert lens_place(name) == expected


def test_words_in_names_of_folders() -> None:
    assert worded_place("resid_post_layer_8", None) == Place(layer=8, site="block_out")
    assert worded_place("gemma-scope-2b-pt-mlp/layer_3/width_16k", None) == Place(layer=3, site="mlp_out")
    assert worded_place("gpt2-small/resid_delta_attn/autoencoders/5", 5) == Place(layer=5, site="attention_out")
    assert worded_place("final", None) is None
