"""The crosscoder: one set of codes for several sites of a subject at once, each with its own decoder.

Lindsey et al. 2024. A row is the blocks of its sites side by side, `batch (site d)`, so that one matrix holds
the encoders and one the decoders; the price of a code is the sum of its decoder norms over sites, which lets a
latent leave the sites it is not about.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from probes.autoencoders.relu import PricedOptions, ReluAutoencoder


class CrosscoderOptions(PricedOptions):
    """Codes shared by several sites, at the price of their decoder norms summed over sites; k is not used."""

    kind: Literal["crosscoder"] = Field(default="crosscoder", description="Its architecture.")


class Crosscoder(ReluAutoencoder):
    """Dense codes ReLU(Σ_site W_site x_site + b), with one decoder per site."""

    Options = CrosscoderOptions
    several_sites = True

    def decoders(self) -> list[Tensor]:
        """Decoder rows of each site, `n d_site`."""
        return list(self.w_dec.split(self.sites, dim=1))

    def decoder_norms(self) -> Tensor:
        return torch.stack([rows.norm(dim=1) for rows in self.decoders()]).sum(dim=0)
