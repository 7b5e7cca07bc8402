"""Steering towards something: every arm is tuned on development captions and scored on others, with its controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import NamedTuple

from app.suites.rows import Row
from app.suites.steered_captions import SCORING, TUNING, Captions, in_turn, inputs_of
from app.suites.steered_rows import against_rows, arm_rows, dose_rows, heat_rows
from probes.subjects.image_diffusion import ImageDiffusion
from probes.worlds.emoji import STYLES, EmojiCorpus, Pair
from steering.doses import Doses, best_form
from steering.emoji_oracles import EmojiOracle
from steering.lever_families import Case, Families, Shape, forms_of
from steering.picture_bench import Oracle, PictureBench

GROUPS = ("food-drink", "animals-nature")
OTHERS = ("one_level", "along_edges", "single_hierarchical", "single_flat")
MAIN = ("hierarchical", "flat", "difference_of_means")


class Bed(NamedTuple):
    """What all tasks share. `say` says what comes next, and raises `Stopped` where nothing should."""

    subject: ImageDiffusion
    corpus: EmojiCorpus
    oracle: EmojiOracle
    families: Families
    captions: Captions
    steps: int
    guidance: float
    strengths: tuple[float, ...]
    counts: tuple[int, ...]
    say: Callable[[str], None]

    def bench(self, pairs: Sequence[Pair], seed: int) -> PictureBench:
        """The unsteered pictures of pairs."""
        return PictureBench.set_up(self.subject, inputs_of(self.corpus, pairs, seed, self.steps, self.guidance))


class Drawn(NamedTuple):
    """The pictures of one case: captions, what is steered towards, and from which captions to which."""

    pairs: list[Pair]
    target: int
    on: tuple[str, int | str]
    off: tuple[str, int | str] | None  # all others, where it is None
    asked: list[Pair]


class Towards(NamedTuple):
    """A task: what the judge is asked, which of its other answers should stay, and the cases of some concepts."""

    name: str
    question: str
    keep: tuple[str, ...]
    draw: Callable[[Bed, Sequence[int], int], list[Drawn]]
    said: str


class Stage(NamedTuple):
    """One stage of a task: its bench, its oracle, its cases, and the captions that ask for what is steered to."""

    bench: PictureBench
    oracle: Oracle
    cases: tuple[Case, ...]
    asked: tuple[Pair, ...]


class Tuned(NamedTuple):
    """An arm as tuned: its form and strength, and its doses on development captions."""

    shape: Shape
    strength: float
    doses: Doses

    def said(self) -> str:
        """The choice in words; where nothing worked, the weakest strength was taken."""
        best = float(self.doses.selectivity().max())
        return (
            f"{self.shape.name}, selectivity {best:.2f} there" if best > 0 else f"{self.shape.name}, none worked there"
        )


def vendors(bed: Bed, concepts: Sequence[int], count: int) -> list[Drawn]:
    """Every vendor to every other, `count` captions each."""
    found = []
    for number, (source, target) in enumerate(permutations(range(len(STYLES)), 2)):
        some = in_turn(concepts, number * count, count)
        pairs, asked = ([Pair(at, style) for at in some] for style in (source, target))
        found.append(Drawn(pairs, target, ("style", target), ("style", source), asked))
    return found


def groups(bed: Bed, concepts: Sequence[int], count: int) -> list[Drawn]:
    """From all other Unicode groups to each of two, `count` captions each, all vendors in turn."""
    found = []
    for number, group in enumerate(GROUPS):
        outside = [at for at in concepts if bed.corpus.entries[at].group != group]
        some = in_turn(outside, number * count, count)
        pairs = [Pair(at, place % len(STYLES)) for place, at in enumerate(some)]
        inside = next(at for at in bed.corpus.concepts if bed.corpus.entries[at].group == group)
        found.append(Drawn(pairs, bed.oracle.group_of(inside), ("group", group), None, []))
    return found


TASKS = (
    Towards("vendors", "style", ("concept",), vendors, "pictures the judge gives to the vendor steered to"),
    Towards("groups", "group", ("style",), groups, "pictures the judge puts into the group steered to"),
)


def stage_of(bed: Bed, task: Towards, concepts: Sequence[int], count: int, seed: int) -> Stage:
    """Draw the unsteered pictures of a stage."""
    drawn = task.draw(bed, concepts, count)
    cases, first, known = [], 0, bed.families.flat
    for one in drawn:
        on = known.where(*one.on)
        off = ~on if one.off is None else known.where(*one.off)
        cases.append(Case(tuple(range(first, first + len(one.pairs))), on, off))
        first += len(one.pairs)
    pairs = [pair for one in drawn for pair in one.pairs]
    targets = [one.target for one in drawn for _ in one.pairs]
    oracle = bed.oracle.towards(task.question, targets, task.keep)
    asked = tuple(pair for one in drawn for pair in one.asked)
    return Stage(bed.bench(pairs, seed), oracle, tuple(cases), asked)


def task_rows(bed: Bed, task: Towards, tuning: int, scoring: int) -> Iterator[Row]:
    """All rows of a task: tuned on `tuning` development captions per case, scored on `scoring` others."""
    bed.say(f"{task.name}: tuning")
    tune = stage_of(bed, task, bed.captions.development, tuning, TUNING)
    tuned = _tuned(bed, tune)
    levels = {one.level.name: tuned[f"level_{one.level.name}"].doses for one in bed.families.levels}
    yield from heat_rows(task.name, levels)
    stage = stage_of(bed, task, bed.captions.scored, scoring, SCORING)
    scored = _scored(bed, stage, tuned)
    at = {name: tuned[name].strength if name in tuned else doses.strengths[0] for name, doses in scored.items()}
    for name, doses in scored.items():
        form = tuned[name].said() if name in tuned else ""
        yield from arm_rows(f"{task.name}.{name}", doses, at[name], form, task.said)
    dearest = max(float(scored[name].loss().max()) for name in MAIN)
    for name in MAIN:
        yield from dose_rows(f"{task.name}.{name}", scored[name], dearest)
    yield from against_rows(task.name, scored, at)


def _tuned(bed: Bed, stage: Stage) -> dict[str, Tuned]:
    """Every arm's form and strength, by selectivity on development captions."""
    families = bed.families
    found = {name: _best(bed, stage, name, shapes) for name, shapes in _main_forms(bed).items()}
    form, count = found["hierarchical"].shape.form, found["hierarchical"].shape.size
    for at, one in enumerate(families.levels):
        shape = families.of_levels(form, count, [at])
        found[f"level_{one.level.name}"] = _best(bed, stage, f"level_{one.level.name}", [shape])
    found["one_level"] = max(
        (found[f"level_{one.level.name}"] for one in families.levels), key=lambda one: one.doses.selectivity().max()
    )
    found["along_edges"] = _best(bed, stage, "along_edges", [families.along_edges(count)])
    found["single_hierarchical"] = _best(bed, stage, "single_hierarchical", [families.single(True)])
    found["single_flat"] = _best(bed, stage, "single_flat", [families.single(False)])
    return found


