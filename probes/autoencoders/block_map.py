"""The selection map between two blocks of one dictionary: f(z)_j = ReLU(Σ_i g_ij softplus(w_ij) z_i − θ_j).

The same map as between levels (`probes.hierarchy.selection_map`), for codes that are sparse and sources that are
not known beforehand: every latent of the lower block is a candidate, and the product visits active ones only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from probes.autoencoders.sparse import decode_sparse
from probes.parts.gates import mean_gates, open_probability, sample_gates

# An optimiser moves a parameter by about the learning rate per step, whatever its gradient. Dictionary rows need
# to travel a fraction of one, gates several: they are stored this many times smaller.
PACE = 10.0
OPEN, WEIGHT = 1.0, -2.0  # where gates and raw weights start, as between levels


class BlockMap(nn.Module):
    """Gates and weights `n_low n_high`, thresholds `n_high`."""

    def __init__(self, n_low: int, n_high: int) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.full((n_low, n_high), OPEN / PACE))
        self.raw_weight = nn.Parameter(torch.full((n_low, n_high), WEIGHT / PACE))
        self.theta = nn.Parameter(torch.zeros(n_high))

    def forward(self, value: Tensor, index: Tensor, generator: torch.Generator) -> Tensor:
        """Lower codes `row width` to what they select, `row n_high`, through gates drawn with `generator`."""
        uniform = torch.rand(self.gate.shape, generator=generator).clamp(1e-6, 1 - 1e-6)
        gates = sample_gates(PACE * self.gate, uniform.to(self.gate))
        weights = gates * F.softplus(PACE * self.raw_weight)
        return (decode_sparse(value, index, weights) - PACE * self.theta).relu()

    def open(self) -> Tensor:
        """Probability that each gate is open, `n_low n_high`."""
        return open_probability(PACE * self.gate)

    @torch.no_grad()
    def weights(self) -> Tensor:
        """Effective weights after training, `n_low n_high`."""
        return mean_gates(PACE * self.gate) * F.softplus(PACE * self.raw_weight)
