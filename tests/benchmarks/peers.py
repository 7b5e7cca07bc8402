"""The other libraries' TopK trainers, each driven by its own code. Imported only inside their own environment.

Only what a library leaves to its caller is written here: first weights, and which latents count as dead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import MagicMock

import torch

from tests.benchmarks import encoding
from tests.benchmarks.channel import Channel
from tests.benchmarks.setting import Setting, unexplained

FOREVER = 10_000_000
AUX_WEIGHT = 1 / 32
LONG_DEAD = 10**9


def sparsify(setting: Setting, channel: Channel) -> None:
    """eai-sparsify's TopK with Adam; the loop of its `Trainer.fit` without the language model."""
    from sparsify import SparseCoder, SparseCoderConfig

    coder = SparseCoder(setting.d, SparseCoderConfig(num_latents=setting.n, k=setting.k), dtype=torch.float32)
    coder.encoder.weight.data.copy_(setting.rows())
    coder.encoder.bias.data.copy_(setting.bias())
    coder.W_dec.data.copy_(setting.rows())
    optimiser = torch.optim.Adam(coder.parameters(), lr=setting.rate)
    since_fired = torch.zeros(setting.n, dtype=torch.long)
    dead = setting.dead_latents()

    def figures() -> dict[str, float]:
        with torch.no_grad():
            coder.set_decoder_norm_to_unit_norm()
            return {"unexplained": float(coder(channel.batches[-1]).fvu)}

    channel.figures = figures
    for x in channel:
        since_fired[dead] = LONG_DEAD
        coder.set_decoder_norm_to_unit_norm()
        out = coder(x, dead_mask=since_fired > FOREVER)
        (out.fvu + AUX_WEIGHT * out.auxk_loss).backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        optimiser.step()
        optimiser.zero_grad()
        since_fired += len(x)
        since_fired[out.latent_indices.flatten()] = 0


def saelens(setting: Setting, channel: Channel, *, autocast: bool = False) -> None:
    """SAELens' `SAETrainer` on a `TopKTrainingSAE`."""
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=setting.d, d_sae=setting.n, k=setting.k))
    sae.W_enc.data.copy_(setting.rows().T)
    sae.W_dec.data.copy_(setting.rows())
    sae.b_enc.data.copy_(setting.bias())
    config = SAETrainerConfig(
        total_training_samples=FOREVER * setting.batch,
        train_batch_size_samples=setting.batch,
        lr=setting.rate,
        lr_end=setting.rate,  # without it the trainer stops at a bare assertion
        autocast=autocast,
        logger=LoggingConfig(log_to_wandb=False),
    )
    trainer: Any = SAETrainer(config, sae, channel)
    dead = setting.dead_latents()

    def mark() -> None:
        trainer.n_forward_passes_since_fired[dead] = LONG_DEAD

    def figures() -> dict[str, float]:
        x = channel.batches[-1]
        with torch.no_grad():
            return {"unexplained": unexplained(x, sae.decode(sae.encode(x)))}

    channel.mark, channel.figures = mark, figures
    trainer.fit()


def dictionary_learning(setting: Setting, channel: Channel) -> None:
    """dictionary_learning's `TopKTrainer.update`."""
    from dictionary_learning.trainers.top_k import TopKTrainer

    trainer = TopKTrainer(
        steps=FOREVER,
        activation_dim=setting.d,
        dict_size=setting.n,
        k=setting.k,
        layer=0,
        lm_name="",
        lr=setting.rate,
        warmup_steps=0,
        device="cpu",
    )
    ae = trainer.ae
    ae.encoder.weight.data.copy_(setting.rows())
    ae.encoder.bias.data.copy_(setting.bias())
    ae.decoder.weight.data.copy_(setting.rows().T)
    dead = setting.dead_latents()

    def mark() -> None:
        trainer.num_tokens_since_fired[dead] = LONG_DEAD

    def figures() -> dict[str, float]:
        x = channel.batches[-1]
        with torch.no_grad():
            return {"unexplained": unexplained(x, ae.decode(ae.encode(x, use_threshold=False)))}

    channel.mark, channel.figures = mark, figures
    for step, x in enumerate(channel, start=1):  # step 0 would start the bias at the batch's median
        trainer.update(step, x)


def overcomplete(setting: Setting, channel: Channel) -> None:
    """overcomplete's `train_sae` on a `TopKSAE` with a mean squared error. It has no auxiliary loss."""
    for name in ("torchvision", "timm", "cv2", "matplotlib", "skimage"):  # for pictures, and in the way of torch
        for module in (name, f"{name}.transforms", f"{name}.pyplot", f"{name}.colors", f"{name}.ops"):
            sys.modules.setdefault(module, MagicMock())
    from overcomplete.sae import TopKSAE, train_sae

    sae = TopKSAE(setting.d, nb_concepts=setting.n, top_k=setting.k)

    def error(x: Any, decoded: Any, before: Any, codes: Any, dictionary: Any) -> torch.Tensor:
        return (x - decoded).square().mean()

    def figures() -> dict[str, float]:
        x = channel.batches[-1]
        with torch.no_grad():
            return {"unexplained": unexplained(x, sae(x)[2])}

    channel.figures = figures
    optimiser = torch.optim.Adam(sae.parameters(), lr=setting.rate)
    train_sae(sae, channel, error, optimiser, nb_epochs=1, monitoring=0)


PEERS: dict[str, Callable[[Setting, Channel], None]] = {
    "sparsify": sparsify,
    "SAELens": saelens,
    "SAELens autocast": partial(saelens, autocast=True),
    "dictionary_learning": dictionary_learning,
    "overcomplete": overcomplete,
    "encode sparsify": encoding.sparsify,
    "encode SAELens": encoding.saelens,
}
