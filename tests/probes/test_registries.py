"""One conformance suite per registry: what every row owes, so that a new row is tested by being there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from probes.activations.store import ActivationStore
from probes.addresses import HookPoint
from probes.autoencoders.fitting import DictionaryConfig
from probes.autoencoders.registry import AUTOENCODERS, NORMALISATIONS
from probes.backends.backend import Backend
from probes.backends.registry import BACKENDS
from probes.configs import Frozen
from probes.constraints.registry import CONSTRAINTS
from probes.errors import WorkbenchError
from probes.hierarchy.selection_map import GatedMap
from probes.hierarchy.train_level import LevelConfig
from probes.metrics.absorption import FirstLetters
from probes.metrics.description_length import Bits
from probes.metrics.intervals import Interval
from probes.metrics.loss_recovered import Losses
from probes.metrics.metric import Metric
from probes.metrics.moments import Moments
from probes.metrics.recovery import Recovered
from probes.metrics.registry import METRICS
from probes.metrics.removal import SHOWN, Removed
from probes.registry import Registry
from probes.subjects.loading import load_subject
from probes.subjects.module import ModuleSubject
from probes.subjects.offered import offer
from probes.subjects.registry import SUBJECTS
from probes.subjects.text_autoregressive import TextAutoregressive
from probes.tasks.registry import TASKS
from probes.training.loop import Progress, train
from probes.training.randomness import generator
from tests.fixtures.factors import every_field_batch, every_field_spec, latent_model, task_for
from tests.fixtures.mixtures import fresh, mixtures, small
from tests.fixtures.registries import check_config, check_row, check_sentence, rows_of
from tests.fixtures.stores import make_store

ALL = (SUBJECTS, AUTOENCODERS, NORMALISATIONS, TASKS, CONSTRAINTS, BACKENDS, METRICS)
POINT = HookPoint(path="layers.0")


@pytest.mark.parametrize(("table", "name"), rows_of(*ALL))
def test_every_row_imports_and_says_what_it_is(table: Registry, name: str) -> None:
    check_row(table, name)


def test_a_config_names_a_row_and_no_other() -> None:
    assert LevelConfig(normalise="per_row").normalise in NORMALISATIONS
    with pytest.raises(ValidationError, match="known: centred_norm"):
        LevelConfig(normalise="per_rows")
    assert LevelConfig.model_json_schema()["properties"]["normalise"]["enum"] == list(NORMALISATIONS)


def test_a_config_holds_the_options_of_a_row_by_its_name_or_in_full() -> None:
    for kind in AUTOENCODERS:
        chosen = DictionaryConfig(autoencoder=kind).autoencoder
        assert type(chosen) is AUTOENCODERS.load(kind).Options
        assert DictionaryConfig.model_validate({"autoencoder": chosen.model_dump()}).autoencoder == chosen
    with pytest.raises(ValidationError, match="'topk', 'batch_topk'"):
        DictionaryConfig(autoencoder="topkk")
    with pytest.raises(ValidationError, match="a transcoder predicts another hook point"):
        LevelConfig(autoencoder="transcoder")


# -- subjects ------------------------------------------------------------------------------------------


def test_subjects_are_opened_by_the_first_kind_that_recognises_them() -> None:
    toy = ModuleSubject(nn.Sequential(nn.Linear(2, 2)), name="toy-of-this-test")
    assert load_subject(offer(toy)) is toy
    with pytest.raises(WorkbenchError, match="kind module"):
        load_subject(toy.name, of=TextAutoregressive)
    for ref in ("module/never-offered", "bundled/nothing", "no/such/folder", "./nowhere"):
        with pytest.raises(WorkbenchError) as caught:
            load_subject(ref)
        assert caught.value.code == "no-subject"


# -- tasks and constraints: finite, and with the gradient they claim ---------------------------------------


def an_autoencoder(kind: str = "topk") -> tuple[nn.Module, dict[str, Tensor]]:
    """Half of its latents dead: they have not fired for long, and cannot."""
    config = small(kind, n_latents=32, k=3, dead_after=10)
    model, batch = fresh(config, seed=1), mixtures(rows=64)(3)
    model.begin(batch["x"])
    with torch.no_grad():
        model.b_enc[16:] = -50.0
        model.since_fired[16:] = 1000
        for name, part in model.named_parameters():
            if name.endswith("theta"):  # at zero, where nothing is predicted, a map has a kink
                part.fill_(0.01)
        model.b_dec.uniform_(-0.1, 0.1, generator=generator(0, "bias"))
    return model.double(), {"x": batch["x"].double()}


def a_selection_map() -> tuple[nn.Module, dict[str, Tensor]]:
    draw = generator(0, "codes")
    low = torch.rand(64, 6, generator=draw).double()
    model = GatedMap(torch.tensor([[0, 1], [2, 3], [4, 5]]), torch.ones(3), seed=0).double()
    return model, {"low": low, "high": (low[:, :3] * 0.5).requires_grad_(), "step": torch.tensor(4)}


REPRESENTATIONS: dict[str, Callable[[], tuple[nn.Module, dict[str, Tensor]]]] = {
    "autoencoder": an_autoencoder,
    "selection_map": a_selection_map,
    **{kind: partial(an_autoencoder, kind) for kind in ("relu", "gated", "jumprelu", "matryoshka", "hierarchical")},
}


def check_gradient(model: Any, total: Callable[[], Tensor]) -> None:
    """Along random directions through the parameters the loss reaches, its slope is its gradient."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(total(), parameters, allow_unused=True)
    reached = [(p, g) for p, g in zip(parameters, gradients, strict=True) if g is not None and g.any()]
    assert reached, "the loss reaches no parameter"
    for draw in range(3):
        ways = [torch.randn(g.shape, generator=generator(draw, "way"), dtype=g.dtype) * (g != 0) for _, g in reached]
        slope = sum(float((way * g).sum()) for way, (_, g) in zip(ways, reached, strict=True))
        ends = []
        for size in (1e-6, -1e-6):
            with torch.no_grad():
                for way, (p, _) in zip(ways, reached, strict=True):
                    p += size * way
                ends.append(float(total()))
                for way, (p, _) in zip(ways, reached, strict=True):
                    p -= size * way
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope, rel=1e-3, abs=1e-7)


