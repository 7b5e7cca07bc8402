"""Train the bundled toy: a small text-to-image pipeline of coloured shapes whose every picture can be checked.

Run as `make assets-toy`; about two CPU-minutes. It learns to undo a straight path from a picture to noise
(rectified flow), and for one prompt in ten the empty one, so that it can be guided.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from diffusers import PixArtAlphaPipeline

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "assets" / "pipelines" / "toy"
LICENCE = "Apache-2.0 (trained here, on pictures drawn here)"
NOTES = "16 x 16 pictures of one of 36 coloured shapes; prompts such as: red cross upper left."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000, help="Training steps.")
    parser.add_argument("--batch", type=int, default=48, help="Pictures a step.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of weights, pictures and noise.")
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
    from pipeline import new_pipeline

    from probes.artefacts import write_manifest

    pipeline = new_pipeline(options.seed)
    trained(pipeline, steps=options.steps, batch=options.batch, seed=options.seed)
    pipeline.to(dtype=torch.float16)
    figures = {**measured(pipeline), "steps": options.steps, "batch": options.batch, "seed": options.seed}
    print(figures)
    shutil.rmtree(TARGET, ignore_errors=True)
    pipeline.to(dtype=torch.float16).save_pretrained(TARGET)
    write_manifest(
        TARGET, kind="subject", name="toy", command="make assets-toy", figures=figures, licence=LICENCE, notes=NOTES
    )


def trained(pipeline: PixArtAlphaPipeline, *, steps: int, batch: int, seed: int) -> None:
    """Train denoiser and word embeddings in place."""
    from probes.worlds.shapes import every_thing, render

    denoiser, words = pipeline.transformer.train(), pipeline.text_encoder.train()
    pictures = torch.from_numpy(render(every_thing())) * 2 - 1
    prompts = pipeline.tokenizer([*(thing.prompt for thing in every_thing()), ""], padding=True, return_tensors="pt")
    random = torch.Generator().manual_seed(seed)
    weights = [*denoiser.parameters(), *words.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=3e-3, betas=(0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        shown = torch.randint(len(pictures), (batch,), generator=random)
        asked = torch.where(torch.rand(batch, generator=random) < 0.1, len(pictures), shown)
        noise = torch.randn(batch, *pictures.shape[1:], generator=random)
        time = torch.randn(batch, generator=random).sigmoid()
        along = time[:, None, None, None]
        mask = prompts.attention_mask[asked]
        text = words(prompts.input_ids[asked], attention_mask=mask).last_hidden_state
        said = denoiser(
            (1 - along) * pictures[shown] + along * noise,
            encoder_hidden_states=text,
            encoder_attention_mask=mask,
            timestep=time * 1000,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]
        loss = (said - (noise - pictures[shown])).square().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)
    denoiser.eval()
    words.eval()


def measured(pipeline: PixArtAlphaPipeline) -> dict[str, Any]:
    """How often each factor of the pictures is what the prompt asks for, two pictures per prompt."""
    from probes.worlds.shape_oracles import look
    from probes.worlds.shapes import every_thing

    pipeline.to(dtype=torch.float32).set_progress_bar_config(disable=True)
    things = every_thing() * 2
    images = pipeline(
        [thing.prompt for thing in things],
        num_inference_steps=12,
        guidance_scale=2.0,
        generator=[torch.Generator().manual_seed(at) for at in range(len(things))],
        use_resolution_binning=False,
        clean_caption=False,
        output_type="pt",
    ).images
    seen, wanted = look(images.numpy()), list(zip(*things, strict=True))
    right = {name: float((getattr(seen, name) == wanted[at]).mean()) for at, name in enumerate(seen._fields[:3])}
    return {**right, "off_manifold": float(seen.off_manifold.mean()), "pictures": len(things)}


if __name__ == "__main__":
    main()
