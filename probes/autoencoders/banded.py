"""One dictionary for a whole trajectory: rows of every noise band brought to one scale, and, where asked for, the
encoder's input modulated by band (FiLM).

The norm and the mean of an update drift along a trajectory, so each band is centred and scaled by itself. A
modulation on top is a learned scale and shift per dimension and band, of the encoder's input only: what is to be
rebuilt stays as it was, else the easiest loss would be to scale everything away. Both fold into the weights of one
dictionary per band (`probes.autoencoders.folding`), with the same latents.

A row carries the number of its band as one more entry, the last.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from probes.autoencoders.normalisation import Affine, Normalisation, refuse_constant


class Banded(Normalisation):
    """Per band: rows minus the band's mean, scaled to about unit variance per dimension; and the modulation."""

    mean: Tensor
    scale: Tensor

    def __init__(self, d: int, bands: int, *, modulates: bool) -> None:
        super().__init__(d, d)
        self.register_buffer("mean", torch.zeros(bands, d))
        self.register_buffer("scale", torch.ones(bands))
        self.modulates = modulates
        if modulates:
            self.gain = nn.Parameter(torch.zeros(bands, d))
            self.shift = nn.Parameter(torch.zeros(bands, d))

    def fit(self, sample: Tensor, target: Tensor) -> None:
        rows, band = _parted(sample)
        for number in range(len(self.scale)):
            own = rows[band == number]
            refuse_constant(own)
            mean = own.mean(dim=0)
            self.mean[number] = mean
            self.scale[number] = float(own.shape[1] ** 0.5 / (own - mean).norm(dim=1).mean())

    def rows(self, x: Tensor) -> Tensor:
        plain, (_, band) = self.rebuilt(x), _parted(x)
        return plain * (1 + self.gain[band]) + self.shift[band] if self.modulates else plain

    def rebuilt(self, x: Tensor) -> Tensor:
        rows, band = _parted(x)
        return (rows - self.mean[band].to(rows)) * self.scale[band, None].to(rows)

    def targets(self, target: Tensor, x: Tensor) -> Tensor:
        return self.rebuilt(target)

    def maps(self) -> tuple[Affine, Affine]:
        return self.maps_at(0)

    def maps_at(self, band: int) -> tuple[Affine, Affine]:
        """Input map and target map of one band."""
        scale, mean = self.scale[band], self.mean[band]
        if not self.modulates:
            return Affine(scale, mean), Affine(scale, mean)
        gain = (1 + self.gain[band].detach()) * scale
        # Where a gain has come to zero the shift is all there is: keep it finite.
        safe = torch.where(gain.abs() < 1e-12, torch.full_like(gain, 1e-12), gain)
        return Affine(gain, mean - self.shift[band].detach() / safe), Affine(scale, mean)


def with_band(x: Tensor, band: int) -> Tensor:
    """Rows `row d` with the number of their band, `row d+1`."""
    return torch.cat([x, x.new_full((len(x), 1), band)], dim=1)


def _parted(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[:, :-1], x[:, -1].round().long()
