"""The ReLU autoencoder: every positive pre-activation is a code, and codes have a price.

Bricken et al. 2023; the price carries the decoder norms (Conerly et al. 2024), so the decoder need not be unit.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.configs import Variant
from probes.constraints.registry import CONSTRAINTS
from probes.training.objective import Component, component
from probes.training.schedules import ramp


class PricedOptions(Variant):
    """What architectures share whose codes have a price."""

    price: float = Field(
        default=0.1, description="Price of a code as long as a row, as a share of the variance.", ge=0, le=1e4
    )
    warm_up: float = Field(default=0.1, description="Share of steps over which the price rises.", ge=0, le=1)


class ReluOptions(PricedOptions):
    """Every positive pre-activation is kept at a price; k is not used."""

    kind: Literal["relu"] = Field(default="relu", description="Its architecture.")


class ReluAutoencoder(TrainableAutoencoder):
    """Dense codes ReLU(pre), with a weighted L1 penalty."""

    Options: ClassVar[type[Variant]] = ReluOptions
    options: PricedOptions
    unit_rows = False
    competes = False

    def encode_batch(self, x: Tensor, target: Tensor) -> Encoded:
        value = self.pre_activations(x).relu()
        return Encoded(x, value, None, value @ self.w_dec + self.b_dec, target)

    def constraints(self, steps: int) -> list[Component]:
        options = self.options
        return [component(CONSTRAINTS, "code_price", ramp(options.price, 0, round(options.warm_up * steps)))]
