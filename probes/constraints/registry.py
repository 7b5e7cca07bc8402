"""The constraints: what structure an objective can impose."""

from __future__ import annotations

from probes.registry import Registry

CONSTRAINTS = Registry(
    "constraint",
    {
        "code_sparsity": (
            "probes.constraints.code_sparsity:CodeSparsity",
            "At most k active latents per row, by the encoder's own selection.",
        ),
        "edge_count": (
            "probes.constraints.edge_count:EdgeCount",
            "Few open gates, and so few edges, per target.",
        ),
    },
)
