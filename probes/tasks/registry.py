"""The tasks: what an objective can be asked to preserve."""

from __future__ import annotations

from probes.registry import Registry

TASKS = Registry(
    "task",
    {
        "reconstruct": (
            "probes.tasks.reconstruct:Reconstruct",
            "Rebuild each row from its codes, as a share of the variance.",
        ),
        "revive": (
            "probes.tasks.reconstruct:Revive",
            "Let latents that no longer fire explain what the others leave.",
        ),
        "predict_selection": (
            "probes.tasks.predict_selection:PredictSelection",
            "Predict the higher level's codes from the lower ones.",
        ),
    },
)
