"""The metrics: every number the workbench prints of a dictionary, each with its convention."""

from __future__ import annotations

from probes.registry import Registry

METRICS = Registry(
    "metric",
    {
        "explained_variance": (
            "probes.metrics.reconstruction:EXPLAINED_VARIANCE",
            "Share of the summed variance that the reconstruction explains.",
        ),
        "explained_variance_per_dimension": (
            "probes.metrics.reconstruction:EXPLAINED_PER_DIMENSION",
            "The same share of each dimension, averaged over dimensions.",
        ),
        "explained_variance_uncentred": (
            "probes.metrics.reconstruction:EXPLAINED_UNCENTRED",
            "The share of the summed squares, the mean not taken out.",
        ),
        "l0": ("probes.metrics.reconstruction:L0", "Active latents per row, encoding as at inference."),
        "dead": ("probes.metrics.reconstruction:DEAD", "Share of latents that never fired on these rows."),
        "rare": ("probes.metrics.reconstruction:RARE", "Share of latents that fire in fewer than one row in 10,000."),
        "cross_entropy_increase": (
            "probes.metrics.loss_recovered:INCREASE",
            "What the reconstruction costs the subject per token.",
        ),
        "recovered_mean_ablation": (
            "probes.metrics.loss_recovered:RECOVERED_MEAN",
            "Share of what ablating to the mean costs that the reconstruction gives back.",
        ),
        "recovered_zero_ablation": (
            "probes.metrics.loss_recovered:RECOVERED_ZERO",
            "Share of what ablating to zero costs that the reconstruction gives back.",
        ),
    },
)
