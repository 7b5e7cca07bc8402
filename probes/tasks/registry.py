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
        "reconstruct_nested": (
            "probes.tasks.reconstruct_nested:ReconstructNested",
            "Rebuild each row from every narrower width as well.",
        ),
        "reconstruct_through_gate": (
            "probes.tasks.reconstruct_through_gate:ReconstructThroughGate",
            "Rebuild each row from the gate alone, the decoder held fixed.",
        ),
        "predict_blocks": (
            "probes.tasks.predict_blocks:PredictBlocks",
            "Predict each higher block's codes from the block below, inside one dictionary.",
        ),
        "predict_selection": (
            "probes.tasks.predict_selection:PredictSelection",
            "Predict the higher level's codes from the lower ones.",
        ),
    },
)
