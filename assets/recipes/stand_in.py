"""Pipelines and dictionaries with random weights and the shapes people will bring, to try a recipe without them.

`python assets/recipes/stand_in.py sdxl-turbo FOLDER [--narrow]` writes FOLDER/pipeline, as `save_pretrained` does, and
FOLDER/dictionaries, in the format in which the dictionaries of that model are published. `--narrow` keeps every name
and block and makes them thin: for tests. Pictures from random weights are noise; what is tried is the way through.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

CHANNELS = 4
WORDS = 49408  # CLIP's vocabulary


class Size(NamedTuple):
    """Widths that the real model has, and those of its narrow stand-in."""

    blocks: tuple[int, ...]
    heads: int | tuple[int, ...]
    groups: int
    text: tuple[tuple[int, int, int], ...]  # width, layers and heads of each text encoder
    vae: tuple[int, ...]
    latents: int
    words: int = WORDS
    depth: int = 10  # transformer layers of SDXL's deepest blocks


SDXL = Size((320, 640, 1280), (5, 10, 20), 32, ((768, 12, 12), (1280, 32, 20)), (128, 256, 512, 512), 5120)
SD1 = Size((320, 640, 1280, 1280), 8, 32, ((768, 12, 12),), (128, 256, 512, 512), 20480)
NARROW_SDXL = Size((8, 16, 32), (1, 2, 4), 4, ((16, 2, 2), (24, 2, 2)), (8, 8), 64, 512, 2)
NARROW_SD1 = Size((8, 16, 32, 32), 2, 4, ((16, 2, 2),), (8, 8), 64, 512)


def tokenizer(words: int) -> CLIPTokenizer:
    """Single letters of CLIP's alphabet, with the two marks where `words` puts them last."""
    letters = [chr(code) for code in range(33, 127)]
    names = [*letters, *(f"{letter}</w>" for letter in letters)]
    names += [f"<unused{at}>" for at in range(words - 2 - len(names))] + ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: at for at, word in enumerate(names)}, merges=[], model_max_length=77)


def text_encoder(size: Size, at: int, kind: Callable[[CLIPTextConfig], Any]) -> Any:
    """One of the text encoders, projecting to its own width."""
    width, layers, heads = size.text[at]
    return kind(
        CLIPTextConfig(
            vocab_size=size.words,
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            projection_dim=width,
            bos_token_id=size.words - 2,
            eos_token_id=size.words - 1,
            pad_token_id=size.words - 1,
        )
    )


def vae(size: Size) -> AutoencoderKL:
    stages = len(size.vae)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * stages,
        up_block_types=("UpDecoderBlock2D",) * stages,
        block_out_channels=size.vae,
        layers_per_block=2,
        latent_channels=CHANNELS,
        norm_num_groups=size.groups,
        force_upcast=False,
    )


def sdxl_turbo(size: Size) -> StableDiffusionXLPipeline:
    """SDXL's layout with Turbo's scheduler."""
    pooled = size.text[1][0]
    unet = UNet2DConditionModel(
        sample_size=64,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=size.blocks,
        layers_per_block=2,
        transformer_layers_per_block=(1, 2, size.depth),
        attention_head_dim=size.heads,
        cross_attention_dim=size.text[0][0] + pooled,
        norm_num_groups=size.groups,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8 * size.groups,
        projection_class_embeddings_input_dim=6 * 8 * size.groups + pooled,
    )
    return StableDiffusionXLPipeline(
        vae=vae(size),
        text_encoder=text_encoder(size, 0, CLIPTextModel),
        text_encoder_2=text_encoder(size, 1, CLIPTextModelWithProjection),
        tokenizer=tokenizer(size.words),
        tokenizer_2=tokenizer(size.words),
        unet=unet,
        scheduler=EulerAncestralDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
        ),
        add_watermarker=False,
    )


def sd1(size: Size) -> StableDiffusionPipeline:
    """Stable Diffusion 1.x."""
    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=size.blocks,
        layers_per_block=2,
        attention_head_dim=size.heads,
        cross_attention_dim=size.text[0][0],
        norm_num_groups=size.groups,
    )
    return StableDiffusionPipeline(
        vae=vae(size),
        text_encoder=text_encoder(size, 0, CLIPTextModel),
        tokenizer=tokenizer(size.words),
        unet=unet,
        scheduler=PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def unbox_dictionary(folder: Path, point: str, width: int, latents: int, k: int = 10) -> None:
    """Random weights as sdxl-unbox publishes its own."""
    home = folder / f"unet.{point}_k{k}_hidden{latents}_auxk256_bs4096_lr0.0001" / "final"
    home.mkdir(parents=True)
    rows = F.normalize(torch.randn(latents, width), dim=1)
    state = {"pre_bias": torch.zeros(width), "latent_bias": torch.zeros(latents), "encoder.weight": rows}
    torch.save(
        {"state_dict": state | {"decoder.weight": rows.T.contiguous(), "stats_last_nonzero": torch.zeros(latents)}},
        home / "state_dict.pth",
    )
    torch.save(torch.zeros(latents), home / "mean.pt")
    torch.save(torch.ones(latents), home / "std.pt")
    said = {"n_dirs_local": latents, "d_model": width, "k": k, "auxk": 256, "dead_steps_threshold": 2441}
    (home / "config.json").write_text(json.dumps(said), "utf-8")


def sparsify_dictionary(folder: Path, point: str, width: int, latents: int, k: int = 32) -> None:
    """Random weights as sparsify publishes its own, the format of the dictionaries known for SD 1.x."""
    home = folder / f"unet.{point}"
    home.mkdir(parents=True)
    rows = F.normalize(torch.randn(latents, width), dim=1)
    state = {"encoder.weight": rows, "encoder.bias": torch.zeros(latents), "W_dec": rows.clone()}
    save_file(state | {"b_dec": torch.zeros(width)}, home / "sae.safetensors")
    said = {"d_in": width, "num_latents": latents, "k": k, "expansion_factor": latents // width, "activation": "topk"}
    (home / "cfg.json").write_text(json.dumps(said), "utf-8")


class Recipe(NamedTuple):
    """A model people will bring: how to build it, and where published dictionaries of it read."""

    build: Callable[[Size], Any]
    real: Size
    narrow: Size
    dictionary: Callable[[Path, str, int, int], None]
    points: tuple[str, ...]


RECIPES = {
    "sdxl-turbo": Recipe(
        sdxl_turbo,
        SDXL,
        NARROW_SDXL,
        unbox_dictionary,
        ("down_blocks.2.attentions.1", "mid_block.attentions.0", *(f"up_blocks.0.attentions.{at}" for at in (0, 1))),
    ),
    "sd1": Recipe(sd1, SD1, NARROW_SD1, sparsify_dictionary, ("up_blocks.1.attentions.1", "up_blocks.1.attentions.2")),
}


def write(name: str, folder: Path, *, narrow: bool = False) -> None:
    """Write `folder`/pipeline and `folder`/dictionaries for a recipe."""
    recipe = RECIPES[name]
    size = recipe.narrow if narrow else recipe.real
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32 if narrow else torch.bfloat16)  # built at once in the type it is kept in
    try:
        recipe.build(size).save_pretrained(folder / "pipeline")
    finally:
        torch.set_default_dtype(torch.float32)
    for point in recipe.points:
        recipe.dictionary(folder / "dictionaries", point, size.blocks[-1], size.latents)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", choices=list(RECIPES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--narrow", action="store_true", help="The same blocks, thin: for tests.")
    given = parser.parse_args()
    write(given.model, given.folder, narrow=given.narrow)
