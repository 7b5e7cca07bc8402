"""The bundled toy: what ships, and that its parts are what the build script says they are."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from probes.artefacts import BUNDLED, read_manifest
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.loading import load_subject
from probes.worlds.shapes import every_thing, render

TOY = BUNDLED / "pipelines" / "toy"
PICTURES = torch.from_numpy(render(every_thing())) * 2 - 1


@pytest.fixture
def build() -> Iterator[ModuleType]:
    """The build script, with its neighbour importable as it is when run."""
    sys.path.insert(0, str(BUNDLED / "toy"))
    spec = importlib.util.spec_from_file_location("toy_build", BUNDLED / "toy" / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(BUNDLED / "toy"))
    sys.modules.pop("pipeline", None)


def test_the_shipped_files_are_those_of_the_manifest_and_small() -> None:
    manifest = read_manifest(TOY, verify=True)
    assert sum(entry.bytes for entry in manifest.files.values()) < 2**20
    assert min(manifest.figures[name] for name in ("colour", "shape", "position")) > 0.97


def test_the_shipped_autoencoder_hands_pictures_on() -> None:
    vae = load_subject("bundled/toy", of=ImageDiffusion).pipeline.vae
    loud = 3 * torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert (vae.encode(PICTURES).latent_dist.mode() - PICTURES).abs().max() < 1e-5
        assert (vae.decode(PICTURES).sample - PICTURES).abs().max() < 1e-5
        assert (vae.decode(loud).sample - loud).abs().max() < 1e-3


def test_words_are_tokens_and_the_empty_prompt_is_the_end_alone() -> None:
    tokenizer = load_subject("bundled/toy", of=ImageDiffusion).pipeline.tokenizer
    ids = tokenizer([thing.prompt for thing in every_thing()]).input_ids
    assert {len(row) for row in ids} == {5} and len({tuple(row) for row in ids}) == 36
    assert tokenizer("").input_ids == [tokenizer.eos_token_id]
    assert tokenizer("RED").input_ids == tokenizer("red").input_ids
    assert tokenizer.unk_token_id in tokenizer("purple").input_ids


def test_the_build_learns(build: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline import new_pipeline

    build.trained(new_pipeline(0), steps=40, batch=16, seed=0)
    first, last = (float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines())
    assert last < 0.7 * first
