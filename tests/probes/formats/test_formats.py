"""Every format: recognised by its files, and computing what its own description says, codes and reconstruction."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from probes.autoencoders.dictionary import Dictionary
from probes.errors import WorkbenchError
from probes.formats.hook_names import Place
from probes.formats.imported import dictionary_of
from probes.formats.normalisations import behind_gain
from probes.formats.registry import FORMATS, detect, read_dictionary
from probes.hooks import HookPoint
from tests.fixtures import dictionaries as made
from tests.fixtures.dictionaries import CASES, Case
from tests.fixtures.registries import check_row, rows_of

POINT = HookPoint(path="layers.1")


@pytest.mark.parametrize(("table", "name"), rows_of(FORMATS))
def test_every_row_imports_and_says_what_it_is(table: object, name: str) -> None:
    check_row(FORMATS, name)
    assert name in {case.format for case in CASES}, "a format without a case is not tested"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_computes_what_its_format_says(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path)
    assert detect(path) == case.format
    space = dictionary_of(read_dictionary(path), "low", POINT)
    x = made.rows()
    codes, decoded = case.rule(x.double().numpy())
    found = space.encode(x).dense().double().numpy()
    np.testing.assert_allclose(found, codes, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(space.reconstruct(x).double().numpy(), decoded, rtol=1e-4, atol=5e-5)
    assert 0 < (codes != 0).mean() < 0.9, "the case decides nothing"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_dictionary_of_any_format_survives_our_own_saving(case: Case, tmp_path: Path) -> None:
    space = dictionary_of(read_dictionary(case.write(tmp_path)), "low", POINT)
    again = Dictionary.from_tensors(space.tensors(), space.table, POINT)
    x = made.rows()
    assert torch.equal(again.encode(x).dense(), space.encode(x).dense())
    assert torch.equal(again.reconstruct(x), space.reconstruct(x))


def test_detecting_a_format_needs_no_torch(tmp_path: Path) -> None:
    paths = [str(case.write(tmp_path / str(at))) for at, case in enumerate(CASES)]
    script = (
        "import sys\nfrom probes.formats.registry import detect\n"
        f"print([detect(path) for path in {paths!r}])\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
    assert done.stdout.strip() == str([case.format for case in CASES])


@pytest.mark.parametrize(
    ("case", "reads", "writes", "model", "l0"),
    [
        ("standard", Place(layer=1, site="block_out"), None, "tiny", None),
        ("old standard", Place(layer=1, site="block_in"), None, "tiny", None),
        ("gemma scope", Place(layer=1, site="block_out"), None, "", 9),
        ("gemma scope embedding", Place(site="embedding"), None, "", None),
        (
            "gemma scope 2",
            Place(path="model.layers.1.pre_feedforward_layernorm"),
            Place(path="model.layers.1.post_feedforward_layernorm"),
            "google/gemma-3-1b-pt",
            None,
        ),
        ("learned topk", Place(layer=1, site="block_out"), None, "tiny", 4),
        ("sparsify", Place(path="layers.1.mlp"), None, "tiny", 4),
        ("sparsify transcoder", Place(path="layers.1.mlp", tap="in"), Place(path="layers.1.mlp"), "tiny", 4),
        ("llama scope", Place(layer=1, site="block_out"), None, "", 5),
        ("llama scope transcoder", Place(layer=1, site="middle"), Place(layer=1, site="mlp_out"), "", 5),
        ("openai relu", Place(layer=1, site="block_out"), None, "", None),
        ("sdxl unbox", Place(path="unet.down_blocks.2.attentions.1", tap="update"), None, "", 4),
        ("tracer relu", Place(layer=1, site="mlp_in"), Place(layer=1, site="mlp_out"), "tiny", None),
        ("cross-layer", Place(layer=1, site="middle"), Place(layer=1, site="mlp_out"), "", None),
    ],
)
def test_what_a_file_says_of_its_place_is_read(
    case: str, reads: Place, writes: Place | None, model: str, l0: float | None, tmp_path: Path
) -> None:
    found = read_dictionary(next(row for row in CASES if row.name == case).write(tmp_path))
    assert (found.reads, found.writes, found.model, found.l0) == (reads, writes, model, l0)
    assert found.hashes and all(len(value) == 64 for value in found.hashes.values())


def test_a_scale_that_is_not_in_the_file_is_asked_for_and_folded_exactly(tmp_path: Path) -> None:
    said = {"normalize_activations": "expected_average_only_in"}
    found = read_dictionary(made.lens(tmp_path / "s", "standard", made.FOUR, **said))
    with pytest.raises(WorkbenchError, match="mean norm, which its files do not hold"):
        dictionary_of(found, "low")
    x, scale = made.rows(), made.D**0.5 / 5.0
    codes = made.relu(made.centred(x.double().numpy() * scale))
    space = dictionary_of(found, "low", mean_norm=5.0)
    np.testing.assert_allclose(space.encode(x).dense().numpy(), codes, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(space.reconstruct(x).numpy(), made.decode(codes) / scale, rtol=1e-4, atol=1e-4)
    (tmp_path / "s" / "activation_scaler.json").write_text(json.dumps({"scaling_factor": scale}))
    kept = dictionary_of(read_dictionary(tmp_path / "s"), "low")
    assert torch.allclose(kept.encode(x).dense(), space.encode(x).dense(), atol=1e-5)


def test_whitening_beside_the_weights_is_folded(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    mixing = (made.numbers(made.D, made.D, seed=5) + 3 * torch.eye(made.D)).double()
    mean = made.numbers(made.D, seed=6).double()
    held = {"mean": mean, "matrix": mixing, "inverse_matrix": mixing.inverse().contiguous()}
    folder = made.lens(tmp_path / "s", "gated", made.GATED, normalize_activations="covariance_whitening")
    with pytest.raises(WorkbenchError, match="whitens activations"):
        read_dictionary(folder)
    save_file(held, folder / "activation_whitening.safetensors")
    space = dictionary_of(read_dictionary(folder), "low")
    x = made.rows()
    z = made.gated((x.double().numpy() - mean.numpy()) @ mixing.numpy())
    np.testing.assert_allclose(space.encode(x).dense().numpy(), z, rtol=1e-3, atol=1e-3)
    decoded = made.decode(z) @ mixing.inverse().numpy() + mean.numpy()
    np.testing.assert_allclose(space.reconstruct(x).numpy(), decoded, rtol=1e-3, atol=1e-3)


def test_topk_and_batch_topk_have_the_same_tensors_so_the_config_decides(tmp_path: Path) -> None:
    folder = made.learned(tmp_path / "a", "AutoEncoderTopK", made.SELECTING)
    (folder / "config.json").unlink()
    with pytest.raises(WorkbenchError, match="it may be AutoEncoderTopK or BatchTopKSAE"):
        read_dictionary(folder)


def test_a_threshold_that_was_never_set_is_a_relu_and_said(tmp_path: Path) -> None:
    unset = made.SELECTING | {"threshold": torch.tensor(-1.0)}
    found = read_dictionary(made.learned(tmp_path / "a", "BatchTopKSAE", unset))
    codes = dictionary_of(found, "low").encode(made.rows()).dense().numpy()
    np.testing.assert_allclose(codes, made.relu(made.centred(made.rows().double().numpy())), rtol=1e-4, atol=1e-5)
    assert any("never set" in note for note in found.notes)


def test_negative_thresholds_stand_above_a_relu_but_not_above_a_bare_jump(tmp_path: Path) -> None:
    low = torch.full((made.N,), -0.5)
    lens = made.lens(tmp_path / "s", "jumprelu", made.FOUR | {"threshold": low})
    assert float(dictionary_of(read_dictionary(lens), "a").encode(made.rows()).value.min()) >= 0
    bare = made.tracer(tmp_path / "t", **{"activation_function.threshold": low})
    assert float(dictionary_of(read_dictionary(bare), "a").encode(made.rows()).value.min()) < 0


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda f: made.lens(f / "s", "temporal", made.FOUR), "a rule of its own"),
        (lambda f: made.lens(f / "s", "topk", made.FOUR), "k = None"),
        (
            lambda f: made.lens(f / "s", "standard", made.FOUR, normalize_activations="constant_norm_rescale"),
            "one length",
        ),
        (lambda f: made.lens(f / "s", "standard", made.FOUR, metadata={"hook_head_index": 3}), "one attention head"),
        (lambda f: made.lens(f / "s", "standard", made.FOUR, d_in=9), "cfg.json says 24 latents of 9"),
        (lambda f: made.cross(f / "c", layers=2) / "W_enc_0.safetensors", "writes at 2 layers"),
        (lambda f: made.openai(f, activation="Identity"), "leaves codes dense"),
        (lambda f: made.openai(f, activation="TopK"), "how many latents are kept"),
    ],
)
def test_what_we_do_not_have_is_refused_in_one_sentence(write: object, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=sentence) as caught:
        read_dictionary(write(tmp_path))  # type: ignore[operator]
    assert caught.value.code == "bad-format" and "\n" not in str(caught.value)


def test_group_wise_selection_is_refused(tmp_path: Path) -> None:
    folder = made.sparsified(tmp_path)
    said = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps(said | {"activation": "groupmax"}))
    with pytest.raises(WorkbenchError, match="'groupmax', which is not supported"):
        read_dictionary(folder)


def test_a_folder_of_the_hub_cache_is_read_through_its_links(tmp_path: Path) -> None:
    real = made.gemma(tmp_path / "made") / "params.npz"
    blobs, snapshot = tmp_path / "models--x" / "blobs", tmp_path / "models--x" / "snapshots" / "abc" / "layer_1"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    shutil.move(real, blobs / "0123")
    (snapshot / "params.npz").symlink_to(blobs / "0123")
    assert read_dictionary(snapshot).n_latents == made.N


@pytest.mark.parametrize("case", ["skip transcoder", "gemma scope", "tracer relu"])
def test_reading_behind_a_gain_gives_the_codes_of_what_stands_before_it(case: str, tmp_path: Path) -> None:
    space = dictionary_of(read_dictionary(next(row for row in CASES if row.name == case).write(tmp_path)), "low")
    gain, bias = made.numbers(made.D, seed=8).abs() + 0.5, made.numbers(made.D, seed=9)
    x, behind = made.rows(), behind_gain(space, gain, bias)
    torch.testing.assert_close(behind.encode(x * gain + bias).dense(), space.encode(x).dense(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(behind.reconstruct(x * gain + bias), space.reconstruct(x), rtol=1e-4, atol=1e-4)


def test_a_gain_is_not_undone_for_what_subtracts_its_bias(tmp_path: Path) -> None:
    space = dictionary_of(read_dictionary(made.lens(tmp_path / "s", "gated", made.GATED)), "low")
    with pytest.raises(WorkbenchError, match="cannot be undone"):
        behind_gain(space, torch.ones(made.D), torch.zeros(made.D))


def test_a_folder_of_many_dictionaries_asks_which(tmp_path: Path) -> None:
    made.tracer(tmp_path / "t")
    shutil.copy(tmp_path / "t" / "layer_1.safetensors", tmp_path / "t" / "layer_0.safetensors")
    with pytest.raises(WorkbenchError, match=r"several dictionaries.*such as layer_0"):
        read_dictionary(tmp_path / "t")
    made.sparsified(tmp_path / "run")
    (tmp_path / "run" / "config.json").unlink()
    with pytest.raises(WorkbenchError, match="Name one of its folders: layers"):
        detect(tmp_path / "run")
