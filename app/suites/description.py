"""Description length per level of text, with the compression constraint and without.

With it a higher level has fewer latents, and fewer of them on in a row; without it every level is as wide and as
busy as the lowest. Both are trained on the same rows for the same steps, so the lowest level is one and the same.
Fewer bits at the narrower level would say that the text's higher levels hold no more than that; bits of different
levels are of different rows and are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from app.suites.captured import captured
from app.suites.rows import Row, of_interval
from app.suites.suite import Suite
from probes.activations.capture import CaptureConfig
from probes.configs import Frozen, validated
from probes.errors import Stopped
from probes.files import slug
from probes.metrics.by_document import OF_TABLE
from probes.metrics.intervals import bootstrap
from probes.metrics.metric import Metric
from probes.metrics.registry import METRICS
from probes.runs import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from probes.activations.store import ActivationStore
    from probes.backends.backend import Stage
    from probes.hierarchy.train_level import LevelConfig

FIGURES = ("description_length", "residual_bits", "code_bits", "bits_saved", "explained_variance", "l0")


class DescriptionConfig(Frozen):
    """Train each level narrow and wide on one text and tell held-out rows through both."""

    subject: str = Field(default="bundled/smollm2-135m", description="The subject whose activations are learnt.")
    corpus: str = Field(
        default="bundled/state-of-the-union,bundled/moby-dick",
        description="Text to encode; its held-out documents are scored.",
    )
    tokens: int = Field(default=200_000, description="Most tokens of it to encode.", ge=1000)
    document_chunks: int = Field(default=8, description="Most chunks of one training document.", ge=1)
    depths: tuple[float, ...] = Field(
        default=(0.2, 0.5, 0.8), description="Where levels read, lowest first.", min_length=2, max_length=8
    )
    spans: tuple[int, ...] = Field(default=(1, 1, 16), description="Tokens per row of each level.")
    widths: tuple[int, ...] = Field(
        default=(4608, 2304, 1152), description="Latents of each level where higher ones are narrower."
    )
    active: tuple[int, ...] = Field(default=(32, 24, 16), description="Active latents per row of each level there.")
    steps: int = Field(default=600, description="Training steps of each dictionary.", ge=1)
    batch: int = Field(default=1024, description="Rows per step.", ge=8)
    rows: int = Field(default=16_384, description="Most held-out rows behind a figure.", ge=64)
    seed: int = Field(default=0, description="Seed of the trainings.", ge=0)

    @model_validator(mode="after")
    def _even(self) -> DescriptionConfig:
        if len({len(part) for part in (self.depths, self.spans, self.widths, self.active)}) > 1:
            raise ValueError("depths, spans, widths and active differ in length; give each level one of each")
        return self


def description_rows(config: DescriptionConfig, run: Run) -> Iterator[Row]:
    """Rows of every level, narrow beside wide. Raises `Stopped` when asked to stop."""
    store = captured(_capture(config), run)
    run.rewind(run.latest_checkpoint())
    run.begin(steps=config.steps * (2 * len(config.depths) - 1), message="training dictionaries")
    trained = 0
    for at in range(len(config.depths)):
        wide = _table(config, store, at, 0, trained, run)
        trained += 1
        narrow = wide
        if at:
            narrow = _table(config, store, at, at, trained, run)
            trained += 1
        yield from _rows(config, at, narrow, wide)


def _capture(config: DescriptionConfig) -> CaptureConfig:
    """The store of this text at these levels; its name follows from all that decides what is in it."""
    asked: dict[str, Any] = {
        "subject": config.subject,
        "corpus": config.corpus,
        "layers": config.depths,
        "max_tokens": config.tokens,
        "document_chunks": config.document_chunks,
    }
    name = f"description {config.subject} {sha256(repr(asked).encode()).hexdigest()[:10]}"
    return CaptureConfig(name=slug(name), **asked)


def _level(config: DescriptionConfig, at: int, sized_as: int) -> LevelConfig:
    """A level of the width and activity of another: of itself (narrow), or of the lowest (wide)."""
    from probes.hierarchy.train_level import LevelConfig

    asked = {
        "depth": config.depths[at],
        "span": config.spans[at],
        "n_latents": config.widths[sized_as],
        "k": config.active[sized_as],
        "dead_after": 20_000,
        "optimiser": {"steps": config.steps, "batch": config.batch},
    }
    return validated(LevelConfig, asked, what="The level")


def _table(
    config: DescriptionConfig, store: ActivationStore, at: int, sized_as: int, trained: int, run: Run
) -> NDArray[np.float64]:
    """`document 8`: what `by_document` measures of the level, trained now where it was not finished before."""
    from probes.backends.stage_runs import trained_in
    from probes.hierarchy.measure_level import measured_level
    from probes.metrics.by_document import by_document

    level, name = _level(config, at, sized_as), f"level-{at}-sized-{sized_as}"
    stage = partial(_stage, store, level, name, config.seed * 1000 + at)
    state = trained_in(run, name, stage, trained * config.steps, "auto", said=name)
    if state is None:
        raise Stopped
    run.update(message=f"measuring {name}")
    measured = measured_level(store, f"level{at}", level, state)
    return by_document(store, measured, training_rows=config.steps * config.batch, max_rows=config.rows).table()


def _stage(store: ActivationStore, level: LevelConfig, name: str, seed: int) -> Stage:
    from probes.backends.backend import Stage
    from probes.hierarchy.train_level import level_objective, rows_for

    rows = rows_for(store, level, seed)
    return Stage(name, rows.n_rows, level_objective(rows, level, seed), rows.batch_at, level.optimiser)


def _rows(config: DescriptionConfig, at: int, narrow: NDArray[np.float64], wide: NDArray[np.float64]) -> Iterator[Row]:
    for figure in FIGURES:
        metric: Metric = METRICS.load(figure)
        beside = bootstrap([wide], OF_TABLE[figure])
        for kind, table, sized_as in (("compressed", narrow, at), ("uncompressed", wide, 0)):
            found = bootstrap([table], OF_TABLE[figure])
            yield of_interval(
                f"description.level-{at}.{kind}.{figure}",
                found,
                f"{metric.unit}; interval over documents",
                metric.better,
                baseline=beside.value if kind == "compressed" else None,
                note=f"{config.widths[sized_as]:,} latents, {config.active[sized_as]} on in a row; "
                f"depth {config.depths[at]:g}, span {config.spans[at]}",
            )


SUITE = Suite(
    DescriptionConfig,
    description_rows,
    presets={
        "tiny": {
            "tokens": 40_000, "widths": [512, 256, 128], "active": [16, 12, 8], "steps": 120, "batch": 512,
            "rows": 4096,
        },
    },
)  # fmt: skip
