"""Compiled kernels equal their torch twins, do not depend on threads or neighbours, and step aside where they must."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from torch import Tensor

from probes.artefacts import home
from probes.autoencoders.sparse import decode_sparse, encode_topk
from probes.errors import WorkbenchError
from probes.files import write_json
from probes.kernels import choice, loops, plain, warm_up
from probes.kernels.choice import Kernels, kernels_for, prefer
from probes.training.randomness import generator

Dispatcher = pytest.importorskip("numba.core.dispatcher").Dispatcher
ROOT = Path(__file__).resolve().parents[2]


def fast() -> Any:
    """The compiled kernels, imported when a test first uses them: their cache is in the session's data folder."""
    prefer("compiled")
    return kernels_for(torch.ones(1))


@pytest.fixture(autouse=True)
def _auto() -> Iterator[None]:
    yield
    prefer("auto")


def drawn(*shape: int, stream: str = "a") -> Tensor:
    return torch.randn(*shape, generator=generator(0, stream))


def dense(value: Tensor, index: Tensor, n: int) -> Tensor:
    return torch.zeros(len(value), n).scatter_add(1, index, value)


SHAPES = [(70, 12, 200, 5), (3, 8, 37, 30), (65, 16, 96, 96), (1, 4, 31, 1)]  # rows, d, n, k


@pytest.mark.parametrize(("rows", "d", "n", "k"), SHAPES)
@pytest.mark.parametrize("narrow", [False, True])
def test_selection_equals_the_torch_one(rows: int, d: int, n: int, k: int, narrow: bool) -> None:
    x, w, b = drawn(rows, d), drawn(n, d, stream="w"), drawn(n, stream="b")
    found, expected = (kernels.select(x, w, b, k, narrow=narrow) for kernels in (fast(), plain))
    torch.testing.assert_close(dense(*found, n), dense(*expected, n), rtol=1e-5, atol=1e-5)
    assert all(len(set(i[v > 0].tolist())) == int((v > 0).sum()) for v, i in zip(*found, strict=True))


@pytest.mark.parametrize("which", ["fast", "plain"])
def test_a_screened_value_is_the_float32_one(which: str) -> None:
    """Trained encoders have near twins: half the rows here differ by a thousandth."""
    base = torch.nn.functional.normalize(drawn(1024, 64), dim=1)
    w = torch.cat([base, torch.nn.functional.normalize(base + 1e-3 * drawn(1024, 64, stream="c"), dim=1)])
    x, b = drawn(256, 64, stream="x") * 3 + 2, torch.zeros(2048)
    kernels: Kernels = fast() if which == "fast" else plain
    value, index = kernels.select(x, w, b, 32, narrow=True)
    pre = x.double() @ w.double().T
    best = pre.topk(32).values.float()
    torch.testing.assert_close(value, pre.gather(1, index).float(), rtol=1e-5, atol=1e-5)
    assert (value.sort(descending=True).values > best - 1e-4).float().mean() > 0.999


def test_equal_values_at_the_edge_go_to_the_first_latents_whatever_stood_before() -> None:
    """The threshold carried from row to row changes how long a row takes, never what it gets."""
    compiled = fast().selecting
    pre = (drawn(50, 400) * 4).round().div(4)
    pre[7] *= 100
    bias, k = np.zeros(400, dtype=np.float32), 20
    index, value = np.empty((50, k), dtype=np.int64), np.empty((50, k), dtype=np.float32)
    compiled.select_f32(pre.numpy(), bias, k, index, value)
    for row in range(50):
        order = np.lexsort((np.arange(400), -pre[row].numpy()))[:k]
        assert np.array_equal(index[row], np.sort(order))
        alone = np.empty((1, k), dtype=np.int64)
        compiled.select_f32(pre[row : row + 1].numpy(), bias, k, alone, np.empty((1, k), dtype=np.float32))
        assert np.array_equal(alone[0], index[row])


@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_not_positive_is_left_out_and_nothing_finite_hides_what_is_not(narrow: bool) -> None:
    x, w, b = torch.ones(2, 4), -torch.ones(40, 4), torch.zeros(40)
    w[3], w[9] = 1.0, 0.5
    value, index = fast().select(x, w, b, 6, narrow=narrow)
    assert value.tolist() == [[4.0, 2.0, 0, 0, 0, 0]] * 2
    assert index[:, :2].tolist() == [[3, 9]] * 2
    x[1] = torch.inf
    assert torch.isinf(fast().select(x, w, b, 6, narrow=narrow)[0][1]).any()


