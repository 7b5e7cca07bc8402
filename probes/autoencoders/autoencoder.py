"""What every autoencoder architecture is to training, to the dictionary made from it, and to its tests."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from probes.errors import WorkbenchError
from probes.kernels.choice import kernels_for
from probes.training.objective import Batch
from probes.training.ranks import ALONE, Group, Ranks


@dataclass(frozen=True)
class Encoded:
    """One batch as the autoencoder sees it: `value`, `index` (`batch width`), `x`, `decoded` (`batch d`)."""

    x: Tensor
    value: Tensor
    index: Tensor
    decoded: Tensor

    def of_all(self, rows: Group, x: Tensor) -> Encoded:
        """The batch `x` as it is together with what the other processes made of their rows of it."""
        parts = (rows.whole(part) for part in (self.value, self.index, self.decoded))
        return self if rows.size == 1 else Encoded(x, *parts)


class TrainableAutoencoder(nn.Module):
    """Encoder and decoder rows are both stored `n d`; `scale` multiplies raw rows before encoding.

    An architecture says how a batch is encoded. Decoder rows are unit vectors after every step.
    `since_fired` counts rows since each latent last fired; a latent is dead after `dead_after` rows.
    `revived` counts how often each fired again after it had been dead.
    """

    scale: Tensor
    since_fired: Tensor
    revived: Tensor
    ranks: Ranks = ALONE

    def __init__(self, d_model: int, n_latents: int, k: int, *, seed: int, dead_after: int, scale: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(n_latents, d_model, generator=generator)
        rows = rows / rows.norm(dim=1, keepdim=True)
        self.w_dec = nn.Parameter(rows.clone())
        self.w_enc = nn.Parameter(rows.clone())
        self.b_enc = nn.Parameter(torch.zeros(n_latents))
        self.b_dec = nn.Parameter(torch.zeros(d_model))
        self.k, self.dead_after = k, dead_after
        self.register_buffer("scale", torch.tensor(float(scale)))
        self.register_buffer("since_fired", torch.zeros(n_latents, dtype=torch.long))
        self.register_buffer("revived", torch.zeros(n_latents, dtype=torch.long))
        self._last: Encoded | None = None

    @abstractmethod
    def encode_batch(self, x: Tensor) -> Encoded:
        """Codes and reconstruction of scaled rows, `batch d`."""

    def represent(self, batch: Batch) -> Encoded:
        """Encode `batch["x"]` (raw rows, `batch d`), and remember it for what follows the step."""
        x = batch["x"].to(self.w_enc.dtype) * self.scale
        seen = self.encode_batch(self.ranks.rows.part(x)).of_all(self.ranks.rows, x)
        self._last = Encoded(seen.x, seen.value.detach(), seen.index, seen.decoded.detach())
        return seen

    def divided(self, ranks: Ranks) -> TrainableAutoencoder:
        """This autoencoder as one of several processes trains it (`Objective.divided`)."""
        if ranks.shards.size > 1:
            raise WorkbenchError(
                "cannot-divide",
                "The latents of this dictionary cannot be divided over processes",
                f"it is a {type(self).__name__}",
                "Choose topk, or let the processes divide the rows: shards 1.",
            )
        self.ranks = ranks
        return self

    def dead(self) -> Tensor:
        """`n` bool."""
        return self.since_fired >= self.dead_after

    @torch.no_grad()
    def before_step(self) -> None:
        """Remove from the decoder's gradient what would only change row lengths."""
        if self.w_dec.grad is not None:
            kernels_for(self.w_dec.grad, self.w_dec).remove_along(self.w_dec.grad, self.w_dec)

    @torch.no_grad()
    def project(self) -> None:
        """Unit decoder rows again."""
        kernels_for(self.w_dec).normalise(self.w_dec)

    @torch.no_grad()
    def after_step(self) -> None:
        """Unit decoder rows again; count who fired."""
        self.project()
        assert self._last is not None
        dead = self.dead()
        self.since_fired += self._last.x.shape[0]
        self.since_fired[self._last.index[self._last.value > 0]] = 0
        self.revived += dead & (self.since_fired == 0)

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
