"""The bundled emoji pipeline: it opens as any other, draws the same for the same seed, and its suite runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.suites.emoji import PIPELINE, EmojiConfig, open_pipeline, right, sample, trained_pairs
from app.worker import execute
from probes.artefacts import BUNDLED, read_manifest
from probes.errors import WorkbenchError
from probes.metrics.emoji_judge import judged, open_judge
from probes.worlds.emoji import read_emoji
from tests.fixtures.suites import few_resamples, rows_of, run_of

TEN = EmojiConfig(steps=10)


@pytest.mark.parametrize("folder", [PIPELINE, BUNDLED / "judges" / "emoji"])
def test_the_files_are_those_of_the_manifest(folder: Path) -> None:
    manifest = read_manifest(folder, verify=True)
    assert sum(entry.bytes for entry in manifest.files.values()) < 40 * 2**20
    assert manifest.licence and manifest.command


def test_it_is_an_ordinary_pipeline_and_a_function_of_prompt_and_seed() -> None:
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    pipeline = open_pipeline()
    assert type(pipeline) is StableDiffusionPipeline and pipeline.safety_checker is None
    kinds = {"vae": AutoencoderKL, "unet": UNet2DConditionModel, "text_encoder": CLIPTextModel}
    for name, kind in {**kinds, "tokenizer": CLIPTokenizer}.items():
        assert type(getattr(pipeline, name)) is kind
    corpus = read_emoji()
    pairs = trained_pairs(corpus, 200)[:4]
    first, again = (sample(pipeline, corpus, pairs, 0, TEN).pictures.numpy() for _ in range(2))
    assert first.shape == (4, 3, 32, 32)
    assert np.array_equal(first, again)
    assert np.abs(first - sample(pipeline, corpus, pairs, 1, TEN).pictures.numpy()).max() > 0.05


def test_commands_take_the_guidance_the_suite_measures_it_at() -> None:
    assert read_manifest(PIPELINE).figures == {"guidance": EmojiConfig().guidance}


def test_every_caption_fits_and_words_are_whole_tokens() -> None:
    from transformers import CLIPTokenizer

    corpus = read_emoji()
    tokenizer = CLIPTokenizer.from_pretrained(PIPELINE / "tokenizer", local_files_only=True)
    said = {corpus.caption(pair) for pair in corpus.training_pairs}
    longest = max(len(tokenizer(one).input_ids) for one in said)
    assert longest <= tokenizer.model_max_length
    assert tokenizer.convert_ids_to_tokens(tokenizer("Red apple, fluent style").input_ids)[1:-1] == [
        f"{word}</w>" for word in ("red", "apple", ",", "fluent", "style")
    ]


def test_the_judge_knows_real_pictures_and_is_no_better_than_chance_on_pictures_of_others() -> None:
    import torch

    corpus = read_emoji()
    judge = open_judge(corpus)
    pairs = corpus.training_pairs[::7]
    found = right(corpus, judged(judge, corpus, torch.from_numpy(corpus.pictures(pairs))), pairs)
    assert all(found[question].mean() > 0.95 for question in ("concept", "group", "style"))
    moved = [*pairs[40:], *pairs[:40]]
    wrong = right(corpus, judged(judge, corpus, torch.from_numpy(corpus.pictures(moved))), pairs)
    assert wrong["concept"].mean() < 0.05


def test_the_suite_measures_a_few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    few_resamples(monkeypatch)
    config = {"concepts": 4, "seeds": 2, "steps": 4}
    rows = rows_of(execute(run_of("emoji-small", suite="emoji", emoji=config)))
    corpus = read_emoji()
    assert rows["emoji.trained.concept"].n == 12 and rows["emoji.trained.concept"].aim == 0.7
    assert rows["emoji.held_out.concept"].n == 2 * len(corpus.held_out) and rows["emoji.held_out.concept"].seeds == 2
    for question in ("concept", "group", "style"):
        real = rows[f"emoji.judge.{question}"]
        assert rows[f"emoji.held_out.{question}"].baseline == pytest.approx(real.value)
        assert real.value > real.baseline and real.n == len(corpus.held_out)
    assert rows["emoji.held_out.concept"].aim is None
    assert rows["emoji.held_out.both"].value <= rows["emoji.held_out.concept"].value
    assert rows["emoji.held_out.nearest.pixels"].baseline > 0
    assert rows["emoji.seconds"].value > 0


def test_a_folder_without_a_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="no pipeline"):
        open_pipeline(str(tmp_path))
