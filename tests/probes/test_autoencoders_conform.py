"""What every architecture owes under every normalisation; a new row of either registry is tested by being there."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from probes.addresses import HookPoint
from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.dictionary import Dictionary
from probes.autoencoders.fitting import DictionaryConfig, finished
from probes.autoencoders.registry import AUTOENCODERS, NORMALISATIONS
from probes.latents import Codes
from probes.tasks.reconstruct import Revive, ReviveConfig
from probes.tensors import load_tensors, save_tensors
from tests.fixtures.mixtures import epochs, fresh, mixtures, run, small, started, target_of
from tests.fixtures.registries import check_config

POINT = HookPoint(path="layers.0")
BATCHES = mixtures()
SINGLE = {"centred_norm", "none", "mean_norm", "mean_square", "per_row"}  # one scale for all dimensions
CASES = [(kind, normalise) for kind in AUTOENCODERS for normalise in NORMALISATIONS]
every = pytest.mark.parametrize(("kind", "normalise"), CASES)


@cache
def trained(kind: str, normalise: str) -> tuple[DictionaryConfig, TrainableAutoencoder]:
    """A short training of a case; nobody changes it."""
    config = small(kind, normalise)
    objective = started(config, BATCHES)
    run(objective, config, BATCHES)
    return config, objective.representation


def dictionary_of(kind: str, normalise: str) -> tuple[Dictionary, dict[str, Tensor]]:
    """The finished dictionary of a case, and a batch it has not seen."""
    config, model = trained(kind, normalise)
    sample = torch.cat([BATCHES(step)["x"] for step in range(200, 208)])
    return finished(model, config, sample, POINT, "low"), BATCHES(300)


def undone(model: TrainableAutoencoder, rows: Tensor, x: Tensor) -> Tensor:
    """Normalised targets as raw ones, from the map itself: t = n(0) + rows · ∂n/∂t inverted, row by row."""
    zero, width = torch.zeros_like(rows), rows.shape[1]
    forward = model.normalise.targets if "target" in model.reads else lambda target, _: model.normalise.rows(target)
    if model.normalise.row_norm is not None:
        spread = x.std(dim=1, keepdim=True) + model.normalise.row_norm
        return rows * spread + x.mean(dim=1, keepdim=True)
    shift = forward(zero, x)
    columns = forward(torch.eye(width, dtype=rows.dtype), x[:1].expand(width, -1)) - shift[:1]
    return torch.linalg.solve(columns.T, (rows - shift).T).T


def test_options_are_configs_and_name_their_row() -> None:
    for kind in AUTOENCODERS:
        options = AUTOENCODERS.load(kind).Options
        check_config(options)
        assert options().kind == kind


@every
def test_folding_changes_no_code_and_no_reconstruction(kind: str, normalise: str) -> None:
    """The model encodes normalised rows in float64; the dictionary raw ones, by the rule of the batch."""
    model = deepcopy(trained(kind, normalise)[1]).double()
    batch = {name: part.double() for name, part in BATCHES(400).items()}
    seen = model.represent(batch)
    dense = seen.value if seen.index is None else torch.zeros(128, 64).double().scatter_add(1, seen.index, seen.value)
    if model.most_active() is not None:
        model.most_active = lambda: 4  # type: ignore[method-assign]
    elif model.competes:  # whatever is on in this batch, and nothing else, is above this threshold
        pre = model.pre_activations(seen.x)
        least, most = pre[dense > 0].min(), pre[dense == 0].max()
        model.thresholds = lambda: ((least + most) / 2).detach()  # type: ignore[method-assign]
    folded = Dictionary.from_training(model, POINT, "low", half=False)
    codes = folded.encode(batch["x"]).dense().double()
    if model.normalise.row_norm is not None:
        dense = dense * (batch["x"].std(dim=1, keepdim=True) + model.normalise.row_norm)
    dense = dense.detach()
    unit = (codes * dense).sum(dim=0) / dense.square().sum(dim=0).clamp_min(1e-30)  # one per latent, for all rows
    torch.testing.assert_close(codes, dense * unit, rtol=1e-5, atol=1e-5 * float(codes.max()))
    wanted = undone(model, seen.decoded, batch["x"]).detach()
    scale = float(target_of(model, batch).abs().max())
    torch.testing.assert_close(folded.reconstruct(batch["x"]).double(), wanted, rtol=1e-5, atol=1e-5 * scale)


@every
def test_codes_are_lengths_where_units_can_be_chosen(kind: str, normalise: str) -> None:
    model = trained(kind, normalise)[1]
    if model.unit_rows:
        torch.testing.assert_close(model.w_dec.norm(dim=1), torch.ones(64), rtol=1e-5, atol=1e-5)
    if not model.competes or normalise in SINGLE:
        norms = Dictionary.from_training(model, POINT, "low").w_dec.norm(dim=1)
        torch.testing.assert_close(norms, torch.ones(64), rtol=1e-3, atol=1e-3)


@every
def test_an_autoencoder_learns(kind: str, normalise: str) -> None:
    config, model = trained(kind, normalise)
    space, batch = dictionary_of(kind, normalise)
    objective = started(config, BATCHES)
    first, last = (float(sum(target_error(m, batch))) for m in (objective.representation, model))
    assert last < 0.8 * first or model.gauges()["explained_variance"] > 0.3
    assert all(value == value for value in model.gauges().values())
    if model.competes:
        l0 = space.encode(torch.cat([BATCHES(step)["x"] for step in range(500, 508)])).l0().float().mean()
        assert float(l0) < 4.3  # fewer where fewer than k are positive; what it reaches is shown in its own test


def target_error(model: TrainableAutoencoder, batch: dict[str, Tensor]) -> list[float]:
    seen = deepcopy(model).represent(batch)
    return [float((seen.target - seen.decoded).square().sum())]


@every
def test_encoding_a_row_never_depends_on_its_batch_mates(kind: str, normalise: str) -> None:
    space, batch = dictionary_of(kind, normalise)
    rows = batch["x"][:48]
    together = space.encode(rows).dense()
    alone = torch.cat([space.encode(rows[at : at + 1]).dense() for at in range(len(rows))])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together, space.encode(rows.flip(0)).dense().flip(0), rtol=1e-4, atol=1e-4)


@every
def test_saved_and_loaded_it_gives_the_same_codes(kind: str, normalise: str, tmp_path: Path) -> None:
    config, model = trained(kind, normalise)
    space, batch = dictionary_of(kind, normalise)
    save_tensors(tmp_path / "d.safetensors", space.tensors())
    again = Dictionary.from_tensors(load_tensors(tmp_path / "d.safetensors"), space.table, POINT)
    assert torch.equal(again.encode(batch["x"]).value, space.encode(batch["x"]).value)
    assert torch.equal(again.reconstruct(batch["x"]), space.reconstruct(batch["x"]))
    save_tensors(tmp_path / "m.safetensors", {k: v.detach().contiguous() for k, v in model.state_dict().items()})
    other = fresh(config, seed=9)
    other.load_state_dict(load_tensors(tmp_path / "m.safetensors"))
    other.seed = model.seed  # gates are drawn anew from (seed, step)
    assert torch.equal(other.represent(batch).decoded, deepcopy(model).represent(batch).decoded)


@every
def test_thresholds_stay_in_float32(kind: str, normalise: str, tmp_path: Path) -> None:
    model = deepcopy(trained(kind, normalise)[1])
    before = model.thresholds().detach().clone()
    for way in (torch.float16, torch.bfloat16):
        model.to(way)
        assert model.w_enc.dtype == way
        assert model.thresholds().dtype == torch.float32 and torch.equal(model.thresholds(), before)
    space, _ = dictionary_of(kind, normalise)
    assert space.threshold.dtype == torch.float32 == space.tensors()["threshold"].dtype


@every
def test_revival_reaches_dead_encoders_and_no_live_one(kind: str, normalise: str) -> None:
    model = deepcopy(trained(kind, normalise)[1])
    model.since_fired.zero_()
    model.since_fired[40:] = 10_000
    batch = BATCHES(0)
    seen = model.represent(batch)
    Revive(ReviveConfig(k=8, every=1)).loss(model, seen, batch)["revival"].backward()
    for part in (model.w_enc, model.w_dec):
        assert part.grad is not None and bool(part.grad[40:].flatten(1).any(dim=1).float().mean() > 0.5)
        assert not part.grad[:40].any()
    assert model.b_enc.grad is not None and not model.b_enc.grad[:40].any()
    assert model.b_dec.grad is None


@every
def test_a_change_of_codes_adds_up(kind: str, normalise: str) -> None:
    space, batch = dictionary_of(kind, normalise)
    codes = space.encode(batch["x"])
    assert not space.change(codes.scaled(0.0)).any()
    torch.testing.assert_close(space.change(codes) + space.offset(batch["x"]), space.reconstruct(batch["x"], codes))
    one = Codes(torch.tensor([[7]]), torch.tensor([[2.0]]), 64)
    torch.testing.assert_close(space.change(one)[0], 2 * space.w_dec[7])


@every
def test_a_stopped_training_resumes_bit_for_bit(kind: str, normalise: str) -> None:
    """Cut in the middle of an epoch and of the warm-up, with dead latents, into a model of another seed."""
    config, batch_at = small(kind, normalise, steps=24, dead_after=600), epochs(mixtures())
    whole, part = started(config, batch_at), started(config, batch_at)
    for objective in (whole, part):
        objective.representation.since_fired[50:] = 5000
        with torch.no_grad():
            objective.representation.b_enc[50:] = -50.0
    _, logged = run(whole, config, batch_at)
    saved, _ = run(part, config, batch_at, stop_at=10)
    (step, tensors, state) = saved[-1]
    assert step == 10 and tensors["model"]["since_fired"].max() >= 600
    model = fresh(config, seed=99)
    model.seed = 0
    resumed = replace(part, representation=model)
    _, after = run(resumed, config, batch_at, resume=(step, tensors, state))
    for name, tensor in whole.module().state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    assert after == logged[10:]


def test_the_loop_knows_no_dictionary() -> None:
    import probes.training

    folder = Path(str(probes.training.__file__)).parent
    for file in folder.glob("*.py"):
        assert "probes.autoencoders" not in file.read_text(encoding="utf-8"), file.name


def test_options_that_do_not_fit_are_refused() -> None:
    from probes.errors import WorkbenchError

    wrong: list[Any] = [
        ("topk", {"k": 3.5}, "whole number"),
        ("batch_topk", {"k": 40}, "too large"),
        ({"kind": "matryoshka", "widths": (0.5, 0.25)}, {}, "do not increase"),
        ({"kind": "hierarchical", "widths": ()}, {}, "one level"),
    ]
    for kind, sizes, said in wrong:
        with pytest.raises(WorkbenchError, match=said):
            fresh(small(kind, **sizes))
    assert fresh(small("batch_topk", k=3.5)).k == 3.5
