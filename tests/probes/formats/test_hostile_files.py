"""Files made to harm: each is refused in one sentence, runs nothing and takes no memory worth naming."""

from __future__ import annotations

import contextlib
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from probes.errors import WorkbenchError
from probes.formats.pickled import names_in
from probes.formats.registry import detect, read_dictionary
from tests.fixtures import dictionaries as made
from tests.fixtures.hostile import Runs


def with_code(folder: Path) -> Path:
    folder = made.learned(folder / "a", "AutoEncoder", made.LINEAR)
    torch.save(made.LINEAR | {"bias": Runs(folder / "PWNED")}, folder / "ae.pt")
    return folder


def with_code_openai(folder: Path) -> Path:
    path = made.openai(folder, activation="ReLU")
    torch.save(made.OPENAI | {"activation": Runs(path.parent / "PWNED")}, path)
    return path


def expanded(folder: Path) -> Path:
    """Two kilobytes that claim 34 GB."""
    bias = torch.zeros(1).expand(2**33)
    return made.learned(folder / "a", "AutoEncoder", made.LINEAR | {"bias": bias})


def sparse(folder: Path) -> Path:
    bias = torch.sparse_coo_tensor(torch.tensor([[0]]), torch.tensor([1.0]), (2**40,))
    return made.learned(folder / "a", "AutoEncoder", made.LINEAR | {"bias": bias})


def not_finite(folder: Path) -> Path:
    bad = made.W["b_dec"].clone()
    bad[3] = float("nan")
    return made.learned(folder / "a", "AutoEncoder", made.LINEAR | {"bias": bad})


def complex_numbers(folder: Path) -> Path:
    return made.learned(folder / "a", "AutoEncoder", made.LINEAR | {"bias": torch.zeros(8, dtype=torch.complex64)})


def wrong_shape(folder: Path) -> Path:
    return made.learned(folder / "a", "AutoEncoder", made.LINEAR | {"bias": torch.zeros(9)})


def number_for_a_tensor(folder: Path) -> Path:
    return made.learned(folder / "a", "AutoEncoder", made.LINEAR | {"bias": 3})


def a_list(folder: Path) -> Path:
    folder = made.learned(folder / "a", "AutoEncoder", made.LINEAR)
    torch.save([torch.zeros(3)], folder / "ae.pt")
    return folder


def cut_off(folder: Path) -> Path:
    folder = made.learned(folder / "a", "AutoEncoder", made.LINEAR | {"bias": made.W["b_dec"]})
    (folder / "ae.pt").write_bytes((folder / "ae.pt").read_bytes()[:500])
    return folder


def empty(folder: Path) -> Path:
    folder = made.learned(folder / "a", "AutoEncoder", made.LINEAR)
    (folder / "ae.pt").write_bytes(b"")
    return folder


def lacking(folder: Path) -> Path:
    return made.learned(folder / "a", "AutoEncoder", made.LINEAR)


def npz_bomb(folder: Path) -> Path:
    """A few kilobytes that unpack to 64 MiB of zeros."""
    path = made.gemma(folder) / "params.npz"
    held = io.BytesIO()
    np.lib.format.write_array_header_1_0(held, {"descr": "<f4", "fortran_order": False, "shape": (2**24,)})  # type: ignore[arg-type]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("W_enc", "W_dec", "b_enc", "b_dec", "threshold"):
            with archive.open(f"{name}.npy", "w") as entry:
                entry.write(held.getvalue())
                if name == "W_enc":
                    for _ in range(4):
                        entry.write(bytes(2**24))
    return path.parent


def npz_of_objects(folder: Path) -> Path:
    path = made.gemma(folder) / "params.npz"
    arrays = {key: part.numpy() for key, part in made.FOUR.items()}
    np.savez(path, **arrays, threshold=np.array([{"a": 1}], dtype=object))
    return path.parent


def npz_that_lies(folder: Path) -> Path:
    """A header that declares more than the archive holds."""
    path = made.gemma(folder) / "params.npz"
    held = io.BytesIO()
    np.lib.format.write_array_header_1_0(held, {"descr": "<f4", "fortran_order": False, "shape": (2**20,)})  # type: ignore[arg-type]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.npy", held.getvalue())
    return path.parent


