"""The tasks: what an objective can be asked to preserve."""

from __future__ import annotations

from probes.registry import Registry

TASKS = Registry(
    "task",
    {
        "reconstruct": (
            "probes.tasks.reconstruct:Reconstruct",
            "Rebuild each row from its codes, as a share of the variance.",
        ),
        "revive": (
            "probes.tasks.reconstruct:Revive",
            "Let latents that no longer fire explain what the others leave.",
        ),
        "reconstruct_nested": (
            "probes.tasks.reconstruct_nested:ReconstructNested",
            "Rebuild each row from every narrower width as well.",
        ),
        "reconstruct_through_gate": (
            "probes.tasks.reconstruct_through_gate:ReconstructThroughGate",
            "Rebuild each row from the gate alone, the decoder held fixed.",
        ),
        "predict_blocks": (
            "probes.tasks.predict_blocks:PredictBlocks",
            "Predict each higher block's codes from the block below, inside one dictionary.",
        ),
        "predict_selection": (
            "probes.tasks.predict_selection:PredictSelection",
            "Predict the higher level's codes from the lower ones.",
        ),
        "reconstruction": (
            "probes.tasks.reconstruction:Reconstruction",
            "Rebuild what is seen from its latents.",
        ),
        "denoising": (
            "probes.tasks.denoising:Denoising",
            "Tell the noise in a noisy view, given the latents of the clean one.",
        ),
        "infonce": (
            "probes.tasks.infonce:InfoNCE",
            "Tell the other view of a row from all other rows.",
        ),
        "barlow": (
            "probes.tasks.barlow:Barlow",
            "Let two views agree in every column, and no two columns say the same.",
        ),
        "vicreg": (
            "probes.tasks.vicreg:VICReg",
            "Keep two views close, every column alive and unlike the others.",
        ),
        "latent_prediction": (
            "probes.tasks.latent_prediction:LatentPrediction",
            "Predict the latents of the whole from a part of what is seen.",
        ),
        "supervised": (
            "probes.tasks.supervised:Supervised",
            "Answer for all labelled factors.",
        ),
        "supervised_partial": (
            "probes.tasks.supervised:SupervisedPartial",
            "Answer for some of the labelled factors; of the others nothing is asked.",
        ),
        "next_step": (
            "probes.tasks.next_step:NextStep",
            "Foresee what is seen next from the latents of what was seen before.",
        ),
        "captions": (
            "probes.tasks.captions:Captions",
            "Tell which caption belongs to which view.",
        ),
    },
)
