"""Backend: causal minimality. Dictionaries at each level first, gated selection maps between them after.

The paper (hierarchical selection under minimality constraints) gives the model class and the idea; text
levels, widths, spans and the two-stage recipe are our reconstruction (DESIGN section 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor

from probes.activations.store import ActivationStore
from probes.artefacts import artefact_path, parent_of, resolve
from probes.backends.backend import Backend, Card
from probes.backends.minimality_config import Config, as_measured, level_configs, presets, trained_parts
from probes.backends.minimality_stages import JOINT, joint_stage, refuse_joint, stage_of, stages
from probes.backends.stage_runs import trained_in
from probes.hierarchy.codes import paired
from probes.hierarchy.fit_maps import FittedMap, fit_map, map_figures
from probes.hierarchy.measure_level import compared, measured_level
from probes.hierarchy.probe import Level, Probe, ProbeRecord, open_probe, save_probe
from probes.runs import Run

card = Card(
    title="Causal minimality",
    paper="Hierarchical selection models under minimality constraints (method 6)",
    from_the_paper="levels with a selection between neighbours; sparsity as the minimality constraint",
    our_reconstruction="levels as layers and spans of a language model, and noise bands as intervals of an image's "
    "trajectory; hard-concrete gates; two stages, and only where asked a joint one that pulls higher codes",
    task="reconstruct activations; predict higher codes from lower ones",
    constraint="k active latents per row; few edges between levels; higher codes composable where trained jointly",
)


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
        refuse_joint(config, store)
        steps += config.joint.optimiser.steps
    run.begin(step=checkpoint.step if checkpoint else 0, steps=steps)
    states: dict[str, dict[str, Tensor]] = {}
    offset = 0
    for name, part in parts.items():
        stage = partial(stage_of, config, store, name)
        found = trained_in(run, name, stage, offset, config.device, said=f"level {name}")
        if found is None:
            return None
        states[name] = found
        offset += part.optimiser.steps
    if config.joint.train:
        stage = partial(joint_stage, config, store, states)
        found = trained_in(run, JOINT, stage, offset, config.device, said="all levels together")
        if found is None:
            return None
        states = {name: _part(found, f"levels.{name}.") for name in parts}
    if run.follows:  # what is left is for one process
        return None
    trained: list[Level] = []
    for at, name in enumerate(level_configs(config)):
        run.update(message=f"measuring level {name}")
        state, band = (states[name], None) if name in states else (states["trajectory"], at)
        measured = measured_level(store, name, as_measured(config, name), state, band)
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


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """What belongs to one part of a whole, without the prefix."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


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
