"""Levels trained on together: what is pulled, what is left alone, and that a cut training ends as a whole one."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from app import jobs
from app.worker import execute
from probes.activations.nested_rows import NestedRows, Storey
from probes.activations.places import Places
from probes.activations.rows import RowKind, shard_rows
from probes.activations.store import ActivationStore
from probes.addresses import HookPoint
from probes.artefacts import resolve
from probes.autoencoders.fitting import DictionaryConfig, finished, new_autoencoder, objective_of
from probes.backends import minimality_stages
from probes.backends.backend import Stage
from probes.backends.causal_minimality import work
from probes.backends.minimality_config import Config
from probes.backends.minimality_stages import joint_stage, stages
from probes.errors import WorkbenchError
from probes.files import sha256_of
from probes.hierarchy.fit_maps import MapConfig
from probes.hierarchy.joint import Hierarchy, JointConfig, codes_between, joint_objective
from probes.hierarchy.probe import open_probe
from probes.hierarchy.selection_map import GatedMap
from probes.metrics.intervals import bootstrap
from probes.metrics.recovery import recovered
from probes.runs import Run
from probes.tensors import load_tensors
from probes.training.loop import OptimiserConfig, Progress, train
from probes.training.objective import Objective
from probes.training.randomness import permutation
from probes.worlds.rows import ArrayRows
from probes.worlds.storeys import Storeys, StoreysConfig
from tests.fixtures.stores import make_store

QUIET = Progress(lambda *_: None, lambda: False, lambda *_: None)
SPANS = {"low": 1, "middle": 2, "high": 4}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("joint")
        patch.setenv("FULCRUM_HOME", str(path))
        make_store(path / "stores" / "toy")
        yield path


def asked(name: str, joint: dict[str, Any] | None = None, kind: str = "topk") -> Config:
    how = {"steps": 20, "batch": 96, "log_every": 3, "checkpoint_every": 7, "learning_rate": 1e-2}
    level = {"autoencoder": kind, "n_latents": 48, "k": 3, "dead_after": 300, "optimiser": how}
    together = {"train": True, "optimiser": {**how, "batch": 32}, **(joint or {})}
    values = {
        "name": name,
        "store": "toy",
        "low": {**level, "depth": 0.2, "span": SPANS["low"]},
        "middle": {**level, "depth": 0.5, "span": SPANS["middle"]},
        "high": {**level, "depth": 0.8, "span": SPANS["high"]},
        "maps": {"rows": 2000, "minimum_rows": 5, "candidates": 8, "optimiser": {"steps": 10, "batch": 96}},
        "joint": together,
    }
    return Config.model_validate(values)


def store() -> ActivationStore:
    return ActivationStore(resolve("toy", "store"))


def stage(kind: str = "topk", **joint: Any) -> Stage:
    """The joint stage, from levels that were trained for no step at all."""
    config, states = asked("x", joint, kind), {}
    for one in stages(config, store()):
        states[one.name] = {name: part.detach() for name, part in one.objective.module().state_dict().items()}
    return joint_stage(config, store(), states)


# -- rows of all levels at once -----------------------------------------------------------------------------


def nested(batch: int = 16) -> NestedRows:
    held = store()
    places = zip(SPANS.items(), held.index.points, strict=True)
    storeys = {name: Storey(info.point, RowKind(span=span)) for (name, span), info in places}
    return NestedRows(held, storeys, batch=batch, seed=3)


def test_a_row_comes_with_all_rows_that_lie_in_it() -> None:
    """Against the rows of the store, read shard by shard: every row of the highest level once per epoch."""
    rows, held = nested(), store()
    whole = {}
    for at, (name, span) in enumerate(SPANS.items()):
        parts = [
            shard_rows(held, s, Places(held.index.points[at].point), RowKind(span=span)) for s in held.fitting_shards()
        ]
        whole[name] = [torch.cat([part[n].float() for part in parts]) for n in (0, 1)]
    top, usable = whole["high"][0], whole["high"][1].bool()
    seen: list[Tensor] = []
    for step in range(rows.n_rows // rows.batch):
        batch = rows.batch_at(step)
        seen.append(batch["high"])
        for number, row in enumerate(batch["high"][:3]):
            chunk, window = ((top == row).all(dim=2) & usable).nonzero()[0].tolist()
            inside = batch["middle"][batch["middle.above"] == number]
            part = slice(2 * window, 2 * window + 2)
            wanted = whole["middle"][0][chunk, part][whole["middle"][1][chunk, part].bool()]
            torch.testing.assert_close(inside, wanted)
            middle = (batch["middle.above"] == number).nonzero()[:, 0].tolist()
            below = torch.cat([batch["low"][batch["low.above"] == at] for at in middle])
            part = slice(4 * window, 4 * window + 4)
            wanted = whole["low"][0][chunk, part][whole["low"][1][chunk, part].bool()]
            assert len(below) <= len(wanted) and all(bool((wanted == one).all(dim=1).any()) for one in below)
    met = torch.cat(seen)
    assert len(met.unique(dim=0)) == len(met) >= usable.sum() - rows.batch
    again = nested()
    for name, part in rows.batch_at(2).items():
        assert torch.equal(part, again.batch_at(2)[name])
    assert not torch.equal(rows.batch_at(0)["high"], rows.batch_at(rows.n_rows // rows.batch)["high"])


def test_rows_that_do_not_nest_and_batches_that_are_too_large_are_refused() -> None:
    held = store()
    point = held.index.points[0].point
    with pytest.raises(WorkbenchError, match="multiple"):
        NestedRows(
            held, {"low": Storey(point, RowKind(span=3)), "high": Storey(point, RowKind(span=4))}, batch=8, seed=0
        )
    with pytest.raises(WorkbenchError, match="joint batch"):
        nested(10**6)


def test_lower_codes_are_pooled_over_the_row_above() -> None:
    """Row 0 of the higher level holds two lower ones, row 1 none, row 2 one; a lower row without one above is out."""
    made = stage().objective.representation
    batch = {name: torch.randn(rows, 16) for name, rows in (("low", 4), ("middle", 3), ("high", 3))}
    batch |= {"low.above": torch.tensor([0, 0, -1, 2]), "middle.above": torch.tensor([0, 1, 2])}
    seen = {name: made.part(name).represent({"x": batch[name]}) for name in SPANS}
    low, high = codes_between(made.levels, seen, batch, "low", "middle")
    below = torch.zeros(4, 48).scatter(1, seen["low"].index, seen["low"].value)
    above = torch.zeros(3, 48).scatter(1, seen["middle"].index, seen["middle"].value)
    torch.testing.assert_close(low, torch.stack([below[:2].amax(dim=0), below[3]]))
    torch.testing.assert_close(high, above[[0, 2]])
    assert not low.requires_grad and high.requires_grad


# -- what the pull does -----------------------------------------------------------------------------------------


def known_map() -> GatedMap:
    """f(z)_0 = ReLU(z_0 + 2 z_1 − 0.5), f(z)_1 = ReLU(3 z_1): gates wide open."""
    found = GatedMap(torch.tensor([[0, 1], [0, 1]]), torch.tensor([2.0, 4.0]), seed=0).double()
    with torch.no_grad():
        found.log_alpha.fill_(50.0)
        weights = torch.tensor([[1.0, 2.0], [1e-12, 3.0]], dtype=torch.float64)
        found.raw_weight.copy_(torch.expm1(weights).log())
        found.theta.copy_(torch.tensor([0.5, 0.0]))
    return found


def test_the_pull_has_its_golden_value_and_gradient() -> None:
    """By hand: f = [[0.5, 0], [2.5, 3]]... of z = [[1, 1], [2, 3]], errors² [[0.25, 1], [0.25, 0]]."""
    found = known_map()
    low = torch.tensor([[1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    high = torch.tensor([[1.0, 1.0], [2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    constraint = recipe_constraint("composability")
    seen = found.represent({"low": low, "high": high, "step": torch.tensor(0)})
    torch.testing.assert_close(seen.predicted, torch.tensor([[0.5, 0.0], [2.5, 3.0]], dtype=torch.float64))
    (value,) = constraint.penalty(found, seen).values()
    assert float(value.detach()) == pytest.approx((0.25 / 2 + (1 + 0) / 2 / 4) / 2)
    gradient = torch.autograd.grad(value, [high, *found.parameters()], allow_unused=True)
    wanted = 2 * (high - seen.predicted).detach() / found.target_variance / high.numel()
    torch.testing.assert_close(gradient[0], wanted)
    assert all(part is None for part in gradient[1:])

    def pulled(codes: Tensor) -> Tensor:
        seen = found.represent({"low": low, "high": codes, "step": torch.tensor(0)})
        return constraint.penalty(found, seen)["composability"]

    assert torch.autograd.gradcheck(pulled, (high,))
    assert constraint.certify(found, seen)["composable"] == pytest.approx(1 - float(value.detach()))


def recipe_constraint(name: str) -> Any:
    from probes.constraints.registry import CONSTRAINTS

    return CONSTRAINTS.load(name)()


@pytest.mark.parametrize("kind", ["topk", "batch_topk", "jumprelu"])
def test_the_pull_reaches_higher_codes_and_the_fit_reaches_maps_only(kind: str) -> None:
    made = stage(kind, start=0.0)
    rep: Any = made.objective.representation
    terms = made.objective.terms(made.batch_at(0), 5)
    parameters = dict(rep.named_parameters())

    def reached(term: str) -> set[str]:
        found = torch.autograd.grad(terms[term], list(parameters.values()), allow_unused=True, retain_graph=True)
        names = zip(parameters, found, strict=True)
        return {".".join(name.split(".")[:2]) for name, grad in names if grad is not None and bool(grad.any())}

    assert reached("low-middle.composability") == {"levels.middle"}
    assert reached("middle-high.composability") == {"levels.high"}
    for pair in ("low-middle", "middle-high"):
        assert reached(f"{pair}.selection") == {f"maps.{pair}"} == reached(f"{pair}.edges")
    for level in SPANS:
        assert reached(f"{level}.reconstruction") == {f"levels.{level}"}


def trained(**joint: Any) -> Hierarchy:
    made = stage(start=0.0, **joint)
    train(made.objective, made.batch_at, made.optimiser, QUIET)
    rep: Any = made.objective.representation
    return rep


def test_the_level_below_ends_bit_for_bit_as_without_the_pull() -> None:
    """Not even clipping, which here always bites, carries anything down."""
    clipped = {"steps": 20, "batch": 32, "learning_rate": 1e-2, "clip_norm": 0.01}
    free, pulled = (trained(pull=pull, optimiser=clipped) for pull in (0.0, 50.0))
    for name, tensor in free.levels["low"].state_dict().items():
        assert torch.equal(tensor, pulled.levels["low"].state_dict()[name]), name
    for level in ("middle", "high"):
        assert not torch.equal(free.part(level).w_enc, pulled.part(level).w_enc)
        assert not torch.equal(free.part(level).w_enc, stage().objective.representation.part(level).w_enc)


def test_a_stronger_pull_makes_higher_codes_more_composable() -> None:
    def composable(rep: Hierarchy) -> float:
        batch = nested(64).batch_at(0)
        seen = deepcopy(rep).represent(batch)
        certified = recipe_constraint("composability").certify(rep.part("low-middle"), seen["low-middle"])
        return float(certified["composable"])

    long = {"steps": 120, "batch": 32, "learning_rate": 1e-2}
    free, pulled = (trained(pull=pull, optimiser=long) for pull in (0.0, 3.0))
    assert composable(pulled) > composable(free) + 0.05


def test_every_term_is_named_by_its_part_and_full_at_once() -> None:
    """Warm-ups of levels lie behind them: their weights are those of the last step."""
    made = stage("jumprelu", start=0.5)
    assert isinstance(made.objective, Objective)
    terms = made.objective.terms(made.batch_at(0), 0)
    assert {"low.reconstruction", "high.sparsity", "low-middle.selection", "middle-high.composability"} <= terms.keys()
    assert float(terms["low.sparsity"].detach()) > 0
    assert float(terms["low-middle.composability"].detach()) == 0 == float(terms["low-middle.edges"].detach())
    assert {"low.l0", "middle.dead", "high.explained_variance"} <= made.objective.gauges().keys()


# -- a run ------------------------------------------------------------------------------------------------------


def files_of(run: Run, name: str) -> dict[str, str]:
    folder = resolve(name, "probe")
    kept = {file.name: sha256_of(file) for file in folder.glob("*.safetensors")}
    return kept | {str(file.relative_to(run.path)): sha256_of(file) for file in run.path.glob("levels/*/*.safetensors")}


@pytest.fixture(scope="module")
def whole(home: Path) -> Run:
    run = jobs.new_run("train", asked("whole"))
    assert execute(run) is not None
    return run


def test_a_joint_training_that_was_stopped_ends_bit_for_bit_as_a_whole_one(whole: Run) -> None:
    """Stopped in the second half of the joint stage, where gates cost and codes are pulled."""
    cut = jobs.new_run("train", asked("cut"))
    log = Run.log

    def stopping(self: Run, step: int, **values: float) -> None:
        log(self, step, **values)
        if step == 60 + 12:
            self.request_stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "log", stopping)
        assert execute(cut) is None
    checkpoint = cut.latest_checkpoint()
    assert checkpoint is not None and checkpoint.state["stage"] == "joint" and 60 < checkpoint.step < 80
    cut.clear_stop()
    assert execute(cut) is not None
    assert files_of(cut, "cut") == files_of(whole, "whole")
    rows = [{k: v for k, v in row.items() if k != "time"} for row in cut.metrics()]
    assert rows == [{k: v for k, v in row.items() if k != "time"} for row in whole.metrics()]


def test_without_it_two_stages_are_what_they_were(whole: Run) -> None:
    """The levels' own stage knows nothing of what follows; without a joint stage its dictionaries are kept."""
    plain = jobs.new_run("train", asked("plain", {"train": False}))
    assert execute(plain) is not None
    for name in SPANS:
        file = f"levels/{name}/weights.safetensors"
        assert sha256_of(plain.path / file) == sha256_of(whole.path / file)
    assert not (plain.path / "levels" / "joint").exists()
    state = load_tensors(plain.path / "levels" / "high" / "weights.safetensors")
    level = open_probe("plain").level("high")
    module = new_autoencoder(asked("x").high, 16)
    module.load_state_dict(state)
    cosine = torch.nn.functional.cosine_similarity(level.space.w_dec, module.w_dec.detach())
    assert float(cosine.min()) > 0.999
    moved = open_probe("whole").level("high").space.w_dec
    assert not torch.equal(moved, level.space.w_dec)
    assert [(found.low, found.high) for found in open_probe("whole").maps] == [("low", "middle"), ("middle", "high")]


