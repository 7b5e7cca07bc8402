"""The Matryoshka BatchTopK autoencoder: every prefix of the dictionary has to rebuild the input by itself.

Bussmann et al. 2025; Nabeshima 2024. One selection for all widths (not one per width), so that a prefix sees
exactly the codes that the whole dictionary has.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.nested import decode_nested, nested_widths
from probes.autoencoders.selection import encode_batch_topk
from probes.configs import Variant
from probes.tasks.registry import TASKS
from probes.training.objective import Component, component
from probes.training.schedules import constant


class NestedOptions(Variant):
    """What architectures share that have widths inside one another."""

    widths: tuple[float, ...] = Field(
        default=(1 / 32, 1 / 16, 1 / 8, 1 / 4), description="Nested widths, as increasing shares of the latents."
    )
    prefix_weight: float = Field(default=1.0, description="Weight of each narrower reconstruction.", ge=0, le=100)


class MatryoshkaOptions(NestedOptions):
    """Nested widths share one BatchTopK selection, and each of them has to rebuild the input."""

    kind: Literal["matryoshka"] = Field(default="matryoshka", description="Its architecture.")


class MatryoshkaAutoencoder(TrainableAutoencoder):
    """BatchTopK codes, reconstructed from every nested width."""

    Options: ClassVar[type[Variant]] = MatryoshkaOptions
    options: NestedOptions

    def build(self) -> None:
        self.widths = nested_widths(self.n_latents, self.options.widths)

    def encode_batch(self, x: Tensor, target: Tensor) -> Encoded:
        value, index = encode_batch_topk(x, self.w_enc, self.b_enc, self.b_dec, self.k, self.ranks.rows)
        *prefixes, decoded = decode_nested(value, index, self.w_dec, self.b_dec, self.widths)
        return Encoded(x, value, index, decoded, target, prefixes=tuple(prefixes))

    def tasks(self, steps: int) -> list[Component]:
        nested = component(TASKS, "reconstruct_nested", constant(self.options.prefix_weight))
        return [*super().tasks(steps), nested]
