"""Evaluation suites as a job: one object of rows, the same for page, report and command."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from app.suites.bands import BandsConfig, band_rows
from app.suites.colours import ColoursConfig, colour_rows
from app.suites.dictionary_config import DictionariesConfig
from app.suites.dictionary_table import dictionary_table
from app.suites.emoji import EmojiConfig, emoji_rows
from app.suites.main_job import MainJobConfig, main_job
from app.suites.rows import Row, Rows
from app.suites.speed import SpeedConfig, speed
from app.suites.world_training import WorldsConfig
from app.suites.worlds import world_rows
from probes.artefacts import artefact_path, write_manifest
from probes.configs import Frozen, validated
from probes.errors import Stopped
from probes.files import commit_directory, read_json, write_json
from probes.provenance import commit
from probes.runs import Run


class EvaluateConfig(Frozen):
    """Measure a suite and write its rows."""

    suite: Literal["main-job", "dictionaries", "worlds", "colours", "bands", "emoji", "speed"] = Field(
        default="main-job", description="Which suite."
    )
    graph: str = Field(default="bundled/text", description="Concept graph that the main job's suite is about.")
    name: str = Field(
        default="", description="Name of the evaluation to write; the suite's, when empty.", max_length=64
    )
    main_job: MainJobConfig = Field(default=MainJobConfig(), description="What the main job's suite measures.")
    dictionaries: DictionariesConfig = Field(
        default=DictionariesConfig(), description="Which dictionaries are trained, and what is measured of them."
    )
    worlds: WorldsConfig = Field(default=WorldsConfig(), description="Which worlds and architectures are measured.")
    colours: ColoursConfig = Field(default=ColoursConfig(), description="What is measured of levers on pictures.")
    bands: BandsConfig = Field(default=BandsConfig(), description="Which ways of coding noise bands are compared.")
    emoji: EmojiConfig = Field(default=EmojiConfig(), description="How the bundled image pipeline is sampled.")
    speed: SpeedConfig = Field(default=SpeedConfig(), description="What the speed suite races.")


presets: dict[str, dict[str, Any]] = {
    "tiny": {
        "colours": {"pairs": 1, "strengths": [0.0, 1.0, 2.0], "training_steps": 300, "apart": False},
        "emoji": {"concepts": 20, "seeds": 1, "steps": 10},
        "worlds": {"worlds": ["mixture", "tree"], "seeds": 2, "rows": 4096, "steps": 200, "rates": [3e-3]},
        "dictionaries": {
            "tokens": 40_000, "n_latents": 256, "k": 16, "steps": 120, "batch": 512, "dead_after": 10_000,
            "rates": [2e-3], "trial_steps": 40, "rows": 8192, "loss_chunks": 8, "words": 40,
        },
    },
    "small": {
        "colours": {"pairs": 2},
        "worlds": {"seeds": 3, "rows": 12_000, "steps": 600},
        "dictionaries": {
            "tokens": 160_000, "document_chunks": 8, "n_latents": 1152, "steps": 400, "batch": 1024,
            "dead_after": 20_000, "rates": [1e-3, 3e-3], "trial_steps": 100, "rows": 16_384, "loss_chunks": 24,
        },
    },
}  # fmt: skip

SUITES: dict[str, Callable[[EvaluateConfig, Run], Iterator[Row]]] = {
    "main-job": lambda config, run: main_job(config.graph, config.main_job, run),
    "speed": lambda config, run: speed(config.speed, run),
    "dictionaries": lambda config, run: dictionary_table(config.dictionaries, run),
    "worlds": lambda config, run: world_rows(config.worlds, run),
    "colours": lambda config, run: colour_rows(config.colours, run),
    "bands": lambda config, run: band_rows(config.bands, run),
    "emoji": lambda config, run: emoji_rows(config.emoji, run),
}


def work(config: EvaluateConfig, run: Run) -> Path | None:
    """Run a suite and leave its rows as an artefact, replacing an earlier one.

    Returns the rows' file, or None when it was asked to stop.
    """
    run.begin(message=f"measuring {config.suite}")
    start = time.monotonic()
    try:
        rows = list(SUITES[config.suite](config, run))
    except Stopped:
        return None
    found = Rows(suite=config.suite, commit=commit(), seconds=time.monotonic() - start, rows=rows)
    name = config.name or config.suite
    target = artefact_path("evaluation", name)
    with commit_directory(target, replace=True) as folder:
        write_json(folder / "rows.json", found.model_dump(mode="json"))
        for details in (run.path / name for name in ("levers.json", "labels.md", "samples.json")):
            if details.is_file():
                (folder / details.name).write_bytes(details.read_bytes())
        write_manifest(folder, kind="evaluation", name=name, command=run.record().command)
    return target / "rows.json"


def read_rows(path: Path) -> Rows:
    """The rows of an evaluation artefact."""
    return validated(Rows, read_json(path / "rows.json"), what=f"The evaluation {path.name}")
