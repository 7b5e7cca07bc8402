"""The speed suite: our TopK training step, encoding and capture against other libraries and against the machine.

Floors and aims are ratios, for seconds belong to one machine. Peers run from an environment of their own
(`make bench` makes it); without one, only our own rows and the machine's limits are measured.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydantic import Field

from app.suites.capture_speed import capture_rows
from app.suites.racing import Setting, Times, race, racers
from app.suites.rows import Row, interval_row
from app.suites.suite import Suite
from probes.configs import Frozen
from probes.errors import Stopped, WorkbenchError
from probes.metrics.intervals import bootstrap
from probes.metrics.metric import Better
from probes.provenance import ROOT
from probes.runs import Run

Peer = Literal["sparsify", "SAELens", "SAELens autocast", "dictionary_learning", "overcomplete"]
Part = Literal["step", "dead", "memory", "loss", "growth", "encode", "capture"]

LIMITS = ("limit f32", "limit bf16")
OURS = ("ours", "ours bf16", "ours torch only", "ours torch only bf16")
PEERS: tuple[Peer, ...] = get_args(Peer)
# (ours, peer): the least and the aim, times as fast
RATIOS: dict[tuple[str, str], tuple[float, float]] = {
    ("ours bf16", "sparsify"): (2.0, 2.5),
    ("ours bf16", "SAELens"): (6.0, 8.0),
    ("ours bf16", "dictionary_learning"): (6.0, 8.0),
    ("ours", "sparsify"): (1.4, 1.6),
}
LOSS_WITHIN, MEMORY_SHARE = 0.001, 0.6
LOSS_SETTING = {"d": 128, "n": 2048, "k": 16, "batch": 1024, "pool": 16}


class SpeedConfig(Frozen):
    """What to race, and for how long."""

    parts: tuple[Part, ...] = Field(default=get_args(Part), description="What to measure.", min_length=1)
    python: str = Field(
        default="", description="Python of an environment that holds the other libraries; empty races ours alone."
    )
    peers: tuple[Peer, ...] = Field(default=PEERS, description="The other libraries.")
    widths: tuple[int, ...] = Field(default=(576, 768), description="Dimensions of a row, one race each.")
    latents: tuple[int, ...] = Field(default=(8192, 16_384), description="Latents of each race.")
    k: int = Field(default=32, description="Active latents per row.", ge=1)
    batch: int = Field(default=4096, description="Rows per step.", ge=64)
    dead: float = Field(default=0.3, description="Share of dead latents in the races with dead ones.", ge=0, lt=0.9)
    rounds: int = Field(default=5, description="Turns of each trainer.", ge=1)
    steps: int = Field(default=2, description="Steps per turn.", ge=1)
    loss_steps: int = Field(default=120, description="Steps after which losses are compared.", ge=1)


def speed(config: SpeedConfig, run: Run) -> Iterator[Row]:
    """Rows of every part asked for. Raises `Stopped` when the run is asked to stop."""
    if len(config.widths) != len(config.latents):
        raise WorkbenchError(
            "bad-config", "The races do not add up", "widths and latents differ in length", "Pair them."
        )
    yield Row(name="machine.load", value=os.getloadavg()[0], unit="processes that want a core, at the start")
    for d, n in zip(config.widths, config.latents, strict=True):
        setting: Setting = {"d": d, "n": n, "k": config.k, "batch": config.batch}
        if "step" in config.parts:
            yield from _race_rows(f"step.d{d}-n{n}", [*LIMITS, *OURS, *_peers(config)], setting, config, run)
        if "dead" in config.parts:
            aux = [name for name in _peers(config) if name != "overcomplete"]  # it has no auxiliary loss
            names = [*LIMITS, "ours", "ours bf16", *aux]
            share = {**setting, "dead": config.dead}
            yield from _race_rows(f"step.d{d}-n{n}.dead{config.dead:.0%}", names, share, config, run)
        if "memory" in config.parts:
            yield from _memory_rows(f"memory.d{d}-n{n}", setting, config, run)
    if "encode" in config.parts:
        d, n = config.widths[-1], config.latents[-1]
        yield from _encode_rows({"d": d, "n": n, "k": config.k, "batch": config.batch}, config, run)
    if "loss" in config.parts:
        yield from _loss_rows(config, run)
    if "growth" in config.parts:
        yield from _growth_rows(config, run)
    if "capture" in config.parts:
        run.update(message="capture")
        yield from capture_rows(config.rounds)


def _peers(config: SpeedConfig) -> list[str]:
    return list(config.peers) if config.python else []


def _python(config: SpeedConfig) -> Path:
    if not (ROOT / "tests" / "benchmarks" / "worker.py").is_file():
        raise WorkbenchError(
            "no-benchmarks",
            "The trainers to race are not here",
            "an installed copy comes without tests/benchmarks",
            "Run it from a checkout: make bench.",
        )
    return (ROOT / config.python) if config.python else Path(sys.executable)


def _run_race(
    names: Sequence[str], setting: Setting, config: SpeedConfig, run: Run
) -> tuple[dict[str, Times], dict[str, dict[str, float]]]:
    """(seconds, figures at the end) of each trainer in one race."""

    def between(said: str) -> None:
        run.update(message=f"{', '.join(f'{name} {value:g}' for name, value in setting.items())}: {said}")
        if run.stop_requested():
            raise Stopped

    with racers(names, _python(config), setting, run.path / "trainers") as started:
        times = race(started, rounds=config.rounds, steps=config.steps, between=between)
        return times, {racer.name: racer.figures() for racer in started if not racer.name.startswith("limit")}


def _race_rows(name: str, names: Sequence[str], setting: Setting, config: SpeedConfig, run: Run) -> Iterator[Row]:
    times, figures = _run_race(names, setting, config, run)
    unit = f"seconds per step of {config.batch} rows, one thread"
    for trainer, found in times.items():
        yield median_row(f"{name}.{trainer}.cpu", found.cpu, unit=f"CPU {unit}", better="down")
        yield median_row(f"{name}.{trainer}.wall", found.wall, unit=f"wall {unit}", better="down")
    for ours in (trainer for trainer in names if trainer not in LIMITS):
        kind = "bf16" if ours.endswith("bf16") else "f32"
        unit = f"share of the speed of the {kind} encoder product alone, same race"
        yield ratio_row(f"{name}.{ours}.share", times[f"limit {kind}"], times[ours], unit=unit)
    for (ours, peer), (least, aim) in RATIOS.items():
        if peer in times:
            unit = f"times as fast as {peer}, CPU; at least {least:g}"
            yield ratio_row(f"{name}.{ours}.over {peer}", times[peer], times[ours], unit=unit, aim=aim)
    if "sparsify" in times:  # the same maths from the same first weights, after the same steps
        for ours in ("ours", "ours bf16"):
            theirs = figures["sparsify"]["unexplained"]
            unit = "relative difference of the unexplained variance to sparsify's after the race"
            value = abs(figures[ours]["unexplained"] / theirs - 1)
            yield Row(name=f"{name}.{ours}.loss", value=value, unit=unit, better="down", aim=LOSS_WITHIN)


def _memory_rows(name: str, setting: Setting, config: SpeedConfig, run: Run) -> Iterator[Row]:
    """Peaks over what the process held before the trainer was made, one process per trainer and nothing else."""
    peaks: dict[str, float] = {}
    for trainer in ("ours", "ours bf16", *_peers(config)):
        run.update(message=f"memory of {trainer}")
        with racers([trainer], _python(config), setting, run.path / "trainers") as (racer,):
            racer.steps(2)
            peaks[trainer] = racer.figures()["peak"]
        if run.stop_requested():
            raise Stopped
    best = min((peaks[peer] for peer in _peers(config)), default=None)
    for trainer, peak in peaks.items():
        aim = MEMORY_SHARE * best if best and trainer.startswith("ours") else None
        yield Row(name=f"{name}.{trainer}", value=peak, unit="MiB at the peak", better="down", baseline=best, aim=aim)


def _encode_rows(setting: Setting, config: SpeedConfig, run: Run) -> Iterator[Row]:
    peers = [f"encode {peer}" for peer in ("sparsify", "SAELens") if peer in _peers(config)]
    times, _ = _run_race([*LIMITS, "encode ours", "encode ours f32", *peers], setting, config, run)
    for trainer, found in times.items():
        unit = f"CPU seconds per {config.batch} rows, one thread"
        yield median_row(f"{trainer.replace(' ', '.', 1)}.cpu", found.cpu, unit=unit, better="down")
    for peer in peers:
        name = f"encode.ours.over {peer.partition(' ')[2]}"
        yield ratio_row(name, times[peer], times["encode ours"], unit="times as fast, CPU; at least 1.7", aim=2.2)


def _loss_rows(config: SpeedConfig, run: Run) -> Iterator[Row]:
    """After many steps from one initialisation, against dense autograd in float32."""
    left: dict[str, float] = {}
    others = [peer for peer in ("sparsify",) if peer in _peers(config)]  # the same maths
    for trainer in ("dense", *OURS, *others):
        run.update(message=f"loss of {trainer}")
        with racers([trainer], _python(config), LOSS_SETTING, run.path / "trainers") as (racer,):
            racer.steps(config.loss_steps)
            left[trainer] = racer.figures()["unexplained"]
    for trainer in (*OURS, *others):
        yield Row(
            name=f"loss.{trainer}",
            value=abs(left[trainer] / left["dense"] - 1),
            n=config.loss_steps,
            unit="relative difference of the unexplained variance to dense float32 autograd",
            better="down",
            aim=LOSS_WITHIN,
        )
    yield Row(name="loss.dense", value=left["dense"], n=config.loss_steps, unit="unexplained variance", better="down")


def _growth_rows(config: SpeedConfig, run: Run) -> Iterator[Row]:
    """How cost grows with the width of the dictionary, and with the tokens trained on."""
    names = ["ours bf16", "ours", *(peer for peer in ("sparsify",) if peer in _peers(config))]
    d = config.widths[0]
    for n in (4096, 8192, 16_384, 32_768):
        setting = {"d": d, "n": n, "k": config.k, "batch": config.batch, "pool": 2}
        times, _ = _run_race(names, setting, config.model_copy(update={"rounds": 3}), run)
        for trainer, found in times.items():
            unit = f"CPU seconds per step of {config.batch} rows, d {d}"
            yield median_row(f"growth.d_sae.{n}.{trainer}", found.cpu, unit=unit, better="down")
    setting = {"d": d, "n": config.latents[0], "k": config.k, "batch": config.batch, "pool": 2}
    with racers(names, _python(config), setting, run.path / "trainers") as started:
        spent = {racer.name: sum(racer.steps(1).cpu) * 0 for racer in started}
        done = 0
        for steps in (4, 8, 16, 32):
            for racer in started:
                spent[racer.name] += sum(racer.steps(steps - done).cpu)
            done = steps
            for trainer, seconds in spent.items():
                name, unit = f"growth.tokens.{steps * config.batch}.{trainer}", "CPU seconds in all"
                yield Row(name=name, value=seconds, n=steps, unit=unit, better="down")
            if run.stop_requested():
                raise Stopped


def median_row(name: str, values: Sequence[float], *, unit: str, better: Better) -> Row:
    """The median over steps with its bootstrap interval."""
    found = bootstrap([values], lambda items: float(np.median(items)))
    return interval_row(name, [*found[:3], found.n], unit=unit, better=better)


def ratio_row(name: str, slow: Times, fast: Times, *, unit: str, aim: float | None = None) -> Row:
    """Median over median; steps taken in the same turn are resampled together."""
    found = bootstrap(
        [np.column_stack([slow.cpu, fast.cpu])], lambda pairs: float(np.divide(*np.median(pairs, axis=0)))
    )
    row = interval_row(name, [*found[:3], found.n], unit=unit, better="up")
    return row.model_copy(update={"aim": aim})


SUITE = Suite(SpeedConfig, speed)