def test_several_processes_are_refused_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minimality_stages, "world", lambda: 2)
    run = jobs.new_run("train", asked("several"))
    with pytest.raises(WorkbenchError, match="one process"):
        work(asked("several"), run)
    assert not (run.path / "levels").exists()


# -- a world whose middle storey also shows what lies below --------------------------------------------------------


def storeys_gain(seed: int, *, steps: int = 400, pull: float = 0.2) -> np.ndarray:
    """|Pearson| of each middle concept with its latent, jointly trained minus not, `concept`.

    The same start, batches and steps for both; the pull alone differs. Half of the view below goes on into this one
    (32, 12 and 5 concepts). The highest storey is left out: nothing of it reaches the middle one.
    """
    world = Storeys(StoreysConfig(low=32, middle=12, high=5, carried=0.5), seed)
    fitting, matching, scoring = (world.draw(rows, 100 * seed + at) for at, rows in enumerate((6000, 2000, 2000)))
    x = {name: torch.from_numpy(part) for name, part in zip(("low", "middle"), fitting.x, strict=False)}
    how = OptimiserConfig(steps=steps, batch=256, learning_rate=1e-2, checkpoint_every=10**6)
    states, configs = {}, {}
    for at, (name, rows) in enumerate(x.items()):
        configs[name] = DictionaryConfig(
            autoencoder="batch_topk",
            n_latents=(48, 18)[at],
            k=float((fitting.codes[at] > 0).sum(axis=1).mean()),
            dead_after=5000,
            optimiser=how,
        )
        made = new_autoencoder(configs[name], rows.shape[1], seed=seed)
        made.begin(rows)
        train(objective_of(made, configs[name]), ArrayRows(rows, batch=256, seed=seed).batch_at, how, QUIET)
        states[name] = made

    def batch_at(step: int) -> dict[str, Tensor]:
        chosen = permutation(6000, seed, "joint", step)[:256]
        return {"low.above": torch.arange(256), **{name: rows[chosen] for name, rows in x.items()}}

    found = []
    for weight in (0.0, pull):
        levels = {name: (configs[name], deepcopy(module)) for name, module in states.items()}
        joint = JointConfig(train=True, pull=weight, optimiser=how.model_copy(update={"learning_rate": 3e-3}))
        objective = joint_objective(levels, batch_at, joint, MapConfig(minimum_rows=20), batches=16, seed=seed)
        train(objective, batch_at, joint.optimiser, QUIET)
        middle = torch.from_numpy(matching.x[1])
        space = finished(levels["middle"][1], configs["middle"], middle, HookPoint(path="middle"), "middle")
        seen = recovered(
            (matching.codes[1], space.encode(middle).csr()),
            (scoring.codes[1], space.encode(torch.from_numpy(scoring.x[1])).csr()),
            (world.views[1].directions, space.w_dec.numpy()),
            world.views[1].members,
        )
        found.append(seen.correlation)
    return np.asarray(found[1] - found[0])


@pytest.mark.slow
def test_what_the_pull_does_where_the_level_below_shines_through() -> None:
    """Three seeds. It must do no harm; how much it helps is reported, not asserted."""
    gain = bootstrap([storeys_gain(seed) for seed in range(3)])
    print(f"middle concepts, joint minus plain: {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]")
    assert gain.high > 0 and gain.value > -0.01
