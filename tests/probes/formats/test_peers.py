"""Files written by the tools themselves: our loader gives their codes and their reconstruction."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from probes.formats.hook_names import Place
from probes.formats.imported import dictionary_of
from probes.formats.registry import detect, read_dictionary
from tests.fixtures.peers import peer

D, N = 12, 40


def rows(d: int = D) -> Tensor:
    return 2 * torch.randn(64, d, generator=torch.Generator().manual_seed(4)) + 0.3


def draw(module: Any, seed: int = 0) -> Any:
    """Random numbers in every parameter, thresholds positive."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, part in module.named_parameters():
            part.copy_(0.5 * torch.randn(part.shape, generator=generator))
            if "threshold" in name:
                part.abs_()
    return module


def same(ours: Any, theirs: Tensor, decoded: Tensor, x: Tensor) -> None:
    torch.testing.assert_close(ours.encode(x).dense(), theirs.detach().float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.reconstruct(x), decoded.detach().float(), rtol=1e-5, atol=2e-5)
    assert 0 < float((theirs != 0).float().mean()) < 0.9


# -- SAELens -------------------------------------------------------------------------------------------------

LENS: dict[str, dict[str, Any]] = {
    "standard": {},
    "topk": {"k": 5},
    "jumprelu": {},
    "gated": {},
    "transcoder": {"d_out": 7, "apply_b_dec_to_input": False},
    "skip_transcoder": {"d_out": 7, "apply_b_dec_to_input": False},
    "jumprelu_transcoder": {"d_out": 7, "apply_b_dec_to_input": False},
    "jumprelu_skip_transcoder": {"d_out": 7, "apply_b_dec_to_input": False},
}


def lens_model(lens: Any, architecture: str, **said: Any) -> Any:
    model, config = lens.registry.get_sae_class(architecture)
    made = config(d_in=D, d_sae=N, **said)
    made.metadata.hook_name, made.metadata.model_name = "blocks.3.hook_resid_post", "tiny"
    return draw(model(made))


@pytest.mark.parametrize("architecture", LENS)
def test_a_file_of_saelens_gives_its_codes(architecture: str, tmp_path: Path) -> None:
    model = lens_model(peer("sae_lens"), architecture, **LENS[architecture])
    model.save_model(tmp_path / "sae")
    assert detect(tmp_path / "sae") == "saelens"
    found = read_dictionary(tmp_path / "sae")
    assert (found.reads, found.model) == (Place(layer=3, site="block_out"), "tiny")
    x = rows()
    same(dictionary_of(found, "low"), model.encode(x), model(x), x)


@pytest.mark.parametrize("kind", ["topk", "batchtopk", "matryoshka_batchtopk", "jumprelu", "gated"])
def test_a_training_of_saelens_is_read_as_it_would_be_at_inference(kind: str, tmp_path: Path) -> None:
    """Both the checkpoint of the training and what it saves for inference; the norm of decoder rows matters."""
    lens = peer("sae_lens")
    training, config = lens.registry.get_sae_training_class(kind)
    said: dict[str, Any] = {"k": 5} if "topk" in kind else {}
    if kind.startswith("matryoshka"):
        said["matryoshka_widths"] = [8, 24, N]
    model = draw(training(config(d_in=D, d_sae=N, **said)))
    if hasattr(model, "topk_threshold"):
        model.topk_threshold.fill_(0.7)
    model.save_inference_model(tmp_path / "inference")
    model.save_model(tmp_path / "training")
    again, x = lens.SAE.load_from_disk(tmp_path / "inference"), rows()
    for name in ("inference", "training"):
        same(dictionary_of(read_dictionary(tmp_path / name), "low"), again.encode(x), again(x), x)


def test_a_layer_norm_of_saelens_is_the_same_but_for_its_unit(tmp_path: Path) -> None:
    model = lens_model(peer("sae_lens"), "topk", k=5, normalize_activations="layer_norm")
    model.save_model(tmp_path / "sae")
    ours, x = dictionary_of(read_dictionary(tmp_path / "sae"), "low"), rows()
    spread = x.std(dim=1, keepdim=True) + 1e-5
    same(ours, model.encode(x) * spread, model(x), x)


# -- sparsify --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [{}, {"normalize_decoder": False}, {"num_latents": N}, {"transcode": True}])
@pytest.mark.parametrize("skip", [False, True])
def test_a_file_of_sparsify_gives_its_codes(said: dict[str, Any], skip: bool, tmp_path: Path) -> None:
    sparsify = peer("sparsify")
    config = sparsify.SparseCoderConfig(k=5, expansion_factor=3, skip_connection=skip, **said)
    model = draw(sparsify.SparseCoder(D, config))
    model.save_to_disk(tmp_path / "layers.3.mlp")
    assert detect(tmp_path / "layers.3.mlp") == "sparsify"
    found = read_dictionary(tmp_path / "layers.3.mlp")
    assert found.reads == Place(path="layers.3.mlp", tap="in" if "transcode" in said else "out")
    x = rows()
    kept = model.encode(x)
    codes = torch.zeros(len(x), model.num_latents).scatter(1, kept.top_indices, kept.top_acts)
    same(dictionary_of(found, "low"), codes, model(x).sae_out, x)


# -- dictionary_learning -----------------------------------------------------------------------------------------


def learning(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    """A module of dictionary_learning. Its buffers need nnsight, its dictionaries do not: an empty one will do."""
    if importlib.util.find_spec("nnsight") is None:
        stand_in = types.ModuleType("nnsight")
        stand_in.LanguageModel = object  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "nnsight", stand_in)
    return peer(f"dictionary_learning.{name}")


@pytest.mark.parametrize(
    ("module", "name", "said"),
    [
        ("dictionary", "AutoEncoder", {}),
        ("dictionary", "AutoEncoderNew", {}),
        ("dictionary", "GatedAutoEncoder", {}),
        ("dictionary", "JumpReluAutoEncoder", {}),
        ("trainers.top_k", "AutoEncoderTopK", {"k": 5}),
        ("trainers.batch_top_k", "BatchTopKSAE", {"k": 5}),
        ("trainers.matryoshka_batch_top_k", "MatryoshkaBatchTopKSAE", {"k": 5, "group_sizes": [8, 16, 16]}),
    ],
)
def test_a_file_of_dictionary_learning_gives_its_codes(
    module: str, name: str, said: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = draw(getattr(learning(monkeypatch, module), name)(D, N, **said))
    if "k" in said:
        model.threshold.fill_(0.7)
    trainer = {"dict_class": name, "layer": 3, "lm_name": "tiny", "submodule_name": "resid_post_layer_3", **said}
    (tmp_path / "config.json").write_text(json.dumps({"trainer": trainer}))
    torch.save({key: part.cpu() for key, part in model.state_dict().items()}, tmp_path / "ae.pt")
    assert detect(tmp_path) == "dictionary_learning"
    found = read_dictionary(tmp_path)
    assert (found.reads, found.model) == (Place(layer=3, site="block_out"), "tiny")
    x = rows()
    same(dictionary_of(found, "low"), model.encode(x), model(x), x)
