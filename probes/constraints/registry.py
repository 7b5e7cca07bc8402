"""The constraints: what structure an objective can impose."""

from __future__ import annotations

from probes.registry import Registry

CONSTRAINTS = Registry(
    "constraint",
    {
        "code_sparsity": (
            "probes.constraints.code_sparsity:CodeSparsity",
            "K active latents per row, at most or on average, by the encoder's own selection.",
        ),
        "code_price": (
            "probes.constraints.code_price:CodePrice",
            "Codes have a price that carries the decoder norms.",
        ),
        "gate_price": (
            "probes.constraints.gate_price:GatePrice",
            "Open gates have a price; magnitudes have none.",
        ),
        "active_count": (
            "probes.constraints.active_count:ActiveCount",
            "Few active latents, counted straight through learnt thresholds.",
        ),
        "within_reach": (
            "probes.constraints.within_reach:WithinReach",
            "Dead latents stay within reach of their thresholds.",
        ),
        "block_edges": (
            "probes.constraints.block_edges:BlockEdges",
            "Few open gates between the levels inside a dictionary.",
        ),
        "coverage": (
            "probes.constraints.coverage:Coverage",
            "A child that fires is covered by the parents it selects.",
        ),
        "composability": (
            "probes.constraints.composability:Composability",
            "Higher codes are what the selection map makes of the lower ones.",
        ),
        "edge_count": (
            "probes.constraints.edge_count:EdgeCount",
            "Few open gates, and so few edges, per target.",
        ),
    },
)
