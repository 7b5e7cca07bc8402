"""Whether a task and a constraint can be had together on a world as set; if not, why."""

from __future__ import annotations

from probes.representations.part import LatentConstraint, LatentTask
from probes.representations.spec import Spec


def incompatible(task: LatentTask, constraint: LatentConstraint | None, spec: Spec) -> str:
    """Empty where the pair works; else the first reason against it, with what to set."""
    for reason in (spec.lacks(task.reads), task.refuses(spec)):
        if reason:
            return reason
    if constraint is None:
        return ""
    wanted = constraint.given | constraint.encodes
    return spec.lacks(wanted) or constraint.refuses(spec) or constraint.beside(task, spec)
