"""Backend: causal minimality. Dictionaries at each level first, gated selection maps between them after.

The paper (hierarchical selection under minimality constraints) gives the model class and the idea; text
levels, widths, spans and the two-stage recipe are our reconstruction (DESIGN section 5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from probes.activations.nested_rows import NestedRows, Storey
from probes.activations.rows import RowKind
from probes.activations.store import ActivationStore
from probes.artefacts import artefact_path, parent_of, resolve
from probes.autoencoders.fitting import new_autoencoder
from probes.backends.backend import Backend, Card, Stage
from probes.configs import Frozen
from probes.devices import Device, device_named
from probes.errors import WorkbenchError
from probes.files import commit_directory
from probes.hierarchy.codes import paired
from probes.hierarchy.fit_maps import FittedMap, MapConfig, fit_map, map_figures
from probes.hierarchy.joint import SAMPLE_ROWS, JointConfig, joint_objective
from probes.hierarchy.measure_level import compared, measured_level
from probes.hierarchy.probe import Level, Probe, ProbeRecord, open_probe, save_probe
from probes.hierarchy.train_level import LevelConfig, level_objective, rows_for, trajectory_objective
from probes.runs import Run
from probes.tensors import load_tensors, save_tensors
from probes.training.loop import OptimiserConfig, Progress, train
from probes.training.ranks import ranks_for, world
from probes.training.trainee import only_within_rounding


class Config(Frozen):
    """Train a probe: dictionaries at three levels, then the selection maps between them."""

    backend: Literal["causal_minimality"] = Field(default="causal_minimality", description="The recipe.")
    name: str = Field(description="Name of the probe to make.", min_length=1, max_length=64)
    store: str = Field(description="Activation store to train on.", min_length=1)
    low: LevelConfig = Field(
        default=LevelConfig(depth=0.2, optimiser=OptimiserConfig(steps=1200)), description="The lowest level."
    )
    middle: LevelConfig = Field(
        default=LevelConfig(depth=0.5, optimiser=OptimiserConfig(steps=1500)), description="The middle level."
    )
    high: LevelConfig = Field(
        default=LevelConfig(
            depth=0.8,
            span=16,
            n_latents=1152,
            k=16,
            dead_after=20_000,
            optimiser=OptimiserConfig(steps=1500, batch=1024),
        ),
        description="The highest level; its rows are means over spans.",
    )
    trajectory: Literal["each", "shared", "conditioned"] = Field(
        default="each",
        description="For noise bands of one hook point: a dictionary for each; one shared by all, whose rows are "
        "centred and scaled by band; or that with its input also scaled and shifted by band as it learns. One for all "
        "is configured by low.",
    )
    maps: MapConfig = Field(default=MapConfig(), description="The selection maps.")
    joint: JointConfig = Field(default=JointConfig(), description="Training all levels on together.")
    seed: int = Field(default=0, description="Seed of everything random.", ge=0, le=2**31)
    device: Device = Field(
        default="auto", description="Where dictionaries are trained; several processes always use the CPU."
    )
    beside: str = Field(default="", description="Probe of another seed; every latent is given its best match there.")


JOINT = "joint"  # the stage in which all levels are trained on together
WEIGHTS = "weights.safetensors"


def _small(**level: Any) -> dict[str, Any]:
    return {"optimiser": {"steps": level.pop("steps"), "batch": level.pop("batch")}, **level}


presets: dict[str, dict[str, Any]] = {
    "tiny": {
        "low": _small(depth=0.2, n_latents=512, k=16, steps=150, batch=512),
        "middle": _small(depth=0.5, n_latents=512, k=16, steps=150, batch=512),
        "high": _small(depth=0.8, span=16, n_latents=128, k=8, steps=150, batch=128, dead_after=5000),
        "maps": {
            "rows": 20_000,
            "minimum_rows": 20,
            "optimiser": {"steps": 120, "batch": 512, "learning_rate": 0.03},
        },
    },
    "small": {
        "low": _small(depth=0.2, n_latents=2304, k=32, steps=600, batch=1024),
        "middle": _small(depth=0.5, n_latents=2304, k=32, steps=600, batch=1024),
        "high": _small(depth=0.8, span=16, n_latents=576, k=16, steps=600, batch=512, dead_after=10_000),
        "maps": {"rows": 60_000, "minimum_rows": 40},
    },
    "full": {},
    # Three noise bands of one hook point of an image pipeline, each as wide as the others.
    "images": {
        "low": _small(depth=0.17, n_latents=1024, k=16, steps=800, batch=1024),
        "middle": _small(depth=0.5, n_latents=1024, k=16, steps=800, batch=1024),
        "high": _small(depth=0.83, span=1, n_latents=1024, k=16, steps=800, batch=1024),
        "maps": {"rows": 100_000, "minimum_rows": 40},
    },
}

card = Card(
    title="Causal minimality",
    paper="Hierarchical selection models under minimality constraints (method 6)",
    from_the_paper="levels with a selection between neighbours; sparsity as the minimality constraint",
    our_reconstruction="levels as layers and spans of a language model, and noise bands as intervals of an image's "
    "trajectory; hard-concrete gates; two stages, and only where asked a joint one that pulls higher codes",
    task="reconstruct activations; predict higher codes from lower ones",
    constraint="k active latents per row; few edges between levels; higher codes composable where trained jointly",
)


def level_configs(config: Config) -> dict[str, LevelConfig]:
    """Name to config, lowest level first."""
    return {"low": config.low, "middle": config.middle, "high": config.high}


def trained_parts(config: Config) -> dict[str, LevelConfig]:
    """What is trained, by name: a dictionary per level, or one for the whole trajectory."""
    return level_configs(config) if config.trajectory == "each" else {"trajectory": config.low}


def _as_measured(config: Config, name: str) -> LevelConfig:
    """A level as it was trained: where it reads is its own, the dictionary perhaps that of the trajectory."""
    level = level_configs(config)[name]
    if config.trajectory == "each":
        return level
    return config.low.model_copy(update={"at": level.at, "depth": level.depth, "span": level.span})


def stage_of(config: Config, store: ActivationStore, name: str) -> Stage:
    """The objective of one dictionary, on the rows of a store."""
    level, number = trained_parts(config)[name], list(trained_parts(config)).index(name)
    seed = config.seed * 1000 + number
    if config.trajectory != "each":
        levels = list(level_configs(config).values())
        _refuse_apart(store, levels)
        places = [level.model_copy(update={"at": one.at, "depth": one.depth}) for one in levels]
        parts = [rows_for(store, one, seed + at, share=len(levels)) for at, one in enumerate(places)]
        modulates = config.trajectory == "conditioned"
        objective, batch_at = trajectory_objective(parts, level, seed, modulates=modulates)
        return Stage(name, sum(part.n_rows for part in parts), objective, batch_at, level.optimiser)
    rows = rows_for(store, level, seed)
    return Stage(name, rows.n_rows, level_objective(rows, level, seed), rows.batch_at, level.optimiser)


def _refuse_apart(store: ActivationStore, levels: Sequence[LevelConfig]) -> None:
    """One dictionary for several levels needs them at one hook point, in bands."""
    places = [store.place_at(level.depth, level.at) for level in levels]
    if len({point for point, _ in places}) > 1 or len({str(where) for _, where in places}) < len(places):
        raise WorkbenchError(
            "no-trajectory",
            "The levels cannot share a dictionary",
            "they read at " + ", ".join(f"{point}@{where}".removesuffix("@") for point, where in places),
            "Give them different noise bands of one hook point, or train with trajectory=each.",
        )


def stages(config: Config, store: ActivationStore) -> Iterator[Stage]:
    """Every dictionary, lowest first. The maps come after: they need the trained dictionaries."""
    return (stage_of(config, store, name) for name in trained_parts(config))


def joint_stage(config: Config, store: ActivationStore, states: Mapping[str, dict[str, Tensor]]) -> Stage:
    """All levels, each trained before to the state given, and the maps between them as one objective."""
    levels = level_configs(config)
    seed = config.seed * 1000 + len(levels)
    places = {name: store.place_at(level.depth, level.at)[0] for name, level in levels.items()}
    storeys = {name: Storey(places[name], RowKind(span=level.span)) for name, level in levels.items()}
    rows = NestedRows(store, storeys, batch=config.joint.optimiser.batch, seed=seed)
    trained = {}
    for number, (name, level) in enumerate(levels.items()):
        module = new_autoencoder(level, states[name]["w_dec"].shape[1], seed=config.seed * 1000 + number)
        module.load_state_dict(states[name])
        trained[name] = (level, module)
    batches = min(rows.n_rows, SAMPLE_ROWS) // rows.batch
    objective = joint_objective(trained, rows.batch_at, config.joint, config.maps, batches=batches, seed=seed)
    return Stage(JOINT, rows.n_rows, objective, rows.batch_at, config.joint.optimiser)


def work(config: Config, run: Run) -> Path | None:
    """Train every level, all of them on together where that is asked for, then every map; resumes after a stop or
    a kill where it was.

    Returns the probe, or None when it was asked to stop.
    """
    store = ActivationStore(resolve(config.store, "store"))
    target = artefact_path("probe", config.name)
    if run.made(target):
        return target
    parts = trained_parts(config)
    other = open_probe(config.beside) if config.beside else None
    checkpoint = run.latest_checkpoint()
    run.rewind(checkpoint)
    steps = sum(part.optimiser.steps for part in parts.values())
    if config.joint.train:
        _refuse_joint(config, store)
        steps += config.joint.optimiser.steps
    run.begin(step=checkpoint.step if checkpoint else 0, steps=steps)
    states: dict[str, dict[str, Tensor]] = {}
    offset = 0
    for name, part in parts.items():
        found = _trained(run, name, partial(stage_of, config, store, name), offset, config.device)
        if found is None:
            return None
        states[name] = found
        offset += part.optimiser.steps
    if config.joint.train:
        found = _trained(run, JOINT, partial(joint_stage, config, store, states), offset, config.device)
        if found is None:
            return None
        states = {name: _part(found, f"levels.{name}.") for name in parts}
    if run.follows:  # what is left is for one process
        return None
    trained: list[Level] = []
    for at, name in enumerate(level_configs(config)):
        run.update(message=f"measuring level {name}")
        state, band = (states[name], None) if name in states else (states["trajectory"], at)
        measured = measured_level(store, name, _as_measured(config, name), state, band)
        trained.append(measured if other is None else compared(measured, other.level(name)))
    record = ProbeRecord(
        subject=store.index.subject,
        store=config.store,
        seed=config.seed,
        levels=tuple(level.record for level in trained),
        maps=tuple((a.name, b.name) for a, b in pairwise(trained)),
    )
    probe = Probe(record, tuple(trained), ())
    fitted = [_fit(store, low, high, config, run) for low, high in probe.pairs()]
    probe = replace(probe, maps=tuple(found.map for found in fitted))
    save_probe(
        probe,
        target,
        name=config.name,
        command=run.record().command,
        run=run.slug,
        parents={"store": parent_of(config.store, "store")},
        figures=_figures(probe, fitted),
    )
    return target


@dataclass(frozen=True)
class _StageProgress:
    """Reports one level's training inside the run: steps are counted over all levels."""

    run: Run
    name: str
    offset: int

    def progress(self) -> Progress:
        return Progress(self._log, self.run.stop_requested, self._save)

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(self.offset + step, **{f"{self.name}.{key}": value for key, value in values.items()})

    def _save(self, step: int, tensors: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
        self.run.save_checkpoint(self.offset + step, tensors, {**state, "stage": self.name, "stage_step": step})


def _refuse_joint(config: Config, store: ActivationStore) -> None:
    if store.index.fed_with == "images" or config.trajectory != "each":
        raise WorkbenchError(
            "no-joint-bands",
            "Noise bands cannot be trained together",
            "the cells of one band are not the cells of another, so no batch holds the rows of all levels",
            "Train without joint.train.",
        )
    if world() > 1:
        raise WorkbenchError(
            "cannot-divide",
            "Several processes cannot train the levels together",
            "the rows of a joint batch are not equally many in each process's share",
            "Train with one process, or without joint.train.",
        )


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """What belongs to one part of a whole, without the prefix."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _trained(
    run: Run, name: str, stage_of: Callable[[], Stage], offset: int, device: Device
) -> dict[str, Tensor] | None:
    """The state of a finished stage, from the run where it was kept; None when asked to stop before its end."""
    folder = run.path / "levels" / name
    return load_tensors(folder / WEIGHTS) if folder.is_dir() else _train_stage(stage_of(), offset, run, device)


def _train_stage(stage: Stage, offset: int, run: Run, device: Device) -> dict[str, Tensor] | None:
    """Train one stage to the end and keep its weights in the run; None when asked to stop before."""
    ranks = ranks_for(stage.optimiser.shards, stage.optimiser.batch)
    stage = stage.on(device_named(device if ranks.size == 1 else "cpu"))
    name, resume = stage.name, None
    checkpoint = run.latest_checkpoint()
    if checkpoint is not None and checkpoint.state.get("stage") == name:
        tensors = {part: checkpoint.tensors(part) for part in checkpoint.groups}
        resume = (int(checkpoint.state["stage_step"]), tensors, checkpoint.state)
    differs = "" if resume is None else only_within_rounding(resume[2], ranks)
    said = "all levels together" if name == JOINT else f"level {name}"
    run.update(message=f"training {said}: {stage.rows:,} rows{differs}")
    progress = _StageProgress(run, name, offset).progress()
    outcome = train(stage.objective, stage.batch_at, stage.optimiser, progress, resume, ranks)
    if outcome == "stopped":
        return None
    state = {key: value.detach().cpu().contiguous() for key, value in stage.objective.module().state_dict().items()}
    if run.follows:
        return state
    with commit_directory(run.path / "levels" / name) as folder:
        save_tensors(folder / WEIGHTS, state)
    return state


def _fit(store: ActivationStore, low: Level, high: Level, config: Config, run: Run) -> FittedMap:
    said = f"selection map {low.name} to {high.name}"
    run.update(message=f"{said}: encoding")
    train_codes = paired(store, "train", low, high, max_rows=config.maps.rows)
    held_out = paired(store, "held_out", low, high, max_rows=config.maps.rows // 2)
    return fit_map(
        train_codes,
        held_out,
        (low.name, high.name),
        config.maps,
        seed=config.seed,
        report=lambda what, done, of: _blocks(run, f"{said}: {what}", done, of),
    )


def _blocks(run: Run, what: str, done: int, of: int) -> None:
    """Counted anew for every fit, so that rate and time left are those of its own blocks."""
    if done == 0:
        run.begin(steps=of, message=what)
    run.progress(done)


def _figures(probe: Probe, fitted: list[FittedMap]) -> dict[str, Any]:
    figures: dict[str, Any] = {
        f"{level.name}.{name}": value for level in probe.levels for name, value in level.record.figures.items()
    }
    for found in fitted:
        figures |= map_figures(found)
    return figures


BACKEND = Backend(card, Config, presets, stages, work, several=True)
