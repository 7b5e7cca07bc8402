"""The JumpReLU autoencoder: every latent has a threshold of its own, and it is learnt.

Rajamanoharan et al. 2024 (jumping ahead). Three penalties: a count of active latents ("step"), a smooth count
("tanh"; Anthropic, January 2025), or the squared relative distance of the count to a target ("quadratic").
The threshold itself is trained, not its logarithm: a logarithm moves by about the learning rate times the
threshold per step and hardly leaves a small start.

Where the number is aimed at, learnt thresholds come near it, not to it (of 4, they were measured to leave 1.8 on
after 100 steps, 4.2 after 1000): at the end all of them move by the one length that makes it exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.straight_through import jump
from probes.configs import Variant
from probes.constraints.active_count import ActiveCountConfig
from probes.constraints.registry import CONSTRAINTS
from probes.training.objective import Component, component
from probes.training.schedules import ramp

CROWD = 4.0  # active latents at the start, in units of k: enough to choose among, few enough to rebuild from


class JumpReluOptions(Variant):
    """Each latent is on above a learnt threshold; the quadratic penalty aims at k active latents per row."""

    kind: Literal["jumprelu"] = Field(default="jumprelu", description="Its architecture.")
    penalty: Literal["quadratic", "step", "tanh"] = Field(
        default="quadratic", description="Distance of the count to k, the count itself, or a smooth count."
    )
    price: float = Field(
        default=3.0,
        description="Weight of the penalty; try 0.1 for a count (what k active latents cost).",
        ge=0,
        le=1e4,
    )
    each_row: bool = Field(default=False, description="Aim at k in every row, not on average (quadratic only).")
    reach_price: float = Field(
        default=0.0, description="Price of how far dead latents are from firing (3e-6 with tanh).", ge=0, le=1e3
    )
    bandwidth: float = Field(default=0.1, description="Width of the band that moves a threshold.", gt=0, le=10)
    tanh_scale: float = Field(default=4.0, description="Steepness of the smooth count.", gt=0, le=100)
    first_threshold: float = Field(
        default=0.0, description="Threshold to start from; 0 fits one at which 4 k are active.", ge=0, le=100
    )
    warm_up: float = Field(default=0.1, description="Share of steps over which the penalty rises.", ge=0, le=1)


class JumpReluAutoencoder(TrainableAutoencoder):
    """Dense codes pre · 1[pre > θ], θ ≥ 0 in float32 whatever the other weights are."""

    Options = JumpReluOptions
    options: JumpReluOptions
    competes = False

    def build(self) -> None:
        self.threshold = nn.Parameter(torch.full((self.n_latents,), float(self.options.first_threshold)))

    def begin(self, sample: Tensor, target: Tensor | None = None) -> None:
        super().begin(sample, target)
        if self.options.first_threshold == 0:
            with torch.no_grad():
                pre = self.pre_activations(self.normalise.rows(sample[:1024])).flatten()
                wanted = min(round(CROWD * self.k * len(sample[:1024])), len(pre))
                self.threshold.fill_(float(pre.topk(wanted, sorted=False).values.min().clamp_min(0)))

    def encode_batch(self, x: Tensor, target: Tensor) -> Encoded:
        pre = self.pre_activations(x)
        value = jump(pre, self.threshold, self.options.bandwidth)
        return Encoded(x, value, None, value @ self.w_dec + self.b_dec, target, pre=pre)

    def constraints(self, steps: int) -> list[Component]:
        said = self.options
        counted = ActiveCountConfig(
            penalty=said.penalty,
            target=self.k,
            each_row=said.each_row,
            bandwidth=said.bandwidth,
            tanh_scale=said.tanh_scale,
        )
        rising = round(said.warm_up * steps)
        found = [component(CONSTRAINTS, "active_count", ramp(said.price, 0, rising), counted)]
        if said.reach_price:
            found.append(component(CONSTRAINTS, "within_reach", ramp(said.reach_price, 0, rising)))
        return found

    def after_step(self) -> None:
        super().after_step()
        with torch.no_grad():
            self.threshold.clamp_min_(0.0)

    def thresholds(self) -> Tensor:
        return self.threshold

    def aims_at_k(self) -> bool:
        """A count's price promises no number."""
        return self.options.penalty == "quadratic"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Move and cast as asked, but never round the threshold: in half precision it would hardly move."""
        exact = self.threshold.data
        moved = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.threshold.dtype in (torch.float16, torch.bfloat16):
            self.threshold.data = exact.to(self.threshold.device, torch.float32)
        return moved
