"""A sweep: dictionaries of several configs, trained on one stream of activations and compared in one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from pydantic import BeforeValidator, Field

from probes.activations.rows import MixedRows
from probes.activations.store import ActivationStore
from probes.artefacts import artefact_path, parent_of, resolve, write_manifest
from probes.configs import Frozen, merged, validated
from probes.devices import Device, batches_on, device_named
from probes.errors import WorkbenchError
from probes.files import commit_directory, write_json
from probes.hierarchy.measure_level import measured_level
from probes.hierarchy.probe import Probe, ProbeRecord, save_probe
from probes.hierarchy.train_level import LevelConfig, Place, level_objective, rows_for
from probes.runs import Run
from probes.training.loop import OptimiserConfig, Progress
from probes.training.together import Member, train_together
from probes.training.trainee import Trainee, only_within_rounding

MOST = 256
SHARED = (*Place.model_fields, "optimiser.batch", "optimiser.log_every", "optimiser.checkpoint_every")


def parsed_grid(given: Any) -> Any:
    """`k=16,32 optimiser.learning_rate=1e-3,2e-3` as a table of fields and values; anything else as it is.

    A value is JSON where it reads as such, else text. Raises `ValueError` for a part without values.
    """
    if not isinstance(given, str):
        return given
    table: dict[str, tuple[Any, ...]] = {}
    for part in given.split():
        field, _, values = part.partition("=")
        if not field or not values:
            raise ValueError(f"{part[:60]!r} is no field=value,value")
        table[field] = tuple(_value(text) for text in values.split(",") if text)
    return table


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class SweepConfig(Frozen):
    """Train dictionaries of several configs on one stream of activations; each batch is read once."""

    name: str = Field(
        description="Name of the sweep; its probes are called name-1, name-2 and so on.", min_length=1, max_length=56
    )
    store: str = Field(description="Activation store to train on.", min_length=1)
    grid: Annotated[dict[str, tuple[Any, ...]], BeforeValidator(parsed_grid)] = Field(
        default={},
        description="Fields of level and their values, `k=16,32 optimiser.learning_rate=1e-3,2e-3`: "
        "every combination is trained; seed is a field too.",
    )
    configs: tuple[dict[str, Any], ...] = Field(
        default=(), description="A JSON list of partial levels; each is trained, with every combination of the grid."
    )
    level: LevelConfig = Field(
        default=LevelConfig(optimiser=OptimiserConfig(steps=1500)), description="What all of them have in common."
    )
    device: Device = Field(default="auto", description="Where dictionaries are trained.")
    seed: int = Field(default=0, description="Seed of the order of rows, and of what sets none itself.", ge=0, le=2**31)


presets: dict[str, dict[str, Any]] = {
    "tiny": {"level": {"n_latents": 512, "k": 16, "optimiser": {"steps": 150, "batch": 512}}},
    "small": {"level": {"n_latents": 2304, "k": 32, "optimiser": {"steps": 600, "batch": 1024}}},
    "full": {},
}


class Entry(NamedTuple):
    """One config of a sweep: what makes it different, in words, its level and its seed."""

    label: str
    level: LevelConfig
    seed: int


class SweepRow(Frozen):
    """What became of one config."""

    label: str = Field(description="What makes it different.")
    seed: int = Field(description="Seed of its start.")
    level: LevelConfig = Field(description="Its whole config.")
    probe: str | None = Field(description="The probe it became; null when it was given up.")
    failed: str = Field(description="Why it was given up; empty when it was not.")
    seconds: float = Field(description="Seconds its training steps took.")
    figures: dict[str, float] = Field(description="Held-out metrics, each named with its convention.")


class SweepTable(Frozen):
    """`sweep.json`."""

    schema_version: int = Field(default=1, ge=1, le=1, description="Version of this format.")
    store: str = Field(description="The activation store all were trained on.")
    rows: tuple[SweepRow, ...] = Field(description="One row per config, in the order asked for.")


def entries_of(config: SweepConfig) -> list[Entry]:
    """Every config to train. Raises `WorkbenchError` for an unusable one, a double one, too many, and for one
    that would need another stream of rows."""
    base = config.level.model_dump(mode="json")
    found: dict[str, Entry] = {}
    for changes in _changes(config):
        label = _label(changes)
        nested: dict[str, Any] = {}
        for field, value in changes.items():
            nested = merged(nested, _nested(field, value))
        seed = nested.pop("seed", config.seed)
        level = validated(LevelConfig, merged(base, nested), what=f"The config {label} of the sweep")
        other = [field for field in SHARED if _at(level, field) != _at(config.level, field)]
        if other or label in found or not isinstance(seed, int) or len(found) >= MOST:
            raise _unusable(label, other, double=label in found, seed=seed)
        found[label] = Entry(label, level, seed)
    return list(found.values())


def _changes(config: SweepConfig) -> Iterator[dict[str, Any]]:
    for partial in config.configs or ({},):
        for values in product(*config.grid.values()):
            yield {**partial, **dict(zip(config.grid, values, strict=True))}


def _nested(field: str, value: Any) -> dict[str, Any]:
    """`a.b` and a value as a section a with a field b."""
    for name in reversed(field.split(".")):
        value = {name: value}
    return dict(value)


def _at(level: LevelConfig, field: str) -> Any:
    found: Any = level
    for name in field.split("."):
        found = getattr(found, name)
    return found


def _label(changes: Mapping[str, Any]) -> str:
    """The changes in short: the last part of each field's name, and its value."""
    short = [field.rpartition(".")[2] for field in changes]
    names = [last if short.count(last) == 1 else field for field, last in zip(changes, short, strict=True)]
    said = [v if isinstance(v, str) else json.dumps(v, separators=(",", ":")) for v in changes.values()]
    return " ".join(f"{name}={value}" for name, value in zip(names, said, strict=True)) or "base"


