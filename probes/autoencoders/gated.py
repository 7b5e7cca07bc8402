"""The gated autoencoder: one path decides which latents are on, another how strong they are.

Rajamanoharan et al. 2024 (improving dictionary learning with gated sparse autoencoders). Both paths share their
directions; the gate is trained by its price and by rebuilding the input through a decoder held fixed.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.relu import PricedOptions
from probes.constraints.registry import CONSTRAINTS
from probes.tasks.registry import TASKS
from probes.training.objective import Component, component
from probes.training.schedules import constant, ramp


class GatedOptions(PricedOptions):
    """A gate with a price decides which latents are on; k is not used."""

    kind: Literal["gated"] = Field(default="gated", description="Its architecture.")
    hold_decoder: bool = Field(default=True, description="Rebuild through the gate with the decoder held fixed.")


class GatedAutoencoder(TrainableAutoencoder):
    """Codes 1[π > 0] · ReLU(e^r · W(x − b_dec) + b_mag) with gate π = W(x − b_dec) + b_enc; `pre` is π."""

    Options = GatedOptions
    options: GatedOptions
    competes = False

    def build(self) -> None:
        self.log_gain = nn.Parameter(torch.zeros(self.n_latents))
        self.b_mag = nn.Parameter(torch.zeros(self.n_latents))

    def encode_batch(self, x: Tensor, target: Tensor) -> Encoded:
        gate = self.pre_activations(x)
        magnitude = (gate - self.b_enc) * self.log_gain.exp() + self.b_mag
        value = torch.where(gate > 0, magnitude.relu(), 0.0)
        return Encoded(x, value, None, value @ self.w_dec + self.b_dec, target, pre=gate)

    def through_gate(self, gate: Tensor) -> Tensor:
        """What the decoder makes of ReLU(π), `batch n` to `batch d`."""
        held = self.options.hold_decoder
        w_dec, b_dec = (part.detach() if held else part for part in (self.w_dec, self.b_dec))
        return gate.relu() @ w_dec + b_dec

    def tasks(self, steps: int) -> list[Component]:
        return [*super().tasks(steps), component(TASKS, "reconstruct_through_gate", constant(1.0))]

    def constraints(self, steps: int) -> list[Component]:
        options = self.options
        return [component(CONSTRAINTS, "gate_price", ramp(options.price, 0, round(options.warm_up * steps)))]

    def magnitudes(self) -> tuple[Tensor, Tensor] | None:
        return self.log_gain.exp(), self.b_mag