def test_thresholds_equal_the_torch_ones() -> None:
    x, w, b = drawn(70, 12), drawn(200, 12, stream="w"), drawn(200, stream="b")
    threshold = drawn(200, stream="t").abs() * 3
    found, expected = (kernels.above(x, w, b, threshold) for kernels in (fast(), plain))
    torch.testing.assert_close(dense(*found, 200), dense(*expected, 200), rtol=1e-5, atol=1e-5)
    assert found[0].shape == expected[0].shape
    none = torch.full((200,), 1e9)
    assert [kernels.above(x, w, b, none)[0].tolist() for kernels in (fast(), plain)] == [[[0.0]] * 70] * 2
    assert fast().above(x[:0], w, b, none)[0].shape[0] == 0


def test_gradients_of_rows_equal_the_torch_ones() -> None:
    index, weight = torch.randint(90, (70, 5), generator=generator(0, "i")), drawn(70, 5)
    weight[weight.abs() < 0.3] = 0
    source, rows = drawn(70, 12, stream="s"), drawn(90, 12, stream="r")
    found, expected = (kernels.accumulate(index, weight, source, 90) for kernels in (fast(), plain))
    torch.testing.assert_close(found, expected)
    to_value, to_rows = fast().decoder_gradients(source, weight, index, rows)
    torch.testing.assert_close(to_rows, expected[0])
    by_hand = (rows[index] * source[:, None]).sum(dim=-1) * (weight != 0)
    torch.testing.assert_close(to_value, by_hand)


def test_rows_are_projected_and_normalised_as_in_torch() -> None:
    rows = drawn(130, 24)
    rows[5] = 0
    both = [rows.clone(), rows.clone()]
    grads = [drawn(130, 24, stream="g"), drawn(130, 24, stream="g")]
    for kernels, part, grad in zip((fast(), plain), both, grads, strict=True):
        kernels.normalise(part)
        kernels.remove_along(grad, part)
    torch.testing.assert_close(both[0], both[1])
    torch.testing.assert_close(grads[0], grads[1])
    assert (grads[0] * both[0]).sum(dim=1).abs().max() < 1e-5


def test_results_are_the_same_bits_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w, b = drawn(300, 16), drawn(500, 16, stream="w"), drawn(500, stream="b")
    grad = drawn(300, 16, stream="g")

    def everything() -> list[Tensor]:
        value, index = fast().select(x, w, b, 9, narrow=True)
        rows = w.clone()
        fast().normalise(rows)
        return [
            value,
            index,
            rows,
            *fast().accumulate(index, value, x, 500),
            *fast().decoder_gradients(grad, value, index, w),
        ]

    alone = everything()
    monkeypatch.setattr("probes.kernels.threads.torch.get_num_threads", lambda: 3)
    for one, three in zip(alone, everything(), strict=True):
        assert torch.equal(one, three)


@pytest.mark.parametrize("which", ["torch", "compiled"])
@pytest.mark.parametrize("narrow", [False, True])
def test_the_step_has_the_gradients_of_dense_autograd(which: choice.Choice, narrow: bool) -> None:
    prefer(which)
    x, start = drawn(80, 12), [drawn(60, 12, stream="e"), drawn(60) * 0.1, drawn(60, 12, stream="d"), drawn(12) * 0.1]

    def gradients(sparse: bool) -> list[Tensor]:
        w_enc, b_enc, w_dec, b_dec = (part.clone().requires_grad_() for part in start)
        if sparse:
            with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                decoded = decode_sparse(*encode_topk(x, w_enc, b_enc, b_dec, 5), w_dec) + b_dec
        else:
            top = ((x - b_dec) @ w_enc.T + b_enc).topk(5, dim=1)
            codes = torch.zeros(80, 60).scatter(1, top.indices, top.values.relu())
            decoded = codes @ w_dec + b_dec
        return list(torch.autograd.grad((decoded - x).square().sum(), [w_enc, b_enc, w_dec, b_dec]))

    for ours, theirs in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("which", ["torch", "compiled"])
def test_the_step_against_finite_differences(which: choice.Choice) -> None:
    """float64 always takes the torch path; a compiled choice must not break it."""
    prefer(which)
    x = drawn(7, 4).double()
    given = [part.double().requires_grad_() for part in (drawn(9, 4), drawn(9), drawn(9, 4, stream="d"), drawn(4))]

    def step(w_enc: Tensor, b_enc: Tensor, w_dec: Tensor, b_dec: Tensor) -> Tensor:
        value, index = encode_topk(x, w_enc, b_enc, b_dec, 3)
        return decode_sparse(value, index, w_dec) + b_dec

    assert torch.autograd.gradcheck(step, given)


