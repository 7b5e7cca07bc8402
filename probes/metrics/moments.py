"""What one pass over held-out rows leaves of a reconstruction: streamed float64 sums, from which every
convention of explained variance and of sparsity is read."""

from __future__ import annotations

import torch
from torch import Tensor

from probes.metrics.metric import measured


class Moments:
    """Streamed sums over rows of a target x, its reconstruction x̂ and the codes behind it.

    `mean` (`d`) is the mean of the target over the very rows that will be added: two conventions measure
    each row from it, so it is needed first. `n`: latents.
    """

    def __init__(self, mean: Tensor, n: int) -> None:
        self.mean = mean.double()
        zeros = torch.zeros_like(self.mean)
        self.rows, self.active = 0, 0
        self.x_square, self.variance = zeros.clone(), zeros.clone()  # Σ x², Σ (x − mean)², per dimension
        self.error, self.error_square = zeros.clone(), zeros.clone()  # Σ e, Σ e², e = x − x̂
        self.decoded_square, self.product = 0.0, 0.0  # Σ ‖x̂‖², Σ ⟨x, x̂⟩
        self.row_shares, self.row_shares_raw, self.lengths = 0.0, 0.0, 0.0
        self.fired = torch.zeros(n, dtype=torch.float64)

    def add(self, x: Tensor, decoded: Tensor, index: Tensor, value: Tensor) -> None:
        """Rows `row d`, their reconstructions, and their codes `row width` (value 0 is padding)."""
        x, decoded = x.double(), decoded.double()
        error, centred = x - decoded, x - self.mean
        self.rows += len(x)
        self.x_square += x.square().sum(dim=0)
        self.variance += centred.square().sum(dim=0)
        self.error += error.sum(dim=0)
        self.error_square += error.square().sum(dim=0)
        self.decoded_square += float(decoded.square().sum())
        self.product += float((x * decoded).sum())
        squared, size = error.square().sum(dim=1), x.square().sum(dim=1)
        self.row_shares += float((squared / centred.square().sum(dim=1).clamp_min(1e-30)).sum())
        self.row_shares_raw += float((squared / size.clamp_min(1e-30)).sum())
        self.lengths += float((decoded.norm(dim=1) / size.sqrt().clamp_min(1e-30)).sum())
        on = value != 0
        self.active += int(on.sum())
        self.fired += torch.bincount(index[on], minlength=len(self.fired))

    def figures(self) -> dict[str, float]:
        """Every metric that reads moments, by its registered name, and the number of rows."""
        return {"rows": float(self.rows), **measured(self, "moments")}
