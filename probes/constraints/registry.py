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
        "kl": (
            "probes.constraints.kl:KL",
            "Latents look like standard normals: the control, which knows nothing of the data.",
        ),
        "total_correlation": (
            "probes.constraints.total_correlation:TotalCorrelation",
            "Latents share no information with each other.",
        ),
        "covariance": (
            "probes.constraints.covariance:Covariance",
            "No two latents are correlated.",
        ),
        "infomax": (
            "probes.constraints.infomax:InfoMax",
            "Latents fill their space, by the entropy of a Gaussian with their correlations.",
        ),
        "conditional_prior": (
            "probes.constraints.conditional_prior:ConditionalPrior",
            "Given the domain, latents are independent, each with a mean and deviation of its own.",
        ),
        "structural_prior": (
            "probes.constraints.structural_prior:StructuralPrior",
            "Each latent follows from its parents in a known graph, except where it was intervened on.",
        ),
        "wrong_graph": (
            "probes.constraints.wrong_graph:WrongGraph",
            "A control: the structural prior on a graph with exactly the edges that the known one lacks.",
        ),
        "mechanism_sparsity": (
            "probes.constraints.mechanism_sparsity:MechanismSparsity",
            "Each latent goes with few dimensions of what is seen.",
        ),
        "minimal_change": (
            "probes.constraints.minimal_change:MinimalChange",
            "Between two views of which little changed, few latents change.",
        ),
        "temporal_prior": (
            "probes.constraints.temporal_prior:TemporalPrior",
            "Given what came before, latents are independent of each other.",
        ),
        "temporal_sparsity": (
            "probes.constraints.temporal_sparsity:TemporalSparsity",
            "Few latents of the past and present enter the mechanism of a latent.",
        ),
        "invariant_split": (
            "probes.constraints.invariant_split:InvariantSplit",
            "The first latents are the same in all domains; only the last may change.",
        ),
        "markov_blanket": (
            "probes.constraints.markov_blanket:MarkovBlanket",
            "Latents fall into parents, spouses and children of an answer, and the rest.",
        ),
        "selection_minimality": (
            "probes.constraints.selection_minimality:SelectionMinimality",
            "Few latents are active, and higher ones are selected by few lower ones.",
        ),
        "caption_mask": (
            "probes.constraints.caption_mask:CaptionMask",
            "A caption speaks of few latents only.",
        ),
        "discrete_bottleneck": (
            "probes.constraints.discrete_bottleneck:DiscreteBottleneck",
            "Every latent takes one of a few values.",
        ),
    },
)
