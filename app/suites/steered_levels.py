"""What levers on the emoji pipeline are made from: activations of development captions, and dictionaries of them.

A hierarchical probe has a dictionary per noise band and selection maps between them; the flat one is a single
dictionary of the same hook point for the whole trajectory, with as many latents, active latents per row and
training rows as the three together. Neither sees a caption that is scored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

from pydantic import Field
from torch import Tensor

from app.suites.captured import captured_images
from app.suites.kept import Kept
from probes.activations.store import ActivationStore
from probes.activations.trajectories import ImageCaptureConfig
from probes.configs import Frozen
from probes.errors import Stopped
from probes.files import atomic_write
from probes.hierarchy.codes import paired
from probes.hierarchy.fit_maps import MapConfig, fit_map
from probes.hierarchy.measure_level import measured_level
from probes.hierarchy.probe import Level
from probes.hierarchy.selection_map import SelectionMap
from probes.hierarchy.train_level import LevelConfig, level_objective, rows_for
from probes.runs import Run
from probes.training.loop import OptimiserConfig, Progress, train
from probes.worlds.emoji import STYLES, EmojiCorpus, Pair
from steering.contrasts import PictureMeans, picture_means

NAMES = ("low", "middle", "high")
BANDS = ((0.0, 0.33), (0.33, 0.67), (0.67, 1.0))


class SteeredLevelsConfig(Frozen):
    """Which activations are captured, and how dictionaries of them are trained."""

    point: str = Field(default="up_blocks.1.attentions.1:update", description="Hook point.", max_length=200)
    concepts: int = Field(default=150, description="Most development concepts captured, in every style.", ge=8)
    n_latents: int = Field(
        default=1024, description="Latents per level; the flat dictionary has three times it.", ge=32
    )
    k: float = Field(default=16, description="Active latents per row, in both.", gt=0)
    training_steps: int = Field(default=800, description="Steps per level; the flat one has three times it.", ge=1)
    batch: int = Field(default=1024, description="Rows per step.", ge=8)
    map_rows: int = Field(default=40_000, description="Rows the selection maps are fitted on.", ge=256)
    map_steps: int = Field(default=160, description="Steps the selection maps are fitted for.", ge=1)


class SteeredLevels(NamedTuple):
    """Per level, lowest first, what captions make of it; the same of the flat one; and the maps between levels."""

    levels: tuple[PictureMeans, ...]
    flat: PictureMeans
    maps: tuple[SelectionMap, ...]


def steered_levels(
    corpus: EmojiCorpus, pairs: Sequence[Pair], config: SteeredLevelsConfig, steps: int, guidance: float, run: Run
) -> SteeredLevels:
    """Capture the pairs' pictures, train what is not there yet, and read every picture at every level.

    Raises `Stopped` when the run is asked to stop.
    """
    store = _captured(corpus, pairs, config, steps, guidance, run)
    kept = Kept(run, store.index.subject, str(store.path.name))
    levels = []
    for number, (name, band) in enumerate(zip(NAMES, BANDS, strict=True)):
        address = f"{config.point}@noise={band[0]!r}-{band[1]!r}"
        levels.append(_level(store, name, _level_config(config, address), number, kept, run))
    wide = _level_config(config, config.point, times=len(NAMES))
    flat = _level(store, "flat", wide, len(NAMES), kept, run)
    maps = [_map(store, low, high, config, run) for low, high in pairwise(levels)]
    run.update(message="reading every picture at every level")
    means = [picture_means(store, level) for level in (*levels, flat)]
    return SteeredLevels(tuple(means[:-1]), means[-1], tuple(maps))


def _captured(
    corpus: EmojiCorpus, pairs: Sequence[Pair], config: SteeredLevelsConfig, steps: int, guidance: float, run: Run
) -> ActivationStore:
    lines = [
        json.dumps(
            {
                "id": f"{corpus.entries[pair.emoji].code}-{STYLES[pair.style]}",
                "text": corpus.caption(pair),
                "labels": {"emoji": pair.emoji, "style": pair.style, "group": corpus.entries[pair.emoji].group},
            }
        )
        for pair in pairs
    ]
    prompts = run.path / "captions.jsonl"
    atomic_write(prompts, "\n".join(lines) + "\n")
    asked = f"{config.point} {steps} {guidance} {lines}"
    return captured_images(
        ImageCaptureConfig(
            name=f"steering-image-{sha256(asked.encode()).hexdigest()[:12]}",
            subject="bundled/emoji",
            prompts=str(prompts),
            steps=steps,
            guidance=guidance,
            points=(config.point,),
            bands=BANDS,
            batch=24,
            picture=32,
        ),
        run,
    )


def _level_config(config: SteeredLevelsConfig, at: str, times: int = 1) -> LevelConfig:
    steps = config.training_steps * times
    optimiser = OptimiserConfig(steps=steps, batch=config.batch, checkpoint_every=10**6)
    return LevelConfig(at=at, n_latents=config.n_latents * times, k=config.k, optimiser=optimiser)


def _level(store: ActivationStore, name: str, config: LevelConfig, seed: int, kept: Kept, run: Run) -> Level:
    found = kept.get(name)
    if found is not None:
        return found
    rows = rows_for(store, config, seed)
    objective = level_objective(rows, config, seed)
    run.begin(steps=config.optimiser.steps, message=f"training the dictionary {name}")

    def log(step: int, values: Mapping[str, float]) -> None:
        run.progress(step)

    progress = Progress(log, run.stop_requested, lambda step, tensors, state: None)
    if train(objective, rows.batch_at, config.optimiser, progress) == "stopped":
        raise Stopped
    state: dict[str, Tensor] = {key: part.detach() for key, part in objective.module().state_dict().items()}
    return kept.put(name, measured_level(store, name, config, state), seed, {})


def _map(store: ActivationStore, low: Level, high: Level, config: SteeredLevelsConfig, run: Run) -> SelectionMap:
    if run.stop_requested():
        raise Stopped
    run.update(message=f"selection map {low.name} to {high.name}")
    fitted = paired(store, "train", low, high, max_rows=config.map_rows)
    held_out = paired(store, "held_out", low, high, max_rows=config.map_rows // 2)
    usual = MapConfig()
    optimiser = usual.optimiser.model_copy(update={"steps": config.map_steps})
    asked = usual.model_copy(update={"rows": config.map_rows, "minimum_rows": 40, "optimiser": optimiser})
    return fit_map(fitted, held_out, (low.name, high.name), asked, seed=0).map
