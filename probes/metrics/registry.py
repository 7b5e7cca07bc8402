"""The metrics: every number the workbench prints of a dictionary, each with its convention."""

from __future__ import annotations

from probes.registry import Registry

METRICS = Registry(
    "metric",
    {
        "explained_variance": (
            "probes.metrics.reconstruction:EXPLAINED_VARIANCE",
            "Share of the summed variance that the reconstruction explains (SAELens today).",
        ),
        "explained_variance_per_row": (
            "probes.metrics.reconstruction:EXPLAINED_PER_ROW",
            "The share of each row's squared distance to the mean, averaged over rows (SAEBench's tables).",
        ),
        "explained_variance_of_deviations": (
            "probes.metrics.reconstruction:EXPLAINED_DEVIATION",
            "One minus the error's variance over the target's, a constant error forgiven (dictionary_learning).",
        ),
        "explained_variance_per_dimension": (
            "probes.metrics.reconstruction:EXPLAINED_PER_DIMENSION",
            "The same share of each dimension, averaged over dimensions.",
        ),
        "explained_variance_uncentred": (
            "probes.metrics.reconstruction:EXPLAINED_UNCENTRED",
            "The share of the summed squares, the mean not taken out.",
        ),
        "unexplained_variance": (
            "probes.metrics.reconstruction:UNEXPLAINED",
            "Summed squared error over summed variance (FVU, sparsify).",
        ),
        "normalised_error": (
            "probes.metrics.reconstruction:ROW_ERROR",
            "Each row's squared error over its square, averaged over rows (OpenAI).",
        ),
        "relative_bias": (
            "probes.metrics.reconstruction:RELATIVE_BIAS",
            "Mean square of the reconstruction over its mean product with the target.",
        ),
        "length_kept": (
            "probes.metrics.reconstruction:LENGTH_KEPT",
            "Mean length of the reconstruction over that of the target; less than one is shrinkage.",
        ),
        "l0": ("probes.metrics.sparsity:L0", "Active latents per row, encoding as at inference."),
        "density": ("probes.metrics.sparsity:DENSITY", "Share of rows in which the average latent is active."),
        "dead": ("probes.metrics.sparsity:DEAD", "Share of latents that never fired on these rows."),
        "rare": ("probes.metrics.sparsity:RARE", "Share of latents that fire in fewer than one row in 10,000."),
        "common": ("probes.metrics.sparsity:COMMON", "Share of latents that fire in more than one row in ten."),
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
        "divergence": (
            "probes.metrics.loss_recovered:DIVERGENCE",
            "How far the subject's predictions move when it reads the reconstruction.",
        ),
        "divergence_recovered_mean_ablation": (
            "probes.metrics.loss_recovered:KL_RECOVERED_MEAN",
            "Share of the divergence of ablating to the mean that the reconstruction avoids.",
        ),
        "divergence_recovered_zero_ablation": (
            "probes.metrics.loss_recovered:KL_RECOVERED_ZERO",
            "Share of the divergence of ablating to zero that the reconstruction avoids.",
        ),
        "absorption": (
            "probes.metrics.absorption:ABSORPTION",
            "How much of words' first letters other latents than the letters' own tell (SAEBench's rule).",
        ),
        "full_absorption": (
            "probes.metrics.absorption:FULL_ABSORPTION",
            "Share of words whose first letter is told by one latent that does not stand for it.",
        ),
        "spurious_removal": (
            "probes.metrics.spurious:SCR",
            "How far removing a spurious attribute's latents mends a probe that learnt it (SCR).",
        ),
        "spurious_removal_to_mean": (
            "probes.metrics.spurious:SCR_TO_MEAN",
            "The same, latents set to their mean code, which leaves the probe's threshold where it was.",
        ),
        "targeted_perturbation": (
            "probes.metrics.perturbation:TPP",
            "How far removing one class's latents spoils its own probe and no other (TPP).",
        ),
        "description_length": (
            "probes.metrics.description_length:DESCRIPTION_LENGTH",
            "Bits to tell a held-out row through the dictionary: residual, code and edges.",
        ),
        "residual_bits": ("probes.metrics.description_length:RESIDUAL_BITS", "Bits of what the codes leave untold."),
        "code_bits": ("probes.metrics.description_length:CODE_BITS", "Bits of which latents are on and how strongly."),
        "edge_bits": ("probes.metrics.description_length:EDGE_BITS", "Bits of the edges inside the dictionary."),
        "bits_saved": (
            "probes.metrics.description_length:BITS_SAVED",
            "Share of the bits of a row without any dictionary that this one saves.",
        ),
        "seed_agreement": (
            "probes.metrics.seed_agreement:SEED_AGREEMENT",
            "How similar each latent's direction is to the most similar one of another seed.",
        ),
        "mcc": (
            "probes.metrics.recovery:MCC",
            "Correlation of true codes with their one-to-one matched latents, where the truth is known.",
        ),
        "mcc_decoder": (
            "probes.metrics.recovery:MCC_DECODER",
            "Cosine of true directions with their one-to-one matched decoder rows.",
        ),
        "uniqueness": (
            "probes.metrics.recovery:UNIQUENESS",
            "How many different concepts the latents' directions are nearest to.",
        ),
        "precision": ("probes.metrics.recovery:PRECISION", "How often a concept is on where its latent is."),
        "recall": ("probes.metrics.recovery:RECALL", "How often a latent is on where its concept is."),
        "f1": ("probes.metrics.recovery:F1", "Harmonic mean of precision and recall, per concept."),
        "absorbed": (
            "probes.metrics.recovery:ABSORBED",
            "How often the latent of a whole is off although the whole and a named part are on.",
        ),
        "absorption_gap": (
            "probes.metrics.recovery:ABSORPTION_GAP",
            "How much more often the latent of a whole is on when none of its parts is.",
        ),
    },
)