def check_terms(terms: dict[str, Tensor]) -> None:
    for value in terms.values():
        assert value.ndim == 0 and bool(torch.isfinite(value)) and value.requires_grad


def modelled(part: Any) -> tuple[nn.Module, dict[str, Tensor]]:
    """A representation of the kind that a task or a constraint is about, and a batch."""
    if part.on != "representation":
        return REPRESENTATIONS[part.on]()
    spec = every_field_spec()
    batch = {
        name: value.double() if value.is_floating_point() else value for name, value in every_field_batch(spec).items()
    }
    beside = (task_for(part, spec), part) if hasattr(part, "certify") else (part,)
    return latent_model(spec, *beside).double(), batch


@pytest.mark.parametrize("name", list(TASKS))
def test_a_task_is_finite_has_its_gradient_and_reads_what_it_says(name: str) -> None:
    task = TASKS.load(name)()
    check_config(task.Config)
    model, batch = modelled(task)
    assert task.reads <= batch.keys()

    def terms() -> dict[str, Tensor]:
        return dict(task.loss(model, model.represent(batch), {key: batch[key] for key in task.reads}))

    check_terms(terms())
    assert terms()
    if not task.holds:
        check_gradient(model, lambda: torch.stack(list(terms().values())).sum())


@pytest.mark.parametrize("name", list(CONSTRAINTS))
def test_a_constraint_is_finite_sees_no_observation_and_certifies(name: str) -> None:
    constraint = CONSTRAINTS.load(name)()
    check_config(constraint.Config)
    assert "batch" not in inspect.signature(constraint.penalty).parameters
    model, batch = modelled(constraint)

    def terms() -> dict[str, Tensor]:
        return dict(constraint.penalty(model, model.represent(batch)))

    check_terms(terms())
    if terms() and not constraint.holds:
        check_gradient(model, lambda: torch.stack(list(terms().values())).sum())
    certified = constraint.certify(model, model.represent(batch))
    assert certified and all(isinstance(value, float) and value == value for value in certified.values())


