"""What a training by causal minimality is told: three levels, the maps between them, and sizes to start from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from probes.configs import Frozen
from probes.devices import Device
from probes.hierarchy.fit_maps import MapConfig
from probes.hierarchy.joint import JointConfig
from probes.hierarchy.train_level import LevelConfig, placed
from probes.training.loop import OptimiserConfig


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


def level_configs(config: Config) -> dict[str, LevelConfig]:
    """Name to config, lowest level first."""
    return {"low": config.low, "middle": config.middle, "high": config.high}


def trained_parts(config: Config) -> dict[str, LevelConfig]:
    """What is trained, by name: a dictionary per level, or one for the whole trajectory."""
    return level_configs(config) if config.trajectory == "each" else {"trajectory": config.low}


def as_measured(config: Config, name: str) -> LevelConfig:
    """A level as it was trained: where it reads is its own, the dictionary perhaps that of the trajectory."""
    level = level_configs(config)[name]
    if config.trajectory == "each":
        return level
    return placed(config.low, level)
