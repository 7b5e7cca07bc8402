"""The ways of steering that are compared, each as forms to choose among: hierarchical, flat, difference of means.

A form says which lever a contrast between captions gives; a case is some pictures that are steered alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from probes.hierarchy.selection_map import SelectionMap
from steering.arms import Arm
from steering.concept_levers import (
    Form,
    Latents,
    Part,
    added,
    as_long,
    at_random,
    chosen,
    direction_part,
    parts_of,
    rows_arm,
)
from steering.contrasts import PictureMeans, Truths, along_edges

CONTROL_SEED = 7


class Case(NamedTuple):
    """Pictures (their numbers in a bench) that are steered from captions `off` to captions `on`, both `picture` of
    the captured ones."""

    rows: tuple[int, ...]
    on: Truths
    off: Truths


Parts = Callable[[Case], list[Part]]


class Shape(NamedTuple):
    """One form of a family: the operation, how many latents (of each level; 0 for none), what it does to a case, and
    a `control` that does as much of nothing in particular: random latents, or a random direction."""

    name: str
    form: Form
    size: int
    parts: Parts
    control: Parts | None = None

    def randomly(self) -> Shape:
        """The control as a form of its own. Raises `ValueError` for a form without one."""
        if self.control is None:
            raise ValueError(f"{self.name} has no random control")
        return self._replace(parts=self.control)


@dataclass(frozen=True)
class Families:
    """Levels lowest first, the flat dictionary, and the maps between the levels."""

    levels: tuple[PictureMeans, ...]
    flat: PictureMeans
    maps: tuple[SelectionMap, ...]

    def arm(self, name: str, shape: Shape, cases: Sequence[Case]) -> Arm:
        """A form over all cases."""
        point = self.flat.level.point
        return rows_arm(name, point, [(case.rows, shape.parts(case)) for case in cases])

    def latents(self, means: PictureMeans, case: Case, form: Form, count: int) -> Latents:
        """A level's latents for a case."""
        return chosen(means.level, means.contrast(case.on, case.off), form, count)

    def hierarchical(self, form: Form, count: int) -> Shape:
        """The latents of every level, each at its own noise."""
        return self.of_levels(form, count, range(len(self.levels)))

    def of_levels(self, form: Form, count: int, which: Sequence[int]) -> Shape:
        """The latents of some levels only, each at its own noise."""
        return self._of([self.levels[at] for at in which], form, count)

    def flat_set(self, form: Form, count: int) -> Shape:
        """As many latents of the flat dictionary, at all noise."""
        return self._of([self.flat], form, count)

    def _of(self, where: Sequence[PictureMeans], form: Form, count: int) -> Shape:
        def parts(case: Case) -> list[Part]:
            return [part for one in where for part in parts_of(one.level, self.latents(one, case, form, count))]

        def control(case: Case) -> list[Part]:
            found = []
            for at, one in enumerate(where):
                drawn = at_random(one.level, self.latents(one, case, form, count), _seed(case, at))
                found += parts_of(one.level, drawn)
            return found

        return Shape(f"{form}-{count}", form, count, parts, control)

    def means(self, form: Form, by_level: bool) -> Shape:
        """The difference of means: of the whole trajectory, or each level's own at its noise."""
        where = self.levels if by_level else (self.flat,)

        def parts(case: Case) -> list[Part]:
            contrasts = [(one, one.contrast(case.on, case.off)) for one in where]
            return [direction_part(found, form, one.level.where.noise) for one, found in contrasts]

        def control(case: Case) -> list[Part]:
            contrasts = [(one, one.contrast(case.on, case.off)) for one in where]
            return [
                direction_part(found.turned(_seed(case, at)), form, one.level.where.noise)
                for at, (one, found) in enumerate(contrasts)
            ]

        return Shape(f"{form}-{'each-band' if by_level else 'whole'}", form, 0, parts, control)

    def single(self, hierarchical: bool) -> Shape:
        """The one latent that changes most: of all levels, at its level's noise; or of the flat dictionary."""

        def parts(case: Case) -> list[Part]:
            where = self.levels if hierarchical else (self.flat,)
            contrasts = [(one, one.contrast(case.on, case.off)) for one in where]
            best, contrast = max(contrasts, key=lambda found: float(abs(found[1].codes).max()))
            return parts_of(best.level, chosen(best.level, contrast, "add", 1))

        return Shape("add-1", "add", 1, parts)

    def along_edges(self, count: int) -> Shape:
        """The highest level's latents by the contrast; below, those that edges lead to, adding as much at each level
        as its own latents by the contrast would: only which latents differs."""

        def parts(case: Case) -> list[Part]:
            top = self.levels[-1]
            above = self.latents(top, case, "add", count).adds
            found = parts_of(top.level, Latents(above, {}))
            for low, edges in zip(self.levels[-2::-1], self.maps[::-1], strict=True):
                below = along_edges(edges, above, low.level.space.table.typical, count)
                if not below:
                    break
                size = added(low.level, self.latents(low, case, "add", count).adds)
                above = as_long(low.level, below, size)
                found += parts_of(low.level, Latents(above, {}))
            return found

        return Shape(f"edges-{count}", "add", count, parts)

    def wrong_level(self, form: Form, count: int, at: int) -> Shape:
        """At the noise of level `at`, the latents of the next one (of the lowest, for the highest), as large."""

        def parts(case: Case) -> list[Part]:
            here, other = self.levels[at], self.levels[(at + 1) % len(self.levels)]
            own, wrong = (self.latents(one, case, form, count) for one in (here, other))
            if own.adds and wrong.adds:
                wrong = Latents(as_long(other.level, wrong.adds, added(here.level, own.adds)), wrong.takes)
            return parts_of(other.level, wrong, here.level.where.noise)

        return Shape(f"{form}-{count}", form, count, parts)

    def wrong_noise(self, form: Form, count: int, at: int) -> Shape:
        """The latents of level `at` at the noise of the next one."""

        def parts(case: Case) -> list[Part]:
            one = self.levels[at]
            other = self.levels[(at + 1) % len(self.levels)].level.where.noise
            return parts_of(one.level, self.latents(one, case, form, count), other)

        return Shape(f"{form}-{count}", form, count, parts)


def forms_of(families: Families, forms: Sequence[Form], counts: Sequence[int]) -> dict[str, list[Shape]]:
    """The forms each of the three ways may choose among: equally many for all."""
    shapes: dict[str, list[Shape]] = {
        "hierarchical": [families.hierarchical(form, count) for form in forms for count in counts],
        "flat": [families.flat_set(form, count) for form in forms for count in counts],
    }
    moves: tuple[Form, ...] = tuple("move" if form == "swap" else form for form in forms)
    shapes["difference_of_means"] = [families.means(form, by) for form in moves for by in (False, True)]
    return shapes


def _seed(case: Case, at: int) -> int:
    """Each case, and each level of it, draws its own."""
    return CONTROL_SEED + 31 * at + 1009 * case.rows[0]