# -- backends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(BACKENDS))
def test_a_recipe_says_where_it_comes_from_and_its_presets_are_configs(name: str) -> None:
    backend: Backend = BACKENDS.load(name)
    check_config(backend.Config)
    check_sentence(f"{backend.card.title} by {backend.card.paper}.")
    assert {"tiny", "small", "full"} <= backend.presets.keys()
    for preset in backend.presets.values():
        config: Any = backend.Config.model_validate({"name": "x", "store": "x", **preset})
        assert config.backend == name


@pytest.mark.parametrize("name", list(BACKENDS))
def test_one_step_of_a_tiny_recipe_logs_every_term_it_trains(name: str, tmp_path: Path) -> None:
    backend: Backend = BACKENDS.load(name)
    store = ActivationStore(make_store(tmp_path / "store", chunks=96))
    config = backend.Config.model_validate({"name": "x", "store": "store", **backend.presets["tiny"]})
    stages = 0
    for stage in backend.stages(config, store):
        logged: list[dict[str, float]] = []
        expected = stage.objective.terms(stage.batch_at(0), 0)
        check_terms(expected)
        before = {k: v.clone() for k, v in stage.objective.module().state_dict().items()}
        once = stage.optimiser.model_copy(update={"steps": 1, "log_every": 1})
        keep = Progress(lambda _, values, into=logged: into.append(values), lambda: False, lambda *_: None)
        assert train(stage.objective, stage.batch_at, once, keep) == "done"
        (values,) = logged
        gauges = stage.objective.gauges().keys()
        assert values.keys() == {"loss", *expected, *gauges}
        assert values["loss"] == pytest.approx(sum(values[term] for term in expected), rel=1e-5)
        after = stage.objective.module().state_dict()
        assert any(not torch.equal(before[key], after[key]) for key in before)
        stages += 1
    assert stages >= 1


# -- metrics ---------------------------------------------------------------------------------------------


def known_moments() -> Moments:
    """Rows whose reconstruction is half of their distance to the mean; latents 0 and 1 of four fire."""
    x = torch.tensor([[3.0, 1.0], [1.0, 3.0], [3.0, 3.0], [1.0, 1.0]])
    moments = Moments(torch.tensor([2.0, 2.0]), 4)
    moments.add(x, 2 + (x - 2) / 2, torch.tensor([[0, 1]] * 4), torch.tensor([[1.0, 1.0], [1.0, 0.0]] * 2))
    return moments


def perfect_moments() -> Moments:
    x = torch.tensor([[1.0, 3.0], [2.0, -1.0]])
    moments = Moments(x.mean(dim=0), 1)
    moments.add(x, x, torch.zeros(2, 1, dtype=torch.long), torch.ones(2, 1))
    return moments


