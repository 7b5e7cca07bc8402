"""Unlearning styles and things with levers, in UnlearnCanvas terms: one lever per target, on every picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from app.suites.rows import Row, of_interval
from app.suites.steered_captions import SCORING, TUNING, in_turn
from app.suites.steered_rows import verdict
from app.suites.steered_tasks import MAIN, Bed
from probes.worlds.emoji import STYLES, Pair
from steering.lever_families import Case, Shape, forms_of
from steering.picture_bench import PictureBench, Pixels
from steering.unlearning import Unlearnt, paired_gain

Kind = Literal["style", "concept"]
SAID = {  # of the measures of `steering.unlearning`
    "ua": "share of the target's pictures no longer named as it",
    "ira": "share of the others of its kind still named rightly",
    "cra": "share of all pictures whose other kind is still named rightly",
}


class Asked(NamedTuple):
    """The pictures of all targets: captions, which show the target, and a case per target."""

    kind: Kind
    pairs: tuple[Pair, ...]
    asked: tuple[bool, ...]
    cases: tuple[Case, ...]
    bench: PictureBench


def unlearning_rows(bed: Bed, kind: Kind, tuning: int, scoring: int, targets: int) -> Iterator[Row]:
    """All rows of one kind: forms and strengths chosen on development captions and seeds, scored on others."""
    name = f"unlearning.{'vendors' if kind == 'style' else 'concepts'}"
    bed.say(f"{name}: tuning")
    tune = asked_of(bed, kind, tuning, targets, scored=False)
    shapes = forms_of(bed.families, ("remove", "add"), bed.counts)
    chosen = {way: _best(bed, tune, way, shapes[way]) for way in MAIN}
    bed.say(f"{name}: scoring")
    stage = asked_of(bed, kind, scoring, targets, scored=True)
    found = {"unsteered": _read(bed, stage, stage.bench.plain)}
    found |= {way: _steered(bed, stage, way, *chosen[way]) for way in MAIN}
    for way, (shape, strength) in chosen.items():
        found[f"random_for_{way}"] = _steered(bed, stage, f"random_for_{way}", shape.randomly(), strength)
    for way, one in found.items():
        if way in chosen:
            shape, strength = chosen[way]
            note = f"form {shape.name}; form and strength chosen on development captions"
            yield Row(name=f"{name}.{way}.strength", value=strength, unit="times what is there", note=note)
        for measure, interval in one.scores().items():
            yield of_interval(f"{name}.{way}.{measure}", interval, f"{SAID[measure]}; over pictures", "up")
        yield Row(name=f"{name}.{way}.mean", value=one.mean(), n=len(one.asked), unit="mean of the three", better="up")
    for other in ("random_for_hierarchical", "flat", "difference_of_means"):
        for measure, interval in paired_gain(found["hierarchical"], found[other]).items():
            label = f"{name}.hierarchical_beyond_{other}.{measure}"
            note = verdict(interval, "hierarchical", other)
            yield of_interval(label, interval, f"difference of {measure.upper()}, paired by picture", "up", note=note)


def asked_of(bed: Bed, kind: Kind, count: int, targets: int, *, scored: bool) -> Asked:
    """The pictures of a stage. Vendors: `count` concepts drawn by the target and by each other vendor, of scored
    concepts where scored. Things: development concepts, drawn by every vendor, from other seeds where scored, and
    `count` other concepts."""
    concepts = bed.captions.scored if scored else bed.captions.development
    pairs: list[Pair] = []
    asked: list[bool] = []
    cases = []
    known = bed.families.flat
    some = range(len(STYLES)) if kind == "style" else bed.captions.development[:targets]
    for number, target in enumerate(some):
        if kind == "style":
            mine = [Pair(at, target) for at in in_turn(concepts, number * count, count)]
            rest = [style for style in range(len(STYLES)) if style != target]
            others = [Pair(at, rest[place % 2]) for place, at in enumerate(in_turn(concepts, number * count, count))]
        else:
            mine = [Pair(target, style) for style in range(len(STYLES))] * (2 if scored else 1)
            free = [at for at in concepts if at != target]
            others = [Pair(at, place % 3) for place, at in enumerate(in_turn(free, number * count, count))]
        on = known.where("style" if kind == "style" else "emoji", target)
        cases.append(Case(tuple(range(len(pairs), len(pairs) + len(mine) + len(others))), ~on, on))
        pairs += [*mine, *others]
        asked += [True] * len(mine) + [False] * len(others)
    seed = (SCORING if scored else TUNING) + 100_000
    return Asked(kind, tuple(pairs), tuple(asked), tuple(cases), bed.bench(pairs, seed))


def _best(bed: Bed, stage: Asked, way: str, shapes: Sequence[Shape]) -> tuple[Shape, float]:
    """The form and strength of the largest mean of the three; the first and the weakest among equals."""
    found = []
    for shape in shapes:
        bed.say(f"unlearning: tuning {way}, {shape.name}")
        found += [(_steered(bed, stage, way, shape, strength).mean(), shape, strength) for strength in bed.strengths]
    top = max(mean for mean, _, _ in found)
    return next((shape, strength) for mean, shape, strength in found if mean >= top - 1e-12)


def _steered(bed: Bed, stage: Asked, way: str, shape: Shape, strength: float) -> Unlearnt:
    return _read(bed, stage, stage.bench.draw(bed.families.arm(way, shape, stage.cases), strength))


def _read(bed: Bed, stage: Asked, pictures: Pixels) -> Unlearnt:
    return bed.oracle.unlearnt(pictures, stage.pairs, stage.asked, stage.kind)
