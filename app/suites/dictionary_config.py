"""What the comparison of dictionaries is asked to do."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from probes.autoencoders.registry import AUTOENCODERS
from probes.configs import Frozen


class DictionariesConfig(Frozen):
    """Architectures trained on one store with one budget, and what is measured of them."""

    subject: str = Field(default="bundled/smollm2-135m", description="The subject whose activations are learnt.")
    corpus: str = Field(
        default="bundled/state-of-the-union,bundled/moby-dick",
        description="Text to encode; its held-out documents are scored.",
    )
    tokens: int = Field(default=400_000, description="Most tokens of it to encode.", ge=1000)
    document_chunks: int | None = Field(
        default=16, description="Most chunks of one training document; held-out ones are read whole.", ge=1
    )
    context: int = Field(default=128, description="Tokens per chunk.", ge=8, le=8192)
    depth: float = Field(default=0.5, description="Hook point, as a fraction of the subject's depth.", ge=0, le=1)
    architectures: tuple[Annotated[str, AUTOENCODERS], ...] = Field(
        default=("topk", "batch_topk", "jumprelu", "matryoshka", "hierarchical"),
        description="Architectures to compare.",
        min_length=1,
    )
    n_latents: int = Field(default=2304, description="Latents of each dictionary.", ge=8, le=1_048_576)
    k: float = Field(default=32, description="Active latents per row.", gt=0, le=4096)
    steps: int = Field(default=1000, description="Training steps of each dictionary.", ge=1)
    batch: int = Field(default=1024, description="Rows per step.", ge=8)
    dead_after: int = Field(default=50_000, description="Rows without firing after which a latent is dead.", ge=1)
    checkpoint_every: int = Field(default=250, description="Steps between checkpoints.", ge=1)
    seeds: int = Field(default=2, description="Seeds of each; agreement needs two.", ge=1, le=100)
    rates: tuple[float, ...] = Field(
        default=(1e-3, 2e-3, 4e-3), description="Learning rates to choose among on calibration rows.", min_length=1
    )
    trial_steps: int = Field(default=150, description="Steps of a trial.", ge=1)
    rows: int = Field(default=32_768, description="Most held-out rows behind a figure of reconstruction.", ge=64)
    loss_chunks: int = Field(default=48, description="Held-out chunks behind each cross-entropy.", ge=2)
    words: int = Field(default=100, description="Most words per first letter, half of them to fit on.", ge=20)
