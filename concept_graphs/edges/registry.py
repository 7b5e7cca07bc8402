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
        "ridge": (
            "concept_graphs.edges.ridge:RidgeProposal",
            "Standardised coefficients of a ridge regression of each target on its candidates.",
        ),
        "lasso": (
            "concept_graphs.edges.lasso:LassoProposal",
            "Weights of a non-negative lasso whose price is chosen for each target by BIC.",
        ),
        "pc": (
            "concept_graphs.edges.discovery:PcProposal",
            "Pairs that no few other candidates make independent: PC with Fisher's z, by causal-learn.",
        ),
        "grasp": (
            "concept_graphs.edges.discovery:GraspProposal",
            "Neighbours of each target in the sparsest graph over its candidates: GRaSP, by causal-learn.",
        ),
        "gradient": (
            "concept_graphs.edges.gradient:GradientProposal",
            "Gradients of each target through the subject, times what its candidates contribute.",
        ),
    },
)
