"""The latents of a representation as a latent space: read everywhere, written around rows that are known.

Its decoder is bent, so what a change of codes adds depends on where it starts. A space `around` rows knows that; one
that is around nothing refuses to write instead of pretending that the decoder were a matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from probes.errors import WorkbenchError
from probes.hooks import HookPoint
from probes.latents import Codes, LatentEdges, LatentTable
from probes.representations.representation import LatentModel


@dataclass(frozen=True)
class RepresentationSpace:
    """Latents are means of posteriors, dense and signed; the table's `typical` is their standard deviation.

    `start`: latents of the rows that `change` starts from, `… latent`; None for a space that only reads.
    """

    model: LatentModel
    table: LatentTable
    called: str = "This representation"
    start: Tensor | None = None
    point: HookPoint | None = None  # it reads what a world shows, not an activation of a subject

    @property
    def writes(self) -> bool:
        """Whether there is a decoder back to what is seen."""
        return self.model.decoder is not None

    @torch.no_grad()
    def encode(self, x: Tensor, latents: Sequence[int] | None = None) -> Codes:
        """Latents of rows `… *shape` as a world shows them, pictures as bytes."""
        z = self.model.codes(x)
        chosen = torch.arange(len(self.table)) if latents is None else torch.tensor(list(latents), dtype=torch.long)
        value = z[..., chosen]
        return Codes(chosen.expand(value.shape), value, len(self.table))

    def around(self, z: Tensor) -> RepresentationSpace:
        """The same space around rows whose latents are `z`, `… latent`. Raises `WorkbenchError` without a decoder."""
        self._decoder()
        return replace(self, start=z.float())

    @torch.no_grad()
    def decoded(self) -> Tensor:
        """What the rows it is around decode to, `… *shape`, as they are."""
        return self._decode(self._start())

    @torch.no_grad()
    def change(self, dz: Codes) -> Tensor:
        """decode(z + dz) − decode(z) of the rows it is around, `… *shape`: exactly nothing where dz is nothing."""
        start = self._start()
        return self._decode(start + dz.dense().to(start)) - self._decode(start)

    def edges(self) -> LatentEdges:
        return LatentEdges.none()

    def _start(self) -> Tensor:
        if self.start is None:
            self._decoder()
            raise ValueError("what a change adds depends on the rows it starts from: take the space around them first")
        return self.start

    def _decode(self, z: Tensor) -> Tensor:
        found: Tensor = self._decoder()(z.reshape(-1, z.shape[-1]))
        return found.reshape(*z.shape[:-1], *self.model.spec.shape)

    def _decoder(self) -> torch.nn.Module:
        if self.model.decoder is None:
            raise WorkbenchError(
                "no-decoder",
                f"{self.called} cannot be written to",
                "its task trains no decoder back to what is seen",
                "Choose one whose task decodes, such as reconstruction.",
            )
        return self.model.decoder
