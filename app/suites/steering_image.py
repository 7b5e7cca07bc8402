"""Steering quality on the bundled emoji pipeline: do levers do what they name, what else, and does hierarchy help?

Everything needed is made here, from what ships: activations of development captions, hierarchical and flat
dictionaries of them, and levers chosen by rule. Forms and strengths are chosen on development captions, scored on
captions of other concepts (a thing that is unlearnt: on other seeds). The judge learnt from real pictures only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from pydantic import Field

from app.suites.rows import Row
from app.suites.steered_levels import SteeredLevels, SteeredLevelsConfig
from app.suites.suite import Suite
from probes.configs import Frozen
from probes.errors import Stopped
from probes.runs import Run

Part = Literal["vendors", "groups", "unlearning"]


class SteeringImageConfig(Frozen):
    """What is steered on the bundled emoji pipeline, and how it is scored."""

    parts: tuple[Part, ...] = Field(default=get_args(Part), description="What to measure.", min_length=1)
    levels: SteeredLevelsConfig = Field(default=SteeredLevelsConfig(), description="What levers are made from.")
    counts: tuple[int, ...] = Field(default=(8, 64), description="Latents of a set, to choose among.", min_length=1)
    strengths: tuple[float, ...] = Field(
        default=(4.0, 8.0, 16.0, 32.0), description="Strengths to choose among and to score.", min_length=1
    )
    tuning: int = Field(default=2, description="Development captions per pair of vendors, or of a target.", ge=1)
    scoring: int = Field(default=6, description="Scored captions per pair of vendors, or of a target.", ge=1)
    targets: int = Field(default=3, description="Things that are unlearnt, one at a time.", ge=1, le=50)
    steps: int = Field(default=20, description="Denoising steps.", ge=1, le=1000)
    guidance: float = Field(default=2.0, description="Classifier-free guidance; 1 is none.", ge=1, le=20)


def steering_rows(config: SteeringImageConfig, run: Run) -> Iterator[Row]:
    """The table. Raises `Stopped` when the run is asked to stop."""
    from app.suites.steered_captions import Captions
    from app.suites.steered_levels import steered_levels
    from app.suites.steered_tasks import TASKS, Bed, task_rows
    from app.suites.steered_unlearning import unlearning_rows
    from probes.metrics.emoji_judge import open_judge
    from probes.subjects.image_diffusion import ImageDiffusion
    from probes.subjects.loading import load_subject
    from probes.worlds.emoji import read_emoji
    from steering.emoji_oracles import EmojiOracle
    from steering.lever_families import Families

    corpus = read_emoji()
    captions = Captions.of(corpus, config.levels.concepts)
    pairs = [pair for pair in corpus.training_pairs if pair.emoji in set(captions.development)]
    levels = steered_levels(corpus, pairs, config.levels, config.steps, config.guidance, run)
    yield from _level_rows(levels)
    stages = 0

    def say(message: str) -> None:
        nonlocal stages
        if run.stop_requested():
            raise Stopped
        stages += 1
        run.progress(stages)
        run.update(message=message)

    run.begin(message="steering")
    subject = load_subject("bundled/emoji", of=ImageDiffusion)
    bed = Bed(
        subject, corpus, EmojiOracle(corpus, open_judge(corpus)), Families(levels.levels, levels.flat, levels.maps),
        captions, config.steps, config.guidance, config.strengths, config.counts, say,
    )  # fmt: skip
    for task in TASKS:
        if task.name in config.parts:
            times = 1 if task.name == "vendors" else 2  # two groups, six pairs of vendors
            yield from task_rows(bed, task, config.tuning * times, config.scoring * times)
    if "unlearning" in config.parts:
        yield from unlearning_rows(bed, "style", config.tuning, config.scoring, config.targets)
        yield from unlearning_rows(bed, "concept", config.tuning, config.scoring, config.targets)


def _level_rows(found: SteeredLevels) -> Iterator[Row]:
    """How well the dictionaries reconstruct, that no lever is judged by a dictionary that was not learnt."""
    for means in (*found.levels, found.flat):
        value = means.level.record.figures["explained_variance"]
        unit = "explained variance, held-out development captions"
        yield Row(name=f"dictionary.{means.level.name}.explained_variance", value=value, unit=unit, better="up")
    for edges in found.maps:
        yield Row(name=f"edges.{edges.low}-{edges.high}", value=float(len(edges.source)), unit="edges proposed")


SUITE = Suite(
    SteeringImageConfig,
    steering_rows,
    presets={
        "tiny": {
            "levels": {
                "concepts": 8, "n_latents": 64, "k": 4, "training_steps": 40, "batch": 256, "map_rows": 2000,
                "map_steps": 20,
            },
            "counts": [4], "strengths": [2.0], "tuning": 1, "scoring": 1, "targets": 1, "steps": 4,
        },
        "full": {},
    },
)  # fmt: skip
