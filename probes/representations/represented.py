"""What a representation makes of a batch: all that constraints get to see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from probes.training.randomness import generator


def as_they_are(mean: Tensor) -> Tensor:
    """All of it."""
    return mean


@dataclass(frozen=True)
class Represented:
    """Latents of a batch. `mean`, `log_variance`: `… latent`, of the posterior; `z`: what tasks read, the mean unless a
    constraint imposed something else; `second`, `past`: the same of the other view and of the `lag` views before, where
    a part wants them; `caption`: `row latent`, the captions as vectors; `mask`: `row latent`, which latents a caption
    speaks of; `conditions`: what constraints are told of the batch; `draw`: names this batch's noise; `slope`: (rows,
    latent) to the encoder's slope there, `row dimension`, in units of what is seen; `codes`: what counts of the means
    of rows that a task encodes by itself."""

    mean: Tensor
    log_variance: Tensor
    z: Tensor
    conditions: Mapping[str, Tensor]
    draw: tuple[int, int]
    second: Represented | None = None
    past: Represented | None = None
    caption: Tensor | None = None
    mask: Tensor | None = None
    slope: Callable[[int, int], Tensor] | None = None
    sampled: bool = False
    codes: Callable[[Tensor], Tensor] = as_they_are

    def each(self) -> list[tuple[str, Represented]]:
        """This and the other views that were encoded, by name."""
        views = [("x", self), ("second", self.second), ("past", self.past)]
        return [(name, view) for name, view in views if view is not None]


def as_samples(seen: Represented) -> Represented:
    """The same with z drawn from the posteriors; the noise is a function of seed, step and view."""
    if seen.sampled:
        return seen
    drawn = {name: _sample(view, name, seen.draw) for name, view in seen.each()}
    return replace(drawn["x"], second=drawn.get("second"), past=drawn.get("past"))


def _sample(view: Represented, name: str, draw: tuple[int, int]) -> Represented:
    seed, step = draw
    noise = torch.randn(view.mean.shape, generator=generator(seed, f"sample/{name}", step), dtype=view.mean.dtype)
    z = view.mean + torch.exp(view.log_variance / 2) * noise.to(view.mean.device)
    return replace(view, z=z, sampled=True)