def test_other_tensors_than_float32_on_the_cpu_take_the_torch_path() -> None:
    prefer("compiled")
    x = torch.ones(4, 4)
    assert kernels_for(x, x).__name__.endswith("fast")  # type: ignore[attr-defined]
    for other in (x.double(), x.bfloat16(), x.T.contiguous().T[:, :2], torch.ones(2, device="meta")):
        assert kernels_for(x, other) is plain
    prefer("torch")
    assert kernels_for(x) is plain


def test_without_numba_or_a_cache_the_torch_path_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(choice, "_import_compiled", refuse)
    prefer("auto")
    assert kernels_for(torch.ones(1)) is plain
    prefer("compiled")
    with pytest.raises(WorkbenchError, match="FULCRUM_KERNELS=torch"):
        kernels_for(torch.ones(1))
    monkeypatch.setattr(choice, "_chosen", {})
    monkeypatch.setenv("FULCRUM_KERNELS", "fastest")
    choice.compiled_here.cache_clear()
    with pytest.raises(WorkbenchError, match="auto, compiled, torch"):
        kernels_for(torch.ones(1))


def test_compiled_loops_are_kept_in_the_data_folder(tmp_path: Path) -> None:
    """Another process reads them back instead of compiling for seconds."""
    program = (
        "import torch; from probes.kernels.choice import kernels_for; "
        "kernels_for(torch.ones(1)).normalise(torch.ones(2, 2))"
    )
    environment = os.environ | {"FULCRUM_HOME": str(tmp_path), "FULCRUM_KERNELS": "compiled"}
    environment.pop("NUMBA_CACHE_DIR", None)
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True)
    assert list((tmp_path / "cache" / "kernels" / choice.loops_key()).rglob("*.nbi"))


def test_loops_of_other_sources_are_kept_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Else a process may find their code under a number that the new loops' index already lists."""
    import numba

    monkeypatch.setattr(choice, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    kept = []
    for version in ("0.61.0", "0.62.0"):
        monkeypatch.setattr(choice.metadata, "version", lambda _, said=version: said)
        choice.loops_key.cache_clear()
        with choice._own_cache():
            kept.append(numba.config.CACHE_DIR)
    choice.loops_key.cache_clear()
    assert len(set(kept)) == 2 and all(Path(folder).parent == tmp_path for folder in kept)


def test_a_warm_up_compiles_every_loop_and_is_not_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fast()
    assert warm_up.warm_up()
    files = [import_module(f"probes.kernels.loops.{found.name}") for found in iter_modules(loops.__path__)]
    made = {name: item for file in files for name, item in vars(file).items() if isinstance(item, Dispatcher)}
    called = {name: item for name, item in made.items() if not name.startswith("_")}
    assert len(called) == 13
    assert [name for name, item in called.items() if not item.signatures] == []
    prefer("torch")
    assert not warm_up.warm_up()
    started = []
    monkeypatch.setattr(warm_up, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(warm_up.subprocess, "Popen", lambda *given, **how: started.append(how) or MagicMock())
    warm_up.start_in_background()
    warm_up._mark().touch()
    warm_up.start_in_background()
    assert len(started) == 1
    assert started[0]["env"]["FULCRUM_HOME"] == str(home())


def answered_meanwhile(folder: Path, seconds: float) -> float:
    """What a product takes here, while another process finds that narrow ones pay."""
    name = next((folder.parent / "kernels").iterdir()).name
    write_json(folder / name, {"pays": True})
    return seconds


def test_whether_narrow_products_pay_is_asked_once_per_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(choice, "cache_folder", lambda: tmp_path / "kernels")
    seconds = {torch.float32: 1.0, torch.bfloat16: 0.5}
    monkeypatch.setattr(choice, "_product_seconds", seconds.__getitem__)
    choice.narrow_pays.cache_clear()
    assert choice.narrow_pays()
    seconds[torch.bfloat16] = 2.0
    choice.narrow_pays.cache_clear()
    assert choice.narrow_pays(), "what was found is kept"
    monkeypatch.setattr(choice, "cache_folder", lambda: tmp_path / "raced")
    monkeypatch.setattr(choice, "_product_seconds", lambda kind: answered_meanwhile(tmp_path / "raced", seconds[kind]))
    choice.narrow_pays.cache_clear()
    assert choice.narrow_pays(), "of two that measure at once, the first to finish is believed"
    monkeypatch.setattr(choice, "_product_seconds", seconds.__getitem__)
    monkeypatch.setattr(choice, "cache_folder", lambda: tmp_path / "elsewhere")
    choice.narrow_pays.cache_clear()
    assert not choice.narrow_pays()
    choice.narrow_pays.cache_clear()
