"""The training recipes the workbench can run; the first is the one a training starts from."""

from __future__ import annotations

from probes.registry import Registry

BACKENDS = Registry(
    "training recipe",
    {
        "causal_minimality": (
            "probes.backends.causal_minimality:BACKEND",
            "Dictionaries at three levels, then gated selection maps between them.",
        ),
    },
)
