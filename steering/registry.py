"""The operations: what a lever can do to the codes of its latents."""

from __future__ import annotations

from probes.registry import Registry

OPERATIONS = Registry(
    "operation",
    {
        "add": ("probes.operations:add", "Add one typical activation of the latent, whatever is there."),
        "scale": (
            "probes.operations:scale",
            "Multiply what is there: strength −1 removes the latent (ablate).",
        ),
        "set": ("probes.operations:set_to", "Move the latent to a level, in typical activations (clamp)."),
        "cap": ("probes.operations:cap", "Hold the latent down to a level; lower activations stay."),
        "project": ("probes.operations:project", "Take the latent's direction out of the activation."),
        "swap": ("probes.operations:swap", "Move the latent's activation to another latent."),
        "patch": ("probes.operations:patch", "Give the latent what it has on a donor text, place by place."),
    },
)
READS_PROJECTIONS = frozenset({"project"})
