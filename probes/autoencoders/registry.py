"""The architectures of sparse autoencoders a level can be trained with."""

from __future__ import annotations

from probes.registry import Registry

AUTOENCODERS = Registry(
    "autoencoder",
    {
        "topk": (
            "probes.autoencoders.topk:TopKAutoencoder",
            "The k largest pre-activations of each row (Gao et al. 2024).",
        ),
    },
)
