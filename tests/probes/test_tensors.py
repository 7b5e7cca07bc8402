from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path

import pytest
import torch

from probes.errors import WorkbenchError
from probes.tensors import HEADER_CAP, load_tensors, save_tensors, tensor_header


def raw(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(begin: int = 0, end: int = 4, dtype: str = "F32", shape: tuple[int, ...] = (1,)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HOSTILE = {
    "empty": (b"", "0 bytes"),
    "cut header length": (b"\x01\x02\x03", "3 bytes"),
    "huge header": ((2**63).to_bytes(8, "little") + b"x" * 100, "no safetensors header"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-LFS"),
    "web page": (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "pickle archive": (b"PK\x03\x04" + b"\x00" * 60, "pickle"),
    "not json": (raw(b"{not json"), "not valid"),
    "deep json": (raw(b"[" * 100_000), "not valid"),
    "duplicate": (raw(b'{"a":{},"a":{}}'), "twice"),
    "a list": (raw([1]), "table"),
    "path name": (raw({"../../etc/x": entry()}, b"\0" * 4), "path"),
    "control name": (raw({"a\x00b": entry()}, b"\0" * 4), "path"),
    "truncated": (raw({"a": entry(0, 400, shape=(100,))}, b"\0" * 4), "damaged"),
    "overlap": (raw({"a": entry(), "b": entry()}, b"\0" * 4), "damaged"),
    "hole": (raw({"a": entry(), "b": entry(8, 12)}, b"\0" * 12), "damaged"),
    "unknown dtype": (raw({"a": entry(dtype="F99")}, b"\0" * 4), "damaged"),
    "huge shape": (raw({"a": entry(shape=(2**40, 2**40))}, b"\0" * 4), "damaged"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_every_foreign_file_is_refused_with_its_reason(tmp_path: Path, case: str) -> None:
    content, reason = HOSTILE[case]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(WorkbenchError) as caught:
        load_tensors(path)
    assert caught.value.code == "bad-tensors"
    assert "weights.safetensors" in caught.value.what
    assert reason in caught.value.why


def test_a_large_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(raw(b" " * (HEADER_CAP + 1)))
    with pytest.raises(WorkbenchError, match="10 MiB"):
        tensor_header(path)


def test_flipped_bytes_never_crash(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": torch.arange(6.0), "b": torch.ones(2, 3, dtype=torch.int64)})
    good, chance = path.read_bytes(), random.Random(0)
    for _ in range(150):
        bad = bytearray(good)
        for _ in range(chance.randint(1, 3)):
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        with contextlib.suppress(WorkbenchError):
            load_tensors(path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_values_are_named(tmp_path: Path, bad: float) -> None:
    from safetensors.torch import save_file

    tensors = {"fine": torch.ones(3), "encoder.weight": torch.tensor([[1.0, bad], [bad, 2.0]])}
    with pytest.raises(WorkbenchError, match=r"'encoder.weight' holds 2"):
        save_tensors(tmp_path / "a.safetensors", tensors)
    assert not (tmp_path / "a.safetensors").exists()
    save_file(tensors, tmp_path / "b.safetensors")
    with pytest.raises(WorkbenchError, match=r"'encoder.weight' holds 2"):
        load_tensors(tmp_path / "b.safetensors")
    assert torch.equal(load_tensors(tmp_path / "b.safetensors", names=["fine"])["fine"], torch.ones(3))
    assert "encoder.weight" in load_tensors(tmp_path / "b.safetensors", allow_nonfinite=True)


def test_tied_transposed_and_odd_tensors_come_back_bit_for_bit(tmp_path: Path) -> None:
    weight = torch.randn(5, 3)
    tensors = {
        "weight": weight,
        "tied": weight,
        "transposed": weight.T,
        "slice": weight[1:4, ::2],
        "half": torch.randn(4).bfloat16(),
        "state": torch.get_rng_state(),
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 2),
        "flag": torch.tensor([True, False]),
    }
    size = save_tensors(tmp_path / "x.safetensors", tensors)
    assert size == (tmp_path / "x.safetensors").stat().st_size
    loaded = load_tensors(tmp_path / "x.safetensors")
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor), name
    assert tensor_header(tmp_path / "x.safetensors")["weight"]["shape"] == [5, 3]
