"""The TopK autoencoder: k active latents per row, unit decoder rows, auxiliary revival of dead latents.

Gao et al. 2024 (scaling and evaluating sparse autoencoders); formulas and conventions in the docs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from probes.autoencoders.sparse import decode_sparse, encode_topk
from probes.training.objective import Batch


@dataclass(frozen=True)
class Encoded:
    """One batch as the autoencoder sees it: `value`, `index` (`batch k`), `decoded` (`batch d`)."""

    x: Tensor
    value: Tensor
    index: Tensor
    decoded: Tensor


class TopKAutoencoder(nn.Module):
    """Encoder and decoder rows are both stored `n d`; `scale` multiplies raw rows before encoding.

    `since_fired` counts rows since each latent last fired; a latent is dead after `dead_after` rows.
    """

    def __init__(
        self, d_model: int, n_latents: int, k: int, *, seed: int, dead_after: int, scale: float = 1.0
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(n_latents, d_model, generator=generator)
        rows = rows / rows.norm(dim=1, keepdim=True)
        self.w_dec = nn.Parameter(rows.clone())
        self.w_enc = nn.Parameter(rows.clone())
        self.b_enc = nn.Parameter(torch.zeros(n_latents))
        self.b_dec = nn.Parameter(torch.zeros(d_model))
        self.k, self.dead_after = k, dead_after
        self.scale: Tensor
        self.since_fired: Tensor
        self.register_buffer("scale", torch.tensor(float(scale)))
        self.register_buffer("since_fired", torch.zeros(n_latents, dtype=torch.long))
        self._last: Encoded | None = None

    def represent(self, batch: Batch) -> Encoded:
        x = batch["x"].float() * self.scale
        value, index = encode_topk(x, self.w_enc, self.b_enc, self.b_dec, self.k)
        decoded = decode_sparse(value, index, self.w_dec) + self.b_dec
        self._last = Encoded(x, value.detach(), index, decoded.detach())
        return Encoded(x, value, index, decoded)

    def dead(self) -> Tensor:
        """`n` bool."""
        return self.since_fired >= self.dead_after

    @torch.no_grad()
    def before_step(self) -> None:
        """Remove from the decoder's gradient what would only change row lengths."""
        if self.w_dec.grad is not None:
            along = (self.w_dec.grad * self.w_dec).sum(dim=1, keepdim=True)
            self.w_dec.grad -= along * self.w_dec

    @torch.no_grad()
    def after_step(self) -> None:
        """Unit decoder rows again; count who fired."""
        self.w_dec.div_(self.w_dec.norm(dim=1, keepdim=True) + torch.finfo(torch.float32).eps)
        assert self._last is not None
        self.since_fired += self._last.x.shape[0]
        self.since_fired[self._last.index[self._last.value > 0]] = 0

    def gauges(self) -> dict[str, float]:
        """L0, dead share and centred explained variance of the last batch."""
        assert self._last is not None
        x, error = self._last.x, self._last.x - self._last.decoded
        variance = (x - x.mean(dim=0)).square().sum()
        return {
            "l0": float((self._last.value > 0).float().sum(dim=1).mean()),
            "dead": float(self.dead().float().mean()),
            "explained_variance": float(1 - error.square().sum() / variance),
        }
