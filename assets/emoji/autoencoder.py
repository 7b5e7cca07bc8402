"""The autoencoder of the emoji pipeline: 32 x 32 pixels to 8 x 8 x 8 latents and back."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from loop import Plan, train
from torch import Tensor

from probes.worlds.emoji import EmojiCorpus

PLAN = Plan(steps=1100, average=0.99, fall=0.8)
BATCH = 16  # per thread
SHARPNESS = 0.2  # of absolute beside squared errors
NOISE_PRICE = 2e-4  # on the mean divergence per latent: enough that latents are smooth, not that pictures blur


def new_autoencoder() -> AutoencoderKL:
    """An untrained autoencoder: two halvings, 8 latent channels."""
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 96),
        layers_per_block=1,
        latent_channels=8,
        norm_num_groups=8,
        sample_size=32,
        scaling_factor=1.0,
    )


def training_pictures(corpus: EmojiCorpus) -> Tensor:
    """All 5,674 pictures in [-1, 1], `picture channel row column`.

    Held-out pairs are among them: what is held back from the denoiser is how a caption becomes a picture,
    not what a picture looks like.
    """
    return torch.from_numpy(corpus.pictures(corpus.all_pairs)) * 2 - 1


def train_autoencoder(corpus: EmojiCorpus, folder: Path) -> AutoencoderKL:
    """Train on every picture, concepts drawn twice as often as their share."""
    pictures = training_pictures(corpus)
    concepts = set(corpus.concepts)
    weight = torch.tensor([3.0 if pair.emoji in concepts else 1.0 for pair in corpus.all_pairs])
    model = new_autoencoder().to(memory_format=torch.channels_last)

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        chosen = torch.multinomial(weight, BATCH, generator=generator)
        batch = pictures[chosen]
        flipped = torch.rand(BATCH, generator=generator) < 0.5
        batch = torch.where(flipped[:, None, None, None], batch.flip(-1), batch)
        latent = model.encode(batch.contiguous(memory_format=torch.channels_last)).latent_dist
        made = model.decode(latent.sample(generator)).sample
        divergence = 0.5 * (latent.mean.square() + latent.var - 1 - latent.logvar).mean()
        wrong = made - batch
        return {
            "pixels": _size(wrong),
            "edges": sum(_size(wrong.diff(dim=axis)) for axis in (-1, -2)),
            "noise": NOISE_PRICE * divergence,
        }

    model = train({"vae": model}, loss, PLAN, folder)["vae"]
    standardise(model, pictures)
    return model


@torch.no_grad()
def standardise(model: AutoencoderKL, pictures: Tensor) -> None:
    """Fold into the two pointwise convolutions round the latents that each channel has mean 0 and variance 1."""
    found = encode(model, pictures)
    mean, spread = found.mean((0, 2, 3)), found.std((0, 2, 3))
    into, out_of = model.quant_conv, model.post_quant_conv
    size = torch.cat([1 / spread, torch.ones_like(spread)])
    into.weight.mul_(size[:, None, None, None])
    into.bias.copy_(into.bias * size - torch.cat([mean / spread, 2 * spread.log()]))
    out_of.bias.add_(out_of.weight[:, :, 0, 0] @ mean)
    out_of.weight.mul_(spread[:, None, None])


def _size(wrong: Tensor) -> Tensor:
    return wrong.square().mean() + SHARPNESS * wrong.abs().mean()


@torch.no_grad()
def encode(model: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Mean latents, unscaled, `picture channel row column`."""
    return torch.cat([model.encode(part).latent_dist.mode() for part in pictures.split(128)])
