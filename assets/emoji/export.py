"""What was trained, in half precision: an ordinary diffusers folder, and the judge's one file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from denoiser import new_scheduler
from diffusers import AutoencoderKL, StableDiffusionPipeline
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTokenizer

from app.suites.emoji import EmojiConfig
from probes.artefacts import BUNDLED, write_manifest
from probes.metrics.emoji_judge import FILE, EmojiJudge

COMMAND = "make assets-emoji"
LICENCE = "Apache-2.0 (weights learnt here from Noto, Apache-2.0, Twemoji, CC-BY-4.0, and Fluent, MIT: see NOTICE)"
GUIDANCE = EmojiConfig().guidance  # what the stage `guidance` found best; every command takes it from the manifest
PAGE = ("README.md", "samples.png")


def export(vae: AutoencoderKL, tokenizer: CLIPTokenizer, modules: dict[str, nn.Module], folder: Path) -> None:
    """Write the pipeline in place of what was in `folder`; it opens with `StableDiffusionPipeline.from_pretrained`."""
    shutil.rmtree(folder, ignore_errors=True)
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=modules["text_encoder"],
        tokenizer=tokenizer,
        unet=modules["unet"],
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to("cpu")
    for part in (pipeline.vae, pipeline.unet, pipeline.text_encoder):
        part.half()
    pipeline.save_pretrained(folder)
    # Read back in single precision like the other parts, whatever the weights were stored in.
    _said_anew(folder / "text_encoder" / "config.json", {"dtype": "float32"})
    # Where it lay while it was made is of no use to anybody.
    _said_anew(folder / "vae" / "config.json", {"_name_or_path": None})


def _said_anew(config: Path, change: dict[str, str | None]) -> None:
    """Change values of a JSON file; None takes one out."""
    said = {**json.loads(config.read_text(encoding="utf-8")), **change}
    kept = {key: value for key, value in said.items() if value is not None or key not in change}
    config.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def ship_pipeline(vae: AutoencoderKL, tokenizer: CLIPTokenizer, modules: dict[str, nn.Module], *, notes: str) -> None:
    """Put the pipeline and its manifest in assets; the page about it stays, and is not hashed."""
    folder = BUNDLED / "pipelines" / "emoji"
    page = {name: (folder / name).read_bytes() for name in PAGE if (folder / name).is_file()}
    export(vae, tokenizer, modules, folder)
    figures = {"guidance": GUIDANCE}
    write_manifest(folder, kind="subject", name="emoji", command=COMMAND, licence=LICENCE, notes=notes, figures=figures)
    for name, raw in page.items():
        (folder / name).write_bytes(raw)


def ship_judge(judge: EmojiJudge) -> None:
    """Put the judge and its manifest in assets."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.half().contiguous() for name, tensor in judge.state_dict().items()}, FILE)
    write_manifest(FILE.parent, kind="judge", name="emoji", command=COMMAND, licence=LICENCE)
