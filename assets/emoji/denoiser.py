"""The denoiser of the emoji pipeline, trained together with its text encoder on latents encoded once."""

from __future__ import annotations

from pathlib import Path

import torch
from autoencoder import encode
from captions import new_text_encoder, tokens_of
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from loop import Plan, train
from torch import Tensor, nn
from transformers import CLIPTokenizer

from probes.worlds.emoji import EmojiCorpus

PLAN = Plan(steps=3000, rate=0.02, average=0.999, fall=0.6)
BATCH = 32  # per thread
NO_CAPTION, NO_STYLE = 0.1, 0.1


def new_denoiser() -> UNet2DConditionModel:
    """An untrained U-Net that attends to the caption at 8 x 8 and at 4 x 4."""
    torch.manual_seed(2)
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=8,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        block_out_channels=(96, 192),
        layers_per_block=1,
        cross_attention_dim=128,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def new_scheduler() -> DDIMScheduler:
    """The noise of training and of sampling: v-prediction on a squared cosine, from pure noise down."""
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        clip_sample=False,
        timestep_spacing="trailing",
        steps_offset=1,
    )


def new_modules(tokenizer: CLIPTokenizer) -> dict[str, nn.Module]:
    """What is trained together."""
    return {
        "unet": new_denoiser().to(memory_format=torch.channels_last),
        "text_encoder": new_text_encoder(tokenizer),
    }


def train_denoiser(
    corpus: EmojiCorpus, vae: AutoencoderKL, tokenizer: CLIPTokenizer, folder: Path
) -> dict[str, nn.Module]:
    """Train on the training pairs: a tenth of the captions is left empty, a tenth does not say the style."""
    pairs = corpus.training_pairs
    pictures = torch.from_numpy(corpus.pictures(pairs)) * 2 - 1
    latents = encode(vae, pictures) * vae.config.scaling_factor
    full = tokens_of(tokenizer, [corpus.caption(pair) for pair in pairs])
    named = tokens_of(tokenizer, [corpus.entries[pair.emoji].label for pair in pairs])
    empty = tokens_of(tokenizer, [""])
    alphas = new_scheduler().alphas_cumprod
    modules = new_modules(tokenizer)
    unet, text_encoder = modules["unet"], modules["text_encoder"]

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        chosen = torch.randint(len(pairs), (BATCH,), generator=generator)
        share = torch.rand(BATCH, 1, generator=generator)
        tokens = torch.where(share < NO_CAPTION + NO_STYLE, named[chosen], full[chosen])
        tokens = torch.where(share < NO_CAPTION, empty, tokens)
        clean = latents[chosen]
        noise = torch.randn(clean.shape, generator=generator)
        time = torch.randint(len(alphas), (BATCH,), generator=generator)
        signal, spread = (part[:, None, None, None] for part in (alphas[time].sqrt(), (1 - alphas[time]).sqrt()))
        noisy = (signal * clean + spread * noise).contiguous(memory_format=torch.channels_last)
        found = unet(noisy, time, text_encoder(tokens).last_hidden_state).sample
        return {"velocity": (found - (signal * noise - spread * clean)).square().mean()}

    return train(modules, loss, PLAN, folder)
