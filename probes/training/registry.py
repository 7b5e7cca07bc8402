"""How a learning rate can go over a training. Each row is `(steps, warm_up, decay) -> factor by step`."""

from __future__ import annotations

from probes.registry import Registry

RATES = Registry(
    "learning-rate schedule",
    {
        "linear": (
            "probes.training.schedules:warm_up_hold_decay",
            "Rise, hold, then fall in a straight line to nothing.",
        ),
        "cosine": (
            "probes.training.schedules:warm_up_hold_cosine",
            "Rise, hold, then fall along a cosine to a tenth.",
        ),
        "constant": (
            "probes.training.schedules:warm_up_hold",
            "Rise, then hold to the end.",
        ),
    },
)
