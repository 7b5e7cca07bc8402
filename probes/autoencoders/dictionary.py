"""A trained dictionary as a latent space: it acts on raw activations and encodes each row by itself.

A latent is on when its pre-activation exceeds the threshold and is among the `most_active` largest of
its row. The threshold alone would not do: rows of unusually large norm (at an early layer every third
" the" has one dimension that carries most of the variance) put thousands of latents above any one
threshold, which was measured to turn an explained variance of 0.91 into −5.

The training scale s is folded so that decoder rows stay unit vectors and codes are lengths in the
residual stream: b_enc, b_dec and the threshold are divided by s, the weights stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.errors import WorkbenchError
from probes.hooks import HookPoint
from probes.latents import Codes, LatentTable, combine_rows

ROW_BLOCK = 4096
WIDEST = 1.5  # most active latents of a row, in units of k


@dataclass(frozen=True)
class Dictionary:
    """Weights `n d` (float32 in memory), biases, and a float32 threshold below which a latent is off."""

    w_enc: Tensor
    b_enc: Tensor
    w_dec: Tensor
    b_dec: Tensor
    threshold: Tensor
    most_active: int
    table: LatentTable
    point: HookPoint | None = None
    _bias: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_bias", self.b_enc - self.w_enc @ self.b_dec)

    @property
    def n_latents(self) -> int:
        return self.w_enc.shape[0]

    @classmethod
    def from_training(
        cls, trained: TrainableAutoencoder, point: HookPoint, prefix: str, *, half: bool = True
    ) -> Dictionary:
        """Fold the scale, round to half precision (so that what is calibrated is what is saved)."""
        scale = trained.scale
        kept = torch.float16 if half else torch.float32
        parts = (trained.w_enc, trained.b_enc / scale, trained.w_dec, trained.b_dec / scale)
        w_enc, b_enc, w_dec, b_dec = (part.detach().to(kept).float() for part in parts)
        most = min(math.ceil(WIDEST * trained.k), len(w_enc))
        return cls(w_enc, b_enc, w_dec, b_dec, torch.tensor(0.0), most, unknown_table(len(w_enc), prefix), point)

    def pre_activations(self, x: Tensor) -> Tensor:
        """`row d` to `row n_latents`, float32."""
        return torch.addmm(self._bias, x.float(), self.w_enc.T)

    def encode(self, x: Tensor, latents: Sequence[int] | None = None) -> Codes:
        """Codes of rows `... d`, `... most_active`; with `latents`, of those only and in that order."""
        flat = x.reshape(-1, x.shape[-1])
        parts = [self._encode_block(flat[at : at + ROW_BLOCK]) for at in range(0, max(len(flat), 1), ROW_BLOCK)]
        shape = (*x.shape[:-1], self.most_active)
        value, index = (torch.cat(part).reshape(shape) for part in zip(*parts, strict=True))
        codes = Codes(index, value, self.n_latents)
        return codes if latents is None else codes.only(latents)

    def _encode_block(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, index = self.pre_activations(x).topk(self.most_active, dim=1)
        return torch.where(value > self.threshold, value, 0.0), index

    def decode(self, codes: Codes) -> Tensor:
        """`... d` float32, with the bias."""
        return combine_rows(self.w_dec, codes) + self.b_dec

    def change(self, dz: Codes) -> Tensor:
        """What a change of codes adds to an activation, `... d` float32."""
        return combine_rows(self.w_dec, dz)

    def calibrated(self, rows: Tensor, k: float) -> Dictionary:
        """With the threshold at which these rows `row d` have k active latents on average (a quantile)."""
        blocks = (self.pre_activations(rows[at : at + ROW_BLOCK]) for at in range(0, len(rows), ROW_BLOCK))
        kept = torch.cat([block.topk(self.most_active, dim=1).values for block in blocks]).flatten()
        wanted = min(round(k * len(rows)), len(kept) - 1)
        threshold = kept.sort(descending=True).values[wanted].clamp_min(0.0)
        return replace(self, threshold=threshold.float())

    def with_table(self, table: LatentTable) -> Dictionary:
        return replace(self, table=table)

    def tensors(self) -> dict[str, Tensor]:
        """What is saved: half-precision weights, float32 threshold."""
        halves = {"w_enc": self.w_enc, "b_enc": self.b_enc, "w_dec": self.w_dec, "b_dec": self.b_dec}
        return {name: part.half() for name, part in halves.items()} | {
            "threshold": self.threshold.float(),
            "most_active": torch.tensor(self.most_active),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], table: LatentTable, point: HookPoint) -> Dictionary:
        """Rebuild from `tensors()`. Raises `WorkbenchError` listing what is missing or misshapen."""
        missing = {"w_enc", "b_enc", "w_dec", "b_dec", "threshold", "most_active"} - set(tensors)
        shapes = {name: tuple(part.shape) for name, part in tensors.items()}
        n = len(table)
        good = not missing and shapes["w_enc"] == shapes["w_dec"] and shapes["b_enc"] == (n,) == shapes["w_enc"][:1]
        if not good:
            raise WorkbenchError(
                "bad-dictionary",
                "A dictionary cannot be opened",
                f"missing {sorted(missing)}" if missing else f"its shapes do not fit {n} latents: {shapes}",
                "Train it again, or fetch an undamaged copy.",
            )
        names = ("w_enc", "b_enc", "w_dec", "b_dec", "threshold")
        w_enc, b_enc, w_dec, b_dec, threshold = (tensors[name].float() for name in names)
        return cls(w_enc, b_enc, w_dec, b_dec, threshold, min(int(tensors["most_active"]), n), table, point)


def unknown_table(n: int, prefix: str) -> LatentTable:
    """A table before anything was measured."""
    return LatentTable(tuple(f"{prefix}/{i}" for i in range(n)), torch.ones(n), torch.zeros(n))
