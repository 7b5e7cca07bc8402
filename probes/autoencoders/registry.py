"""The architectures of sparse autoencoders, and what may be done to rows before one sees them."""

from __future__ import annotations

from probes.registry import Registry

AUTOENCODERS = Registry(
    "autoencoder",
    {
        "topk": (
            "probes.autoencoders.topk:TopKAutoencoder",
            "The k largest pre-activations of each row (Gao et al. 2024).",
        ),
        "batch_topk": (
            "probes.autoencoders.batch_topk:BatchTopKAutoencoder",
            "The largest pre-activations of a batch, k per row on average (Bussmann et al. 2024).",
        ),
        "matryoshka": (
            "probes.autoencoders.matryoshka:MatryoshkaAutoencoder",
            "BatchTopK whose nested widths each rebuild the row (Bussmann et al. 2025).",
        ),
        "hierarchical": (
            "probes.autoencoders.hierarchical:HierarchicalAutoencoder",
            "Nested widths as levels, with gated selection maps between them (our design).",
        ),
        "jumprelu": (
            "probes.autoencoders.jumprelu:JumpReluAutoencoder",
            "Learnt thresholds, trained by counting active latents (Rajamanoharan et al. 2024).",
        ),
        "gated": (
            "probes.autoencoders.gated:GatedAutoencoder",
            "A gate decides, a magnitude says how much (Rajamanoharan et al. 2024).",
        ),
        "relu": (
            "probes.autoencoders.relu:ReluAutoencoder",
            "Positive pre-activations at a price that carries the decoder norms (Conerly et al. 2024).",
        ),
        "transcoder": (
            "probes.autoencoders.transcoder:Transcoder",
            "TopK codes of one place that predict another (Dunefsky et al. 2024).",
        ),
        "skip_transcoder": (
            "probes.autoencoders.skip_transcoder:SkipTranscoder",
            "A transcoder beside a linear map of its input (Paulo et al. 2025).",
        ),
        "crosscoder": (
            "probes.autoencoders.crosscoder:Crosscoder",
            "One set of codes for several places, each with its decoder (Lindsey et al. 2024).",
        ),
    },
)

NORMALISATIONS = Registry(
    "normalisation",
    {
        "centred_norm": (
            "probes.autoencoders.normalisation:CentredNorm",
            "Scaled so that the mean distance to the mean row is √d.",
        ),
        "none": ("probes.autoencoders.normalisation:Unchanged", "Rows as they are."),
        "mean_norm": (
            "probes.autoencoders.normalisation:MeanNorm",
            "Scaled so that the mean norm is √d (expected average norm).",
        ),
        "mean_square": (
            "probes.autoencoders.normalisation:MeanSquare",
            "Scaled to unit mean squared norm.",
        ),
        "per_row": (
            "probes.autoencoders.normalisation:PerRow",
            "Every row standardised over its own dimensions.",
        ),
        "whitening": (
            "probes.autoencoders.normalisation:Whitening",
            "Decorrelated dimensions of equal variance (covariance whitening).",
        ),
    },
)