def huge_safetensors(folder: Path) -> Path:
    """A header alone that declares sixteen tebibytes."""
    folder = made.lens(folder / "s", "standard", made.FOUR)
    size = 4 * 2**42
    row = {"dtype": "F32", "shape": [2**21, 2**21], "data_offsets": [0, size]}
    text = json.dumps({"W_enc": row, "W_dec": row, "b_enc": row, "b_dec": row}).encode()
    (folder / "sae_weights.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    return folder


def nonsense_shape(folder: Path) -> Path:
    folder = made.lens(folder / "s", "standard", made.FOUR)
    text = json.dumps({"W_enc": {"dtype": "F32", "shape": [-1, "x"], "data_offsets": [0, 4]}}).encode()
    (folder / "sae_weights.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    return folder


def lens_lacking(folder: Path) -> Path:
    return made.lens(folder / "s", "standard", {key: made.FOUR[key] for key in ("W_enc", "W_dec", "b_enc")})


def lens_shape(folder: Path) -> Path:
    return made.lens(folder / "s", "standard", made.FOUR | {"b_enc": torch.zeros(3)})


def link_out(folder: Path) -> Path:
    secret = folder / "secret.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(made.FOUR, secret)
    made.lens(folder / "s", "standard", made.FOUR)
    (folder / "s" / "sae_weights.safetensors").unlink()
    (folder / "s" / "sae_weights.safetensors").symlink_to(secret)
    return folder / "s"


def config_of_depth(folder: Path) -> Path:
    folder = made.lens(folder / "s", "standard", made.FOUR)
    (folder / "cfg.json").write_text("[" * 200_000)
    return folder


def config_of_size(folder: Path) -> Path:
    folder = made.lens(folder / "s", "standard", made.FOUR)
    (folder / "cfg.json").write_text('{"a": "' + "x" * 2**21 + '"}')
    return folder


def config_of_billions(folder: Path) -> Path:
    return made.lens(folder / "s", "standard", made.FOUR, d_in=10**9, d_sae=10**9)


def page_of_html(folder: Path) -> Path:
    folder = made.lens(folder / "s", "standard", made.FOUR)
    (folder / "sae_weights.safetensors").write_text("<!doctype html><html>not found</html>")
    return folder


def nothing_known(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_text("hello")
    return folder


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (with_code, r"it wants to run code \((posix|nt|os)\.system\)"),
        (with_code_openai, r"it wants to run code \((posix|nt|os)\.system\)"),
        (expanded, "more than the file holds"),
        (sparse, "not a plain dense tensor"),
        (not_finite, "1 values that are NaN"),
        (complex_numbers, "complex64"),
        (wrong_shape, r"b_dec \(9,\) instead of \(8,\)"),
        (number_for_a_tensor, "not what its format says"),
        (a_list, "holds a list"),
        (cut_off, "cut off"),
        (empty, "cut off"),
        (lacking, "the tensors lack bias"),
        (npz_bomb, "would unpack to 64 MiB"),
        (npz_of_objects, "Python objects"),
        (npz_that_lies, "not as long as it says"),
        (huge_safetensors, "would take 65,536.0 GiB"),
        (nonsense_shape, "no usable shape"),
        (lens_lacking, "lacks b_dec"),
        (lens_shape, r"b_enc \(3,\) instead of \(24,\)"),
        (link_out, "leads out of its folder"),
        (config_of_depth, "could not be read"),
        (config_of_size, "larger than 1 MiB"),
        (config_of_billions, "field d_in"),
        (page_of_html, "it is a web page"),
        (nothing_known, "no known format has notes.txt"),
        (lambda f: f / "nowhere", "no such file or folder"),
    ],
)
def test_a_hostile_file_gives_one_sentence(write: Callable[[Path], Path], sentence: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(WorkbenchError, match=sentence) as caught:
            read_dictionary(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1500
    assert peak < 50 * 2**20
    assert not list(tmp_path.rglob("PWNED"))


def test_a_budget_holds_before_anything_is_read(tmp_path: Path) -> None:
    for number, case in enumerate(made.CASES):
        with pytest.raises(WorkbenchError, match="GiB are allowed"):
            read_dictionary(case.write(tmp_path / str(number)), budget=500)


def test_names_are_found_in_a_pickle_without_running_it(tmp_path: Path) -> None:
    path = with_code(tmp_path) / "ae.pt"
    names = names_in(path)
    assert {"encoder.weight", "bias"} <= names and any(name.endswith(" system") for name in names)
    assert not list(tmp_path.rglob("PWNED"))
    assert detect(path) == "dictionary_learning"


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_never_crash(seed: int, tmp_path: Path) -> None:
    case = made.CASES[seed % len(made.CASES)]
    path = case.write(tmp_path)
    files = sorted(file for file in (path if path.is_dir() else path.parent).rglob("*") if file.is_file())
    draw = np.random.default_rng(seed)
    victim = files[int(draw.integers(len(files)))]
    content = bytearray(victim.read_bytes())
    for at in draw.integers(0, min(len(content), 600), size=8):
        content[int(at)] = int(draw.integers(256))
    victim.write_bytes(content)
    with contextlib.suppress(WorkbenchError):
        assert read_dictionary(path).n_latents == made.N
