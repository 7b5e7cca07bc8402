"""The text side of the emoji pipeline: a small CLIP tokenizer learnt from the captions, and a text encoder."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from probes.worlds.emoji import STYLES, EmojiCorpus, caption

TOKENS = 16  # the longest caption has 12 with both ends
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
# Where CLIP's own tokenizer parts a text into words.
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def new_tokenizer(corpus: EmojiCorpus, folder: Path) -> CLIPTokenizer:
    """Learn byte pairs until every word of a caption is one token; any other text still has tokens.

    Writes vocabulary and merges to `folder` first: that is what `CLIPTokenizer` reads.
    """
    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    learner.decoder = decoders.ByteLevel()
    texts = [caption(corpus.entries[at].label, style) for at in corpus.concepts for style in STYLES]
    trainer = trainers.BpeTrainer(
        vocab_size=4096, min_frequency=2, initial_alphabet=bytes_, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    merges = json.loads(learner.to_str())["model"]["merges"]
    words = [*bytes_, *(f"{one}</w>" for one in bytes_), *("".join(pair) for pair in merges), BEGIN, END]
    vocabulary = {word: at for at, word in enumerate(dict.fromkeys(words))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    made = CLIPTokenizer.from_pretrained(folder, model_max_length=TOKENS)
    made.save_pretrained(folder)
    return made


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained text encoder of two layers, 128 wide."""
    torch.manual_seed(1)
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=256,
            projection_dim=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def tokens_of(tokenizer: CLIPTokenizer, captions: list[str]) -> torch.Tensor:
    """Token ids of captions, padded to `TOKENS` as the pipeline pads them, `caption token`."""
    found = tokenizer(captions, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt")
    return found.input_ids
