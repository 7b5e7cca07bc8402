"""The rows of a steering task: each arm at its strength, against the others, and what more of it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from app.suites.rows import Row, of_interval
from probes.metrics.intervals import Interval, bootstrap
from steering.doses import Doses, beyond, front_area, points

COMPARED = {
    "hierarchical": ("random_for_hierarchical", "flat", "difference_of_means", "along_edges", "one_level"),
    "flat": ("random_for_flat",),
    "difference_of_means": ("random_for_difference_of_means",),
    "one_level": ("wrong_level", "wrong_noise"),
    "single_hierarchical": ("single_flat",),
}


def arm_rows(name: str, doses: Doses, strength: float, form: str, said: str) -> Iterator[Row]:
    """An arm at its strength: effect, what stayed, and what it cost."""
    at = doses.at(strength)
    if form:
        chosen = f"form and strength chosen on development captions: {form}"
        yield Row(name=f"{name}.strength", value=strength, unit="times the difference of means", note=chosen)
    yield of_interval(f"{name}.effect", bootstrap([doses.effect[at]]), f"share of {said}; over captions", "up")
    for kept, table in doses.kept.items():
        unit = f"share whose {kept} is judged as without steering; over captions"
        yield of_interval(f"{name}.{kept}_kept", bootstrap([table[at]]), unit, "up")
    unit = "effect minus what was lost, per caption; over captions"
    yield of_interval(f"{name}.selectivity", bootstrap([selectivity(doses, at)]), unit, "up")
    unit = "root mean square change of pixels, of a range of 1"
    yield of_interval(f"{name}.collateral", bootstrap([doses.collateral[at]]), unit, "down")
    unit = "root mean square distance to the nearest real picture, of a range of 1"
    yield of_interval(f"{name}.off_manifold", bootstrap([doses.off_manifold[at]]), unit, "down")


def dose_rows(name: str, doses: Doses, dearest: float) -> Iterator[Row]:
    """Effect and loss at every strength, whether more does more, and the front of effect against loss."""
    for strength, found, lost in zip(doses.strengths, doses.response(), doses.loss(), strict=True):
        note = f"loss {lost:.2f}, change of pixels {float(doses.collateral[doses.at(strength)].mean()):.3f}"
        yield of_interval(f"{name}.effect_at_{strength:g}", found, "effect at this strength; over captions", note=note)
    yield Row(name=f"{name}.monotone", value=doses.monotone(), unit="Spearman of strength and effect", better="up")
    for price, most in (("loss", dearest), ("collateral", float(doses.collateral.mean(axis=1).max()))):
        area = front_area(points([doses], price), most) if most > 0 else 0.0
        unit = f"mean best effect up to a {price} of {most:.2f}"
        yield Row(name=f"{name}.front_area.{price}", value=area, n=doses.effect.shape[1], unit=unit, better="up")


def heat_rows(name: str, levels: Mapping[str, Doses]) -> Iterator[Row]:
    """Noise by strength: each level's own latents at its noise alone, on development captions."""
    for level, doses in levels.items():
        for strength, found, left in zip(doses.strengths, doses.response(), doses.selectivity(), strict=True):
            unit = "effect of one level at its noise alone, on development captions"
            note = f"selectivity {left:.2f}"
            yield of_interval(f"{name}.heat.{level}.at_{strength:g}", found, unit, note=note)


def against_rows(task: str, scored: Mapping[str, Doses], at: Mapping[str, float]) -> Iterator[Row]:
    """Arms beside what they are compared with, paired by caption: in effect, and in selectivity."""
    for name, others in COMPARED.items():
        for other in others:
            mine, theirs = scored[name], scored[other]
            found = beyond(mine, theirs, at[name], at[other])
            unit = "difference of effects, paired by caption"
            label = f"{task}.{name}_beyond_{other}"
            yield of_interval(f"{label}.effect", found, unit, "up", note=verdict(found, name, other))
            rows = selectivity(mine, mine.at(at[name])), selectivity(theirs, theirs.at(at[other]))
            found = bootstrap([rows[0] - rows[1]])
            unit = "difference of selectivities, paired by caption"
            yield of_interval(f"{label}.selectivity", found, unit, "up", note=verdict(found, name, other))


def selectivity(doses: Doses, at: int) -> np.ndarray:
    """Per caption at one strength: 1 for the effect, less 1 where anything that should have stayed did not."""
    kept = [table[at] for table in doses.kept.values()]
    return np.asarray(doses.effect[at] - (1 - np.min(kept, axis=0)) if kept else doses.effect[at])


def verdict(found: Interval, name: str, other: str) -> str:
    """What an interval of a difference says, in words."""
    names = [one.replace("_", " ") for one in (name, other)]
    if found.low > 0:
        return f"{names[0]} does better than {names[1]}"
    if found.high < 0:
        return f"{names[0]} does worse than {names[1]}"
    return f"no difference shown between {names[0]} and {names[1]}"
