"""The toy's pipeline, untrained, from the classes every PixArt pipeline is made of."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtAlphaPipeline, PixArtTransformer2DModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from probes.worlds.shapes import COLOURS, POSITIONS, SHAPES, SIZE

TEXT_WIDTH = 24
WIDTH = 48
SHADE = 1000.0  # of the autoencoder's constant channels: a picture's own variance is nothing beside it


def new_pipeline(seed: int) -> PixArtAlphaPipeline:
    """A text-to-image pipeline of 16 x 16 pictures whose denoiser and word embeddings are to be trained."""
    torch.manual_seed(seed)
    tokenizer = word_tokenizer()
    return PixArtAlphaPipeline(
        tokenizer=tokenizer,
        text_encoder=word_encoder(len(tokenizer)),
        vae=identity_autoencoder(),
        transformer=PixArtTransformer2DModel(
            num_attention_heads=4,
            attention_head_dim=WIDTH // 4,
            in_channels=3,
            out_channels=3,
            num_layers=3,
            sample_size=SIZE,
            patch_size=2,
            cross_attention_dim=WIDTH,
            caption_channels=TEXT_WIDTH,
        ),
        # Of first order on a straight path this is Euler's method, and a time step is the share of noise.
        scheduler=DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0, solver_order=1
        ),
    )


def word_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word of the world, and one that ends a prompt: alone, it is the empty prompt."""
    words = dict.fromkeys(" ".join([*COLOURS, *SHAPES, *POSITIONS]).split())
    vocabulary = {word: at for at, word in enumerate(["<pad>", "</s>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=120
    )


def word_encoder(vocabulary: int) -> T5EncoderModel:
    """Word embeddings and their normalisation alone: a T5 encoder without a block."""
    config = T5Config(vocab_size=vocabulary, d_model=TEXT_WIDTH, d_kv=8, d_ff=8, num_heads=1, num_layers=0)
    return T5EncoderModel(config)


def identity_autoencoder() -> AutoencoderKL:
    """An autoencoder that hands pictures on as they are (to about 1e-6), so that latents are pixels.

    Its eight channels hold the picture, its negative, and two opposite constants. The constants fix the spread
    that the group normalisation divides by; and silu(x) − silu(−x) is x, so that nothing bends on the way.
    """
    vae = AutoencoderKL(
        block_out_channels=(8,),
        down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
        latent_channels=3,
        layers_per_block=1,
        norm_num_groups=1,
        sample_size=SIZE,
        scaling_factor=1.0,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    with torch.no_grad():
        for name, weight in vae.named_parameters():
            if ".resnets." in name:
                weight.zero_()  # what a residual block adds
        for half in (vae.encoder, vae.decoder):
            for weight in (*half.conv_in.parameters(), *half.conv_out.parameters()):
                weight.zero_()
            for channel in range(3):
                half.conv_in.weight[channel, channel, 1, 1], half.conv_in.weight[3 + channel, channel, 1, 1] = 1, -1
                half.conv_out.weight[channel, channel, 1, 1], half.conv_out.weight[channel, 3 + channel, 1, 1] = 1, -1
            half.conv_in.bias[6:] = torch.tensor([SHADE, -SHADE])
            half.conv_norm_out.weight.fill_(SHADE / 2)  # their standard deviation over eight channels
            half.conv_norm_out.bias.zero_()
        vae.encoder.conv_out.bias[3:] = -30.0  # log variance: the encoder is certain
    return vae
