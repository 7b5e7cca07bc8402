"""Training the dictionaries of the comparison: one store, one budget, and a choice that sees no held-out row.

Every architecture tries its learning rates (and JumpReLU its prices of an active latent) in short trainings;
the best on calibration rows, at no more than k active latents, is trained in full with every seed. Seeds see
the same batches and differ in their start. What is finished stays in the run's folder; a training under way is
resumed from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.suites.dictionary_config import DictionariesConfig
from app.suites.kept import Kept
from probes.activations.rows import calibration_rows
from probes.activations.store import ActivationStore
from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.configs import merged, validated
from probes.errors import Stopped, WorkbenchError
from probes.files import read_json, write_json
from probes.hierarchy.choice import best, tried
from probes.hierarchy.measure_level import measured_level
from probes.hierarchy.probe import Level
from probes.hierarchy.train_level import LevelConfig, level_objective, rows_for
from probes.runs import Run
from probes.training.loop import Progress
from probes.training.together import Member, train_together
from probes.training.trainee import Trainee

TRIAL_ROWS = 16_384
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {"jumprelu": tuple({"price": price} for price in (1.0, 3.0, 10.0))}


def level_config(config: DictionariesConfig, architecture: str, **changes: Any) -> LevelConfig:
    """The level every architecture starts from: same latents, active latents, rows and steps."""
    base = {
        "autoencoder": {"kind": architecture},
        "depth": config.depth,
        "n_latents": config.n_latents,
        "k": config.k,
        "dead_after": config.dead_after,
        "optimiser": {"steps": config.steps, "batch": config.batch, "checkpoint_every": config.checkpoint_every},
    }
    return validated(LevelConfig, merged(base, changes), what=f"The {architecture} dictionary")


def candidates(config: DictionariesConfig, architecture: str) -> list[LevelConfig]:
    """What an architecture may choose among."""
    return [
        level_config(config, architecture, optimiser={"learning_rate": rate}, autoencoder=options)
        for rate in config.rates
        for options in OPTIONS.get(architecture, ({},))
    ]


def trained_dictionaries(
    config: DictionariesConfig, store: ActivationStore, kept: Kept, run: Run
) -> Iterator[tuple[str, list[Level]]]:
    """(architecture, its level by seed), one after the other. Raises `Stopped` when asked to stop."""
    run.rewind(run.latest_checkpoint())
    for number, architecture in enumerate(config.architectures):
        names = [f"{architecture}-{seed}" for seed in range(config.seeds)]
        levels = [kept.get(name) for name in names]
        if any(level is None for level in levels):
            chosen = _chosen(config, store, architecture, run)
            members = _trained(store, architecture, chosen, config.seeds, number * config.steps, run)
            levels = [
                kept.get(name) or _measured(store, chosen, member, name, seed, kept)
                for seed, (name, member) in enumerate(zip(names, members, strict=True))
            ]
        yield architecture, [level for level in levels if level is not None]


def _chosen(config: DictionariesConfig, store: ActivationStore, architecture: str, run: Run) -> LevelConfig:
    """The candidate that calibration rows prefer, kept in the run as `trials/<architecture>.json`."""
    file = run.path / "trials" / f"{architecture}.json"
    if file.is_file():
        return validated(LevelConfig, read_json(file)["chosen"], what=f"The choice for {architecture}")
    run.update(message=f"choosing how to train {architecture}")
    asked = candidates(config, architecture)
    short = {"optimiser": {"steps": config.trial_steps}}
    levels = [validated(LevelConfig, merged(one.model_dump(), short), what="A trial") for one in asked]
    rows = rows_for(store, levels[0], seed=0)
    members = [
        Member(str(number), Trainee(level_objective(rows, level, seed=0), level.optimiser))
        for number, level in enumerate(levels)
    ]
    quiet = Progress(lambda step, values: None, run.stop_requested, lambda *state: None)
    if train_together(members, rows.batch_at, quiet, log_every=10**9, checkpoint_every=10**9) == "stopped":
        raise Stopped
    sample = calibration_rows(store, rows.places, rows.kind, TRIAL_ROWS)
    found = [
        tried(one, _module(member), sample, rows.places.point)
        for one, member in zip(asked, members, strict=True)
        if not member.failed
    ]
    if not found:
        raise WorkbenchError(
            "all-diverged", f"No {architecture} dictionary can be trained", "every trial diverged", "Lower the rates."
        )
    chosen = best(found, config.k)
    file.parent.mkdir(exist_ok=True)
    trials = [
        {"level": one.config.model_dump(mode="json"), "explained_variance": one.explained_variance, "l0": one.l0}
        for one in found
    ]
    write_json(file, {"chosen": chosen.config.model_dump(mode="json"), "trials": trials})
    return chosen.config


def _trained(
    store: ActivationStore, architecture: str, level: LevelConfig, seeds: int, offset: int, run: Run
) -> Sequence[Member]:
    """Every seed on one stream of batches, resumed where a checkpoint of this very group is."""
    run.update(message=f"training {architecture}")
    rows = rows_for(store, level, seed=0)
    members = [
        Member(f"{architecture}-{seed}", Trainee(level_objective(rows, level, seed), level.optimiser))
        for seed in range(seeds)
    ]
    checkpoint, resume = run.latest_checkpoint(), None
    if checkpoint is not None and checkpoint.state.get("group") == architecture:
        tensors = {name: checkpoint.tensors(name) for name in checkpoint.groups}
        resume = (checkpoint.step - offset, tensors, checkpoint.state)

    def log(step: int, values: dict[str, float]) -> None:
        run.log(offset + step, **values)

    def save(step: int, tensors: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        run.save_checkpoint(offset + step, tensors, {**state, "group": architecture})

    outcome = train_together(
        members,
        rows.batch_at,
        Progress(log, run.stop_requested, save),
        log_every=level.optimiser.log_every,
        checkpoint_every=level.optimiser.checkpoint_every,
        resume=resume,
    )
    if outcome == "stopped":
        raise Stopped
    return members


def _measured(store: ActivationStore, config: LevelConfig, member: Member, name: str, seed: int, kept: Kept) -> Level:
    """Fold, calibrate and measure one dictionary, and keep it."""
    module = _module(member)
    state = {key: value.detach() for key, value in module.state_dict().items()}
    level = measured_level(store, "middle", config, state)
    extra = {"seconds": member.seconds, "learning_rate": config.optimiser.learning_rate}
    return kept.put(name, level, seed, extra)


def _module(member: Member) -> TrainableAutoencoder:
    module = member.trainee.module
    assert isinstance(module, TrainableAutoencoder)
    return module