def _main_forms(bed: Bed) -> dict[str, list[Shape]]:
    return forms_of(bed.families, ("add", "swap"), bed.counts)


def _best(bed: Bed, stage: Stage, name: str, shapes: Sequence[Shape]) -> Tuned:
    doses = []
    for shape in shapes:
        bed.say(f"tuning {name}, {shape.name}")
        doses.append(_doses(bed, stage, name, shape, bed.strengths))
    at, strength = best_form(doses)
    return Tuned(shapes[at], strength, doses[at])


def _doses(bed: Bed, stage: Stage, name: str, shape: Shape, strengths: Sequence[float]) -> Doses:
    return stage.bench.doses(bed.families.arm(name, shape, stage.cases), strengths, stage.oracle)


def _scored(bed: Bed, stage: Stage, tuned: dict[str, Tuned]) -> dict[str, Doses]:
    """The three ways at every strength and all else at its own, on the scored captions."""
    families, best = bed.families, tuned["hierarchical"]
    form, count = best.shape.form, best.shape.size
    alone = next(at for at, one in enumerate(families.levels) if tuned["one_level"] is tuned[f"level_{one.level.name}"])
    found = {name: _doses(bed, stage, name, tuned[name].shape, (0.0, *bed.strengths)) for name in MAIN}
    once = {name: (tuned[name].shape, tuned[name].strength) for name in OTHERS}
    once |= {f"random_for_{name}": (tuned[name].shape.randomly(), tuned[name].strength) for name in MAIN}
    once |= {
        "wrong_level": (families.wrong_level(form, count, alone), tuned["one_level"].strength),
        "wrong_noise": (families.wrong_noise(form, count, alone), tuned["one_level"].strength),
    }
    for name, (shape, strength) in once.items():
        bed.say(f"scoring {name}")
        found[name] = _doses(bed, stage, name, shape, (strength,))
    if stage.asked:
        found["asking"] = _asking(bed, stage)
    return found


def _asking(bed: Bed, stage: Stage) -> Doses:
    """The same pictures where the prompt asks for what is steered to: what steering can hope for."""
    inputs = stage.bench.inputs
    prompts = tuple(bed.corpus.caption(pair) for pair in stage.asked)
    images = bed.subject.generate(inputs.model_copy(update={"prompts": prompts})).images.numpy()
    effect, kept, moved, off = stage.oracle(images, stage.bench.plain)
    return Doses(
        "asking", (1.0,), effect[None], {name: table[None] for name, table in kept.items()}, moved[None], off[None]
    )
