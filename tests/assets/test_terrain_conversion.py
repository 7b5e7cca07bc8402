"""The shipped terrain model against the file it was converted from, run by onnxruntime."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from probes.artefacts import BUNDLED, read_manifest

TERRAIN = BUNDLED / "pipelines" / "terrain"
CONVERTER = BUNDLED / "terrain" / "convert.py"
LABELS = torch.tensor([0.0, 24.75, 49.5, 99.0])


@pytest.fixture(scope="module")
def source() -> Path:
    """The package's own file; where peers are required its absence is a failure."""
    spec = importlib.util.find_spec("terrain_diffusion")
    missing = [name for name in ("terrain_diffusion", "onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing or spec is None:
        assert os.environ.get("FULCRUM_REQUIRE_PEERS") != "1", f"{missing} are not installed"
        pytest.skip(f"{', '.join(missing)} not installed: see requirements-peers.txt")
    return Path(next(iter(spec.submodule_search_locations or []))) / (
        "weights/terrain_consistency_unet_difficulty100.onnx"
    )


@pytest.fixture(scope="module")
def convert(source: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("terrain_convert", CONVERTER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def noise(seeds: range) -> torch.Tensor:
    return torch.cat([torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(s)) for s in seeds])


@pytest.fixture(scope="module")
def published(source: Path) -> Any:
    """The published model as a function of noise and sigma: pictures in [-1, 1]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])

    def run(drawn: torch.Tensor, sigma: float) -> torch.Tensor:
        given = {
            "noisy": (drawn * sigma).numpy(),
            "sigma": np.full(len(drawn), sigma, dtype=np.float32),
            "difficulty": (LABELS / 99).numpy(),
        }
        return torch.from_numpy(session.run(None, given)[0])

    return run


@pytest.fixture(scope="module")
def pipeline(convert: ModuleType, source: Path) -> Any:
    from diffusers import CMStochasticIterativeScheduler, ConsistencyModelPipeline, UNet2DModel

    unet = UNet2DModel(**convert.CONFIG)
    unet.load_state_dict(convert.converted(source), strict=True)
    made = ConsistencyModelPipeline(unet.eval(), CMStochasticIterativeScheduler(**convert.SCHEDULER))
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.slow
def test_the_stock_pipeline_makes_what_the_published_model_makes(pipeline: Any, published: Any) -> None:
    seeds = range(4)
    made = pipeline(
        batch_size=4,
        class_labels=LABELS,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="pt",
    ).images
    expected = published(noise(seeds), 80.0)
    assert expected.std() > 0.2
    assert (made * 2 - 1 - expected).abs().max() < 1e-5


@pytest.mark.slow
def test_the_network_agrees_in_the_middle_of_the_noise_too(pipeline: Any, published: Any) -> None:
    drawn, sigma, scheduler = noise(range(4)), 5.0, pipeline.scheduler
    with torch.no_grad():
        scaled = drawn * sigma / (sigma**2 + 0.25) ** 0.5
        said = pipeline.unet(scaled, torch.tensor(250 * np.log(sigma)), class_labels=LABELS).sample
    skip, out = scheduler.get_scalings_for_boundary_condition(torch.tensor(sigma))
    made = (out * said + skip * drawn * sigma).clamp(-1, 1)
    assert (made - published(drawn, sigma)).abs().max() < 1e-5


@pytest.mark.slow
def test_what_ships_is_the_converted_network_in_half_precision(convert: ModuleType, source: Path) -> None:
    from safetensors.torch import load_file

    shipped = load_file(TERRAIN / "unet" / "diffusion_pytorch_model.safetensors")
    converted = convert.converted(source)
    assert shipped.keys() == converted.keys()
    assert all(torch.equal(shipped[name], part.half()) for name, part in converted.items())


def test_the_shipped_files_are_those_of_the_manifest_with_both_licences() -> None:
    manifest = read_manifest(TERRAIN, verify=True)
    assert {name for name in manifest.files if name.startswith("licences/")} == {
        "licences/adaptive-terrain-diffusion.txt",
        "licences/consistency-models.txt",
    }
    assert manifest.parents["weights"].sha256
