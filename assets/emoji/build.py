"""Build the bundled emoji pipeline and its judge from the emoji corpus: `make assets-emoji`.

Checkpoints stay in a scratch folder, and an interrupted build goes on where it was. Each stage can be asked
for alone; `export` writes the pipeline from the denoiser's latest checkpoint, finished or not.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# One thread inside operations: the loop runs its own over parts of a batch.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import torch  # noqa: E402
from autoencoder import train_autoencoder  # noqa: E402
from captions import new_tokenizer  # noqa: E402
from denoiser import PLAN, new_modules, train_denoiser  # noqa: E402
from diffusers import AutoencoderKL  # noqa: E402
from export import export, ship_judge, ship_pipeline  # noqa: E402
from guidance import compare  # noqa: E402
from judge import train_judge  # noqa: E402
from loop import averaged  # noqa: E402
from picture import draw  # noqa: E402
from transformers import CLIPTokenizer  # noqa: E402

from probes.worlds.emoji import EmojiCorpus, read_emoji  # noqa: E402

STAGES = ("autoencoder", "denoiser", "judge", "export", "guidance", "picture")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", default=STAGES, help=f"Of {', '.join(STAGES)}; all by default.")
    parser.add_argument("--scratch", type=Path, default=ROOT / "build" / "assets-emoji", help="Folder of checkpoints.")
    parser.add_argument("--to", type=Path, help="Export the pipeline here instead of shipping it.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    scratch, corpus = options.scratch.resolve(), read_emoji()
    if "autoencoder" in options.stages:
        train_autoencoder(corpus, scratch / "autoencoder").save_pretrained(scratch / "vae")
    if "denoiser" in options.stages:
        train_denoiser(corpus, *_prepared(corpus, scratch), scratch / "denoiser")
    if "judge" in options.stages:
        ship_judge(train_judge(corpus, scratch / "judge"))
    if "export" in options.stages:
        vae, tokenizer = _prepared(corpus, scratch)
        modules = new_modules(tokenizer)
        step = averaged(scratch / "denoiser", modules)
        if options.to is None:
            ship_pipeline(vae, tokenizer, modules, notes=f"The denoiser's average after step {step} of {PLAN.steps}.")
        else:
            export(vae, tokenizer, modules, options.to)
        print(f"exported the average after step {step} of {PLAN.steps}")
    if "guidance" in options.stages and options.to is None:
        compare(corpus)
    if "picture" in options.stages and options.to is None:
        draw(corpus)


def _prepared(corpus: EmojiCorpus, scratch: Path) -> tuple[AutoencoderKL, CLIPTokenizer]:
    vae = AutoencoderKL.from_pretrained(scratch / "vae", local_files_only=True)
    return vae.eval().requires_grad_(False), new_tokenizer(corpus, scratch / "tokenizer")


if __name__ == "__main__":
    main()