KNOWN: dict[str, tuple[float, float]] = {  # on the case above, and on a perfect reconstruction
    "explained_variance": (0.75, 1.0),
    "explained_variance_per_row": (0.75, 1.0),
    "explained_variance_of_deviations": (0.75, 1.0),
    "explained_variance_per_dimension": (0.75, 1.0),
    "explained_variance_uncentred": (0.95, 1.0),
    "unexplained_variance": (0.25, 0.0),
    "normalised_error": ((0.05 + 0.05 + 1 / 36 + 0.25) / 4, 0.0),
    "relative_bias": (34 / 36, 1.0),
    "length_kept": ((2 * 0.85**0.5 + (12.5 / 18) ** 0.5 + 1.5) / 4, 1.0),
    "l0": (1.5, 1.0),
    "density": (0.375, 1.0),
    "dead": (0.5, 0.0),
    "rare": (0.5, 0.0),
    "common": (0.5, 1.0),
    "cross_entropy_increase": (0.5, 0.0),
    "recovered_mean_ablation": (0.75, 1.0),
    "recovered_zero_ablation": (0.875, 1.0),
    "divergence": (0.5, 0.0),
    "divergence_recovered_mean_ablation": (0.75, 1.0),
    "divergence_recovered_zero_ablation": (0.875, 1.0),
    "absorption": (0.25, 0.0),
    "full_absorption": (0.1, 0.0),
    "spurious_removal": (0.5, 1.0),
    "spurious_removal_to_mean": (0.6, 0.9),
    "targeted_perturbation": (0.25, 0.5),
    "description_length": (7.5, 2.0),
    "residual_bits": (4.0, 2.0),
    "code_bits": (3.0, 0.0),
    "edge_bits": (0.5, 0.0),
    "bits_saved": (0.25, 0.8),
    "seed_agreement": (0.5, 1.0),
    "mcc": (0.7, 1.0),
    "mcc_decoder": (0.6, 1.0),
    "uniqueness": (0.5, 1.0),
    "precision": (0.75, 1.0),
    "recall": (0.5, 1.0),
    "f1": (0.6, 1.0),
    "absorbed": (0.25, 0.0),
    "absorption_gap": (0.2, 0.0),
}


def recovery(*figures: float, best: list[int]) -> Recovered:
    """One value per figure, at every concept."""
    parts = [np.full(2, value) for value in figures]
    return Recovered(*parts[:5], np.array(best), *parts[5:])


def removed(*scores: float) -> Removed:
    return Removed(*({SHOWN: Interval(score, score, score, 1, 1)} for score in scores))


CASES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "moments": (known_moments, perfect_moments),
    "losses": (
        lambda: Losses(2.0, 2.5, 4.0, 6.0, 0.5, 2.0, 4.0),
        lambda: Losses(2.0, 2.0, 4.0, 6.0, 0.0, 2.0, 4.0),
    ),
    "letters": (
        lambda: FirstLetters(torch.tensor([0.0, 0.5]), torch.tensor([0.0, 0.2])),
        lambda: FirstLetters(torch.zeros(2), torch.zeros(2)),
    ),
    "removed": (lambda: removed(0.5, 0.6, 0.25), lambda: removed(1.0, 0.9, 0.5)),
    "bits": (
        lambda: Bits(np.array([3.0, 5.0]), np.array([2.0, 4.0]), np.array([8.0, 12.0]), 0.5),
        lambda: Bits(np.array([2.0]), np.array([0.0]), np.array([10.0]), 0.0),
    ),
    "agreement": (lambda: torch.tensor([0.25, 0.75]), lambda: torch.ones(2)),
    "recovery": (
        lambda: recovery(0.7, 0.6, 0.75, 0.5, 0.6, 0.25, 0.2, best=[1, 1, 1]),
        lambda: recovery(1, 1, 1, 1, 1, 0, 0, best=[0, 1, 1]),
    ),
}


@pytest.mark.parametrize("name", list(METRICS))
def test_a_metric_has_its_known_values_in_its_range_and_the_better_one_is_better(name: str) -> None:
    metric: Metric = METRICS.load(name)
    found = [metric.measure(make()) for make in CASES[metric.reads]]
    assert found == pytest.approx(KNOWN[name])
    assert all(metric.low <= value <= metric.high for value in found) and metric.unit
    usual, perfect = found
    if metric.better:
        assert (perfect > usual) == (metric.better == "up")


def test_the_rule_for_configs_sees_a_missing_sentence() -> None:
    class Loose(Frozen):
        """No sentence for its field."""

        size: int = 1

    with pytest.raises(AssertionError, match="size"):
        check_config(Loose)
