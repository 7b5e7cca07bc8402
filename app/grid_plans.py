"""What a grid would be before it is started: which pairs, how many cells, how long. Torch comes with the first call."""

from __future__ import annotations

from typing import Any

from app.grid_figures import plan_figure
from app.grids import earlier_cells
from probes.errors import WorkbenchError


def planned(config: Any) -> tuple[dict[str, Any], str]:
    """(figure, sentences): a tick for every pair that can be had, else the number of the reason among the sentences.

    A world that cannot be made leaves the figure empty and says why.
    """
    from probes.representations.plan import plan_of

    try:
        plan = plan_of(config)
    except WorkbenchError as error:
        return {}, str(error)
    reasons = list(dict.fromkeys(refusal.reason for refusal in plan.refused))
    marks = {(one.task, one.constraint): (str(reasons.index(one.reason) + 1), one.reason) for one in plan.refused}
    said = [_counted(len(plan.pairs), plan.cells)]
    said += [f"{at}: {reason}." for at, reason in enumerate(reasons, 1)]
    return plan_figure(config.tasks, config.constraints_first, marks, plan.told), "\n".join(said)


def cost_said(config: Any) -> str:
    """About how long the whole grid takes, and what that rests on. Raises `WorkbenchError` where it cannot be told."""
    from probes.representations.plan import measured_cost, plan_of

    plan = plan_of(config)
    if not plan.pairs:
        raise WorkbenchError(
            "no-pair", "There is nothing to train", "no pair can be had on this world", "Set what the reasons name."
        )
    earlier = [cell.seconds for cell in earlier_cells(config) if cell.pair in plan.pairs]
    if earlier:
        seconds = plan.cells * sum(earlier) / len(earlier)
        return cost_sentence(seconds, f"{len(earlier)} cells that earlier runs kept of this world and these networks")
    cost = measured_cost(config, plan)
    return cost_sentence(
        cost.seconds, f"a few training steps of {cost.measured} of the {len(plan.pairs)} pairs, and one scoring"
    )


def cost_sentence(seconds: float, rests_on: str) -> str:
    """A duration of whole minutes where it is long."""
    minutes = seconds / 60
    about = f"{minutes:.0f} minutes" if minutes >= 2 else f"{max(2, round(seconds))} seconds"
    if minutes >= 120:
        about = f"{minutes / 60:.1f} hours"
    return f"About {about} on this machine as busy as it is now; rests on {rests_on}."


def _counted(pairs: int, cells: int) -> str:
    if not pairs:
        return "No pair can be had on this world."
    many = "1 pair" if pairs == 1 else f"{pairs} pairs"
    return f"{many} can be had; {cells:,} cells would be trained."