def _unusable(label: str, other: list[str], *, double: bool, seed: Any) -> WorkbenchError:
    if other:
        why, how = f"{', '.join(other)} would need another stream of rows", "Make a second sweep of it."
    elif double:
        why, how = "it is asked for twice", "Name each config once."
    elif not isinstance(seed, int):
        why, how = f"its seed is {seed!r}", "Use a whole number."
    else:
        why, how = f"a sweep has at most {MOST} configs", "Make the grid smaller."
    return WorkbenchError("bad-sweep", f"The config {label[:80]} cannot be part of the sweep", why, how)


def work(config: SweepConfig, run: Run) -> Path | None:
    """Train every config, keep each as a probe of one level, and leave their table as an artefact.

    Resumes after a stop or a kill where it was. Returns the artefact, or None when it was asked to stop.
    """
    store = ActivationStore(resolve(config.store, "store"))
    target = artefact_path("sweep", config.name)
    if run.made(target):
        return target
    entries = entries_of(config)
    for number in range(1, len(entries) + 1):
        run.made(artefact_path("probe", f"{config.name}-{number}"))  # a name that is taken is refused before training
    members = _trained(config, store, entries, run)
    if members is None:
        return None
    rows: list[SweepRow] = []
    for number, (entry, member) in enumerate(zip(entries, members, strict=True), 1):
        if run.stop_requested():
            return None
        run.update(message=f"measuring {entry.label}, {number} of {len(entries)}")
        rows.append(_row(config, store, number, entry, member, run))
    with commit_directory(target) as folder:
        table = SweepTable(store=config.store, rows=tuple(rows))
        write_json(folder / "sweep.json", table.model_dump(mode="json"))
        write_manifest(
            folder,
            kind="sweep",
            name=config.name,
            command=run.record().command,
            run=run.slug,
            parents={"store": parent_of(config.store, "store")},
            figures={row.label: _shown(row) for row in rows},
        )
    return target


def _shown(row: SweepRow) -> dict[str, Any]:
    """A row as the command prints it."""
    return {"probe": row.probe or f"none: {row.failed}", **row.figures, "seconds": round(row.seconds, 1)}


def _trained(config: SweepConfig, store: ActivationStore, entries: list[Entry], run: Run) -> list[Member] | None:
    rows = rows_for(store, config.level, config.seed)
    device = device_named(config.device)
    members = [_member(rows, entry, device) for entry in entries]
    checkpoint = run.latest_checkpoint()
    run.rewind(checkpoint)
    resume, differs = None, ""
    if checkpoint is not None:
        differs = only_within_rounding(checkpoint.state["members"][0]["state"])
        tensors = {name: checkpoint.tensors(name) for name in checkpoint.groups}
        resume = (checkpoint.step, tensors, checkpoint.state)
    run.begin(
        step=checkpoint.step if checkpoint else 0,
        steps=max(entry.level.optimiser.steps for entry in entries),
        message=f"{len(entries)} configs on one stream of {rows.n_rows:,} rows{differs}",
    )
    outcome = train_together(
        members,
        batches_on(device, rows.batch_at),
        Progress(lambda step, values: run.log(step, **values), run.stop_requested, run.save_checkpoint),
        log_every=config.level.optimiser.log_every,
        checkpoint_every=config.level.optimiser.checkpoint_every,
        resume=resume,
    )
    return members if outcome == "done" else None


def _member(rows: MixedRows, entry: Entry, device: torch.device) -> Member:
    objective = level_objective(rows, entry.level, entry.seed)
    objective.module().to(device)
    return Member(entry.label, Trainee(objective, entry.level.optimiser))


def _row(config: SweepConfig, store: ActivationStore, number: int, entry: Entry, member: Member, run: Run) -> SweepRow:
    """Measure one dictionary and keep it as a probe; one that was given up leaves only its row."""
    said: dict[str, Any] = {"label": entry.label, "seed": entry.seed, "level": entry.level}
    if member.failed:
        return SweepRow(**said, probe=None, failed=member.failed, seconds=member.seconds, figures={})
    state = {name: value.detach().cpu() for name, value in member.trainee.module.state_dict().items()}
    level = measured_level(store, "sweep", entry.level, state)
    name = f"{config.name}-{number}"
    target = artefact_path("probe", name)
    if not run.made(target):
        record = ProbeRecord(
            subject=store.index.subject, store=config.store, seed=entry.seed, levels=(level.record,), maps=()
        )
        save_probe(
            Probe(record, (level,), ()),
            target,
            name=name,
            command=run.record().command,
            run=run.slug,
            parents={"store": parent_of(config.store, "store")},
            figures={"config": entry.label, **level.record.figures},
        )
    return SweepRow(**said, probe=target.name, failed="", seconds=member.seconds, figures=level.record.figures)
