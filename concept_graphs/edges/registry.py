"""The edge proposals: where edges that interventions test come from."""

from __future__ import annotations

from probes.registry import Registry

PROPOSALS = Registry(
    "edge proposal",
    {
        "gates": (
            "concept_graphs.edges.gates:GateProposal",
            "Edges the gated selection map keeps, ranked by the effect it predicts for ablating the source.",
        ),
        "coactivation": (
            "concept_graphs.edges.coactivation:CoactivationProposal",
            "Best correlated pairs of codes.",
        ),
    },
)
