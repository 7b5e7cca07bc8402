"""Emoji rows: does the bundled image pipeline draw what it is asked for, also where it never saw the pair?

An independent judge, trained on real pictures, names concept, Unicode group and vendor style. Baselines are
the same judge on the real pictures of the same pairs. How near samples come to training pictures is held
against how near real held-out pictures come to them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from app.suites.rows import Row, of_interval
from app.suites.suite import Suite
from probes.artefacts import BUNDLED
from probes.configs import Frozen
from probes.errors import Stopped, WorkbenchError
from probes.files import write_json
from probes.metrics.intervals import bootstrap
from probes.runs import Run
from probes.worlds.emoji import STYLES, EmojiCorpus, Pair, read_emoji

if TYPE_CHECKING:
    from torch import Tensor

    from probes.metrics.emoji_judge import EmojiJudge, Verdict

PIPELINE = BUNDLED / "pipelines" / "emoji"
QUESTIONS = ("concept", "group", "style")
AIMS = {"concept": 0.7, "group": 0.85, "style": 0.9}
BATCH = 30
CHOICE_SEED = 0
Floats = NDArray[np.float64]
Pipeline = Callable[..., Any]  # a diffusers pipeline


class EmojiConfig(Frozen):
    """How many pictures of the bundled emoji pipeline are judged, and how they are sampled."""

    pipeline: str = Field(default="", description="Folder of another pipeline to measure; the bundled one, when empty.")
    concepts: int = Field(default=200, description="Concepts trained in every style that are sampled in each.", ge=1)
    seeds: int = Field(default=3, description="Samples of each held-out pair.", ge=1)
    steps: int = Field(default=20, description="Denoising steps.", ge=1, le=1000)
    guidance: float = Field(default=2.0, description="Classifier-free guidance; 1 is none.", ge=1, le=20)


class Sampled(NamedTuple):
    """Pictures of pairs in [0, 1], `pair channel row column`, their first seed, and seconds for each."""

    pairs: tuple[Pair, ...]
    pictures: Tensor
    seed: int
    seconds: float


def emoji_rows(config: EmojiConfig, run: Run) -> Iterator[Row]:
    """Rows of the pipeline; every sample's verdict and nearest picture are left in `samples.json`.

    Raises `Stopped` when the run is asked to stop.
    """
    from probes.metrics.emoji_judge import open_judge

    corpus = read_emoji()
    judge, pipeline = open_judge(corpus), open_pipeline(config.pipeline)
    trained, held_out = trained_pairs(corpus, config.concepts), tuple(sorted(corpus.held_out))
    run.begin(steps=len(trained) + config.seeds * len(held_out), message="sampling")
    done = 0

    def report(made: int) -> None:
        nonlocal done
        if run.stop_requested():
            raise Stopped
        done += made
        run.progress(done)

    shown = [sample(pipeline, corpus, trained, 0, config, report)]
    unseen = [sample(pipeline, corpus, held_out, seed, config, report) for seed in range(config.seeds)]
    run.update(message="judging")
    yield from _judged(corpus, judge, "held_out", unseen)
    yield from _judged(corpus, judge, "trained", shown)
    yield from _judge_itself(corpus, judge, held_out)
    near = Nearness(corpus, judge)
    yield from near.rows("held_out", unseen)
    yield from near.rows("trained", shown)
    write_json(run.path / "samples.json", [near.described(one) for one in (*shown, *unseen)])
    count = sum(len(one.pairs) for one in (*shown, *unseen))
    seconds = sum(one.seconds * len(one.pairs) for one in (*shown, *unseen)) / count
    unit = f"s per picture, {config.steps} steps, batches of {BATCH}"
    yield Row(name="emoji.seconds", value=seconds, n=count, unit=unit, better="down")


def open_pipeline(folder: str = "") -> Pipeline:
    """The pipeline in a folder, or the bundled one; nothing is fetched. Raises `WorkbenchError` for none."""
    from pathlib import Path

    from probes.subjects.open_diffusion import keep_quiet

    keep_quiet()
    from diffusers import StableDiffusionPipeline

    place = Path(folder) if folder else PIPELINE
    if not (place / "model_index.json").is_file():
        raise WorkbenchError(
            "no-pipeline", f"There is no pipeline in {place.name}", "it has no model_index.json",
            "Name a folder written by `save_pretrained`.",
        )  # fmt: skip
    pipeline = StableDiffusionPipeline.from_pretrained(place, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def trained_pairs(corpus: EmojiCorpus, concepts: int) -> tuple[Pair, ...]:
    """Every style of a seeded draw of concepts of which no style was held out."""
    parted = {pair.emoji for pair in corpus.held_out}
    whole = [emoji for emoji in corpus.concepts if emoji not in parted]
    chosen = set(random.Random(CHOICE_SEED).sample(whole, min(concepts, len(whole))))
    return tuple(pair for pair in corpus.training_pairs if pair.emoji in chosen)


def sample(
    pipeline: Pipeline,
    corpus: EmojiCorpus,
    pairs: Sequence[Pair],
    seed: int,
    config: EmojiConfig,
    report: Callable[[int], None] = lambda made: None,
) -> Sampled:
    """One picture of each pair; picture number i starts from noise of its own seed."""
    import torch

    made, start = [], time.monotonic()
    for first in range(0, len(pairs), BATCH):
        part = pairs[first : first + BATCH]
        seeds = [1_000_000 * seed + first + at for at in range(len(part))]
        made.append(
            pipeline(
                [corpus.caption(pair) for pair in part],
                num_inference_steps=config.steps,
                guidance_scale=config.guidance,
                generator=[torch.Generator().manual_seed(one) for one in seeds],
                output_type="pt",
            ).images
        )
        report(len(part))
    seconds = (time.monotonic() - start) / len(pairs)
    return Sampled(tuple(pairs), torch.cat(made).float().clamp(0, 1), seed, seconds)


def right(corpus: EmojiCorpus, verdict: Verdict, pairs: Sequence[Pair]) -> dict[str, Floats]:
    """Per question, 1 where the judge named the truth of a pair, else 0, `pair`; `both` is concept and style."""
    from probes.metrics.emoji_judge import truths

    asked = zip(QUESTIONS, truths(corpus, pairs), verdict[: len(QUESTIONS)], strict=True)
    found = {question: (said == true).double().numpy() for question, true, said in asked}
    return {**found, "both": found["concept"] * found["style"]}


def _real(corpus: EmojiCorpus, pairs: Sequence[Pair]) -> Tensor:
    import torch

    return torch.from_numpy(corpus.pictures(pairs))


def _judged(corpus: EmojiCorpus, judge: EmojiJudge, name: str, samples: Sequence[Sampled]) -> Iterator[Row]:
    from probes.metrics.emoji_judge import judged

    pairs = samples[0].pairs
    real = right(corpus, judged(judge, corpus, _real(corpus, pairs)), pairs)
    found = [right(corpus, judged(judge, corpus, one.pictures), pairs) for one in samples]
    for question in real:
        interval = bootstrap([one[question] for one in found])
        unit = "share named rightly by the judge; baseline: of the real pictures"
        aim, baseline = AIMS.get(question) if name == "trained" else None, float(real[question].mean())
        yield of_interval(f"emoji.{name}.{question}", interval, unit, "up", baseline=baseline, aim=aim)


def _judge_itself(corpus: EmojiCorpus, judge: EmojiJudge, pairs: Sequence[Pair]) -> Iterator[Row]:
    """The judge on real pictures it never saw; chance beside it."""
    from probes.metrics.emoji_judge import judged

    groups = {corpus.entries[at].group for at in corpus.concepts}
    chance = {"concept": len(corpus.concepts), "group": len(groups), "style": len(STYLES)}
    chance["both"] = chance["concept"] * chance["style"]
    for question, items in right(corpus, judged(judge, corpus, _real(corpus, pairs)), pairs).items():
        unit = "share of real pictures of held-out pairs named rightly; baseline: chance among the classes"
        yield of_interval(f"emoji.judge.{question}", bootstrap([items]), unit, "up", baseline=1 / chance[question])


class Nearness:
    """How near pictures come to the training pictures: in pixels, and in the judge's raw features."""

    def __init__(self, corpus: EmojiCorpus, judge: EmojiJudge) -> None:
        self._corpus, self._judge = corpus, judge
        self._known = self._spaces(_real(corpus, corpus.training_pairs))
        real = self._spaces(_real(corpus, sorted(corpus.held_out)))
        self._unseen = {space: self._nearest(space, real[space])[0] for space in real}

    def _spaces(self, pictures: Tensor) -> dict[str, Tensor]:
        from probes.metrics.emoji_judge import judged

        return {"pixels": pictures.flatten(1), "features": judged(self._judge, self._corpus, pictures).features}

    def _nearest(self, space: str, points: Tensor) -> tuple[Floats, NDArray[np.int64]]:
        """Root mean square difference to the nearest training picture, and which it is, each `picture`."""
        import torch

        known = self._known[space]
        far = torch.cdist(points.double(), known.double()) / known.shape[1] ** 0.5
        least = far.min(dim=1)
        return least.values.numpy(), least.indices.numpy()

    def rows(self, name: str, samples: Sequence[Sampled]) -> Iterator[Row]:
        """The median distance beside that of real held-out pictures, the share that comes nearer to a training
        picture than 95 % of those do, and the share whose nearest one shows the asked concept."""
        for space, unseen in self._unseen.items():
            found = [self._nearest(space, self._spaces(one.pictures)[space]) for one in samples]
            per_seed = [far for far, _ in found]
            near = f"root mean square difference to the nearest training picture, {space}"
            median = bootstrap(per_seed, lambda items: float(np.median(items)))
            yield of_interval(
                f"emoji.{name}.nearest.{space}",
                median,
                f"{near}; median; baseline: real held-out pictures",
                baseline=float(np.median(unseen)),
            )
            edge = float(np.quantile(unseen, 0.05))
            close = bootstrap([(items < edge).astype(np.float64) for items in per_seed])
            unit = f"share nearer than 95 % of real held-out pictures, {space}"
            yield of_interval(f"emoji.{name}.near_copies.{space}", close, unit, baseline=0.05)
            shown = self._corpus.training_pairs
            same = [
                [float(shown[at].emoji == pair.emoji) for at, pair in zip(which, one.pairs, strict=True)]
                for (_, which), one in zip(found, samples, strict=True)
            ]
            unit = f"share whose nearest training picture shows the asked concept, {space}"
            yield of_interval(f"emoji.{name}.nearest_is_asked.{space}", bootstrap(same), unit)

    def described(self, one: Sampled) -> dict[str, object]:
        """What the judge said of each sample, and the nearest training picture in both spaces."""
        from probes.metrics.emoji_judge import judged

        corpus = self._corpus
        verdict = judged(self._judge, corpus, one.pictures)
        named = [corpus.entries[int(at)].label for at in verdict.concept]
        spaces = {space: self._nearest(space, points) for space, points in self._spaces(one.pictures).items()}
        return {
            "seed": one.seed,
            "samples": [
                {
                    "prompt": corpus.caption(pair),
                    "named": named[at],
                    **{
                        space: {"picture": corpus.caption(corpus.training_pairs[which[at]]), "distance": float(far[at])}
                        for space, (far, which) in spaces.items()
                    },
                }
                for at, pair in enumerate(one.pairs)
            ],
        }


SUITE = Suite(
    EmojiConfig,
    emoji_rows,
    presets={"tiny": {"concepts": 20, "seeds": 1, "steps": 10}},
    leaves=("samples.json",),
)
