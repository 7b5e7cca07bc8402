"""The sparse step equals dense autograd; losses have golden values and right gradients; training resumes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from probes.autoencoders.centre import geometric_median
from probes.autoencoders.dictionary import Dictionary
from probes.autoencoders.losses import normalised_error, revival_error
from probes.autoencoders.normalisation import CentredNorm
from probes.autoencoders.sparse import accumulate_rows, decode_sparse, encode_topk
from probes.autoencoders.topk import TopKAutoencoder
from probes.constraints.code_sparsity import CodeSparsity
from probes.errors import WorkbenchError
from probes.hooks import HookPoint
from probes.latents import Codes
from probes.tasks.reconstruct import Reconstruct, Revive, ReviveConfig
from probes.training.loop import OptimiserConfig, Progress, train
from probes.training.objective import Component, Objective
from probes.training.randomness import generator
from probes.training.schedules import constant, ramp, warm_up_hold_decay


def golden_inputs() -> dict[str, Tensor]:
    def wave(rows: int, columns: int, size: float, rate: float) -> Tensor:
        return size * torch.sin(rate * torch.arange(rows * columns).float() + 0.3).reshape(rows, columns)

    return {
        "x": wave(5, 4, 2, 1.9),
        "w_enc": wave(4, 6, 1, 1.37).T.contiguous(),
        "w_dec": wave(6, 4, 1, 2.11),
        "b_enc": wave(1, 6, 0.1, 0.9)[0],
        "b_dec": wave(1, 4, 0.2, 0.4)[0],
    }


def test_topk_reconstruction_has_the_published_golden_value() -> None:
    g = golden_inputs()
    value, index = encode_topk(g["x"], g["w_enc"], g["b_enc"], g["b_dec"], 2)
    decoded = decode_sparse(value, index, g["w_dec"]) + g["b_dec"]
    squared = (g["x"] - decoded).square().sum(dim=1).mean()
    assert squared.item() == pytest.approx(40.170795, rel=1e-4)
    assert normalised_error(g["x"], decoded).item() == pytest.approx(5.0748396, rel=1e-4)


def test_revival_has_the_published_golden_value() -> None:
    g = golden_inputs()
    value, index = encode_topk(g["x"], g["w_enc"], g["b_enc"], g["b_dec"], 2)
    residual = g["x"] - decode_sparse(value, index, g["w_dec"]) - g["b_dec"]
    dead = torch.tensor([1, 4, 5])
    pre = (g["x"] - g["b_dec"]) @ g["w_enc"][dead].T + g["b_enc"][dead]
    kept = pre.topk(2, dim=1)
    sparse = torch.zeros_like(pre).scatter(1, kept.indices, kept.values)
    by_hand = (residual - sparse @ g["w_dec"][dead]).square().sum() / residual.square().sum()
    found = revival_error(residual, pre, g["w_dec"][dead], 2)
    assert found.item() == pytest.approx(by_hand.item(), rel=1e-6)
    # SAELens' own figure for the same inputs is the summed form: 106.870216 per row.
    summed = found * residual.square().sum() / 5
    assert summed.item() == pytest.approx(106.870216, rel=1e-4)


def test_sparse_gradients_equal_dense_autograd() -> None:
    torch.manual_seed(0)
    x = torch.randn(40, 12)
    start = [torch.randn(30, 12), torch.randn(30) * 0.1, torch.randn(30, 12), torch.randn(12) * 0.1]

    def gradients(sparse: bool) -> list[Tensor]:
        w_enc, b_enc, w_dec, b_dec = (part.clone().requires_grad_() for part in start)
        if sparse:
            value, index = encode_topk(x, w_enc, b_enc, b_dec, 5)
            decoded = decode_sparse(value, index, w_dec) + b_dec
        else:
            pre = (x - b_dec) @ w_enc.T + b_enc
            top = pre.topk(5, dim=1)
            dense = torch.zeros_like(pre).scatter(1, top.indices, top.values.relu())
            decoded = dense @ w_dec + b_dec
        loss = normalised_error(x, decoded)
        return list(torch.autograd.grad(loss, [w_enc, b_enc, w_dec, b_dec]))

    for ours, theirs in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_loss_gradients_against_finite_differences() -> None:
    torch.manual_seed(1)
    x, decoded = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda d: normalised_error(x, d), decoded.requires_grad_())
    pre, rows = (torch.randn(6, 3, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64))
    assert torch.autograd.gradcheck(
        lambda p, r: revival_error(x, p, r, 2), (pre.requires_grad_(), rows.requires_grad_())
    )


def test_accumulated_rows_equal_a_loop() -> None:
    torch.manual_seed(2)
    index, weight, source = torch.randint(9, (7, 3)), torch.randn(7, 3), torch.randn(7, 5)
    by_hand = torch.zeros(9, 5)
    for b in range(7):
        for j in range(3):
            by_hand[index[b, j]] += weight[b, j] * source[b]
    torch.testing.assert_close(accumulate_rows(index, weight, source, 9), by_hand)


def trainable(seed: int = 0, dead_after: int = 200) -> Objective:
    model = TopKAutoencoder(16, 192, 4, seed=seed, dead_after=dead_after)
    return Objective(
        model,
        [
            Component("reconstruct", Reconstruct(), constant(1.0)),
            Component("revive", Revive(ReviveConfig(k=8, every=2)), constant(1 / 32)),
        ],
        [Component("code_sparsity", CodeSparsity(), constant(1.0))],
    )


def batch_at(step: int) -> dict[str, Tensor]:
    directions = torch.randn(24, 16, generator=generator(0, "world"))
    draw = generator(1, "batch", step)
    presence = (torch.rand(128, 24, generator=draw) < 0.12).float()
    return {"x": presence * torch.rand(128, 24, generator=draw) @ directions}


def test_revival_reaches_dead_encoders_only() -> None:
    objective = trainable()
    model: TopKAutoencoder = objective.representation
    model.since_fired[:] = 0
    model.since_fired[40:] = 10_000
    seen = model.represent(batch_at(0))
    terms = Revive(ReviveConfig(k=8, every=1)).loss(model, seen, batch_at(0))
    terms["revival"].backward()
    assert model.w_enc.grad is not None and model.w_dec.grad is not None
    assert model.w_enc.grad[40:].abs().sum() > 0
    assert model.w_enc.grad[:40].abs().sum() == 0
    assert model.w_dec.grad[:40].abs().sum() == 0
    assert model.b_dec.grad is None


def run_training(stop_at: int | None = None, resume: Any = None, seed: int = 0) -> tuple[Any, Objective, list[Any]]:
    objective = trainable(seed=seed)
    saved: list[Any] = []
    logged: list[Any] = []
    steps = {"n": 0}

    def stop() -> bool:
        steps["n"] += 1
        return stop_at is not None and steps["n"] > stop_at

    progress = Progress(lambda s, v: logged.append((s, v)), stop, lambda *state: saved.append(state))
    config = OptimiserConfig(steps=60, batch=128, learning_rate=1e-2, warm_up=0.5, log_every=1)
    train(objective, batch_at, config, progress, resume)
    return saved, objective, logged


def test_a_stopped_training_resumes_bit_for_bit() -> None:
    """Cut in the middle of the warm-up, with dead latents present, into a model of another seed."""
    _, whole, logged = run_training()
    saved, part, _ = run_training(stop_at=25)
    assert saved[-1][0] == 25
    assert int(part.representation.dead().sum()) > 0
    _, resumed, _ = run_training(resume=saved[-1], seed=99)
    for name, tensor in whole.module().state_dict().items():
        assert torch.equal(tensor, resumed.module().state_dict()[name]), name
    assert logged[-1][1]["reconstruction"] < 0.5 * logged[0][1]["reconstruction"]


def test_decoder_rows_stay_unit_and_every_logged_term_is_trained() -> None:
    _, objective, logged = run_training()
    norms = objective.representation.w_dec.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms), rtol=1e-5, atol=1e-5)
    values = logged[-1][1]
    terms = {name: v for name, v in values.items() if name in {"reconstruction", "revival"}}
    assert values["loss"] == pytest.approx(sum(terms.values()), rel=1e-5)
    certified = CodeSparsity().certify(objective.representation, objective.representation.represent(batch_at(0)))
    assert certified["l0_max"] <= 4


def test_training_stops_when_gradients_stay_non_finite() -> None:
    objective = trainable()
    progress = Progress(lambda s, v: None, lambda: False, lambda *state: None)
    with pytest.raises(WorkbenchError, match="not finite"):
        train(objective, lambda step: {"x": torch.full((128, 16), torch.nan)}, OptimiserConfig(steps=40), progress)


def trained_dictionary() -> tuple[Dictionary, Tensor]:
    _, objective, _ = run_training()
    rows = torch.cat([batch_at(step)["x"] for step in range(100, 116)])
    point = HookPoint(path="layers.0")
    return Dictionary.from_training(objective.representation, point, "low").calibrated(rows, 4), rows


def test_calibrated_threshold_gives_the_wanted_l0_on_other_rows() -> None:
    dictionary, _ = trained_dictionary()
    others = torch.cat([batch_at(step)["x"] for step in range(200, 216)])
    l0 = dictionary.encode(others).l0().float().mean()
    assert l0.item() == pytest.approx(4, rel=0.05)


def test_encoding_a_row_does_not_depend_on_its_batch() -> None:
    dictionary, rows = trained_dictionary()
    whole = dictionary.encode(rows[:64]).dense()
    alone = torch.cat([dictionary.encode(rows[i : i + 1]).dense() for i in range(64)])
    torch.testing.assert_close(whole, alone, rtol=1e-5, atol=1e-5)
    some = dictionary.encode(rows[:64], [3, 1, 9])
    torch.testing.assert_close(some.value, whole[:, [3, 1, 9]], rtol=1e-5, atol=1e-5)


def test_folding_the_scale_changes_no_output() -> None:
    model = TopKAutoencoder(16, 64, 4, seed=3, dead_after=10, normalise=CentredNorm(16, 16))
    scale = model.normalise.maps()[0].gain
    with torch.no_grad():
        scale.fill_(0.37)
        model.b_enc.uniform_(-0.1, 0.1)
        model.b_dec.uniform_(-0.1, 0.1)
    x = batch_at(0)["x"]
    seen = model.represent({"x": x})
    folded = Dictionary.from_training(model, HookPoint(path="layers.0"), "low", half=False)
    codes = Codes(seen.index, seen.value / scale, 64)
    torch.testing.assert_close(folded.reconstruct(x, codes), seen.decoded / scale, rtol=1e-5, atol=1e-5)
    pre = folded.pre_activations(x).gather(1, seen.index).relu()
    torch.testing.assert_close(pre, seen.value / scale, rtol=1e-4, atol=1e-5)


def test_a_dictionary_loads_back_with_the_same_codes() -> None:
    dictionary, rows = trained_dictionary()
    again = Dictionary.from_tensors(dictionary.tensors(), dictionary.table, HookPoint(path="layers.0"))
    assert torch.equal(dictionary.encode(rows).value, again.encode(rows).value)
    tensors = dictionary.tensors()
    del tensors["threshold"]
    with pytest.raises(WorkbenchError, match="threshold"):
        Dictionary.from_tensors(tensors, dictionary.table, HookPoint(path="layers.0"))


def test_change_leaves_the_reconstruction_error_alone() -> None:
    dictionary, rows = trained_dictionary()
    codes = dictionary.encode(rows[:8])
    delta = dictionary.change(codes.scaled(-1.0))
    torch.testing.assert_close(delta, dictionary.b_dec - dictionary.reconstruct(rows[:8], codes), rtol=1e-4, atol=1e-4)


def test_geometric_median_resists_an_outlier_and_a_point_at_the_guess() -> None:
    rows = torch.cat([torch.randn(200, 3, generator=generator(0, "m")), torch.full((1, 3), 1e6)])
    assert geometric_median(rows).abs().max() < 0.5
    assert torch.isfinite(geometric_median(torch.tensor([[0.0], [1.0], [-1.0]]))).all()


def test_schedules() -> None:
    factor = warm_up_hold_decay(100, 0.1, 0.2)
    assert (factor(0), factor(50)) == (0.1, 1.0)
    assert 0 < factor(99) < 0.1
    assert (ramp(2.0, 10, 10)(5), ramp(2.0, 10, 10)(15), ramp(2.0, 10, 10)(30)) == (0.0, 1.0, 2.0)
