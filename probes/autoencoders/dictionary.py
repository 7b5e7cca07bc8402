"""A trained dictionary as a latent space: it acts on raw activations and encodes each row by itself.

The training scale s is folded so that decoder rows stay unit vectors and codes are lengths in the
residual stream: b_enc, b_dec and the threshold are divided by s, the weights stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from probes.autoencoders.topk import TopKAutoencoder
from probes.errors import WorkbenchError
from probes.hooks import HookPoint
from probes.latents import Codes, LatentTable, combine_rows

ROW_BLOCK = 4096


@dataclass(frozen=True)
class Dictionary:
    """Weights `n d` (float32 in memory), biases, and a float32 threshold below which a latent is off."""

    w_enc: Tensor
    b_enc: Tensor
    w_dec: Tensor
    b_dec: Tensor
    threshold: Tensor
    table: LatentTable
    point: HookPoint | None = None
    _bias: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_bias", self.b_enc - self.w_enc @ self.b_dec)

    @property
    def n_latents(self) -> int:
        return self.w_enc.shape[0]

    @classmethod
    def from_training(cls, trained: TopKAutoencoder, point: HookPoint, prefix: str, *, half: bool = True) -> Dictionary:
        """Fold the scale, round to half precision (so that what is calibrated is what is saved)."""
        scale = trained.scale
        kept = torch.float16 if half else torch.float32
        parts = (trained.w_enc, trained.b_enc / scale, trained.w_dec, trained.b_dec / scale)
        w_enc, b_enc, w_dec, b_dec = (part.detach().to(kept).float() for part in parts)
        return cls(w_enc, b_enc, w_dec, b_dec, torch.tensor(0.0), unknown_table(len(w_enc), prefix), point)

    def pre_activations(self, x: Tensor) -> Tensor:
        """`row d` to `row n_latents`, float32."""
        return torch.addmm(self._bias, x.float(), self.w_enc.T)

    def encode(self, x: Tensor, latents: Sequence[int] | None = None) -> Codes:
        """Codes of rows `... d`: latents whose pre-activation exceeds the threshold.

        With `latents`, only those are read, in that order (`... n_chosen`); their values are the same.
        """
        flat = x.reshape(-1, x.shape[-1])
        if latents is not None:
            chosen = torch.tensor(list(latents), dtype=torch.long)
            pre = torch.addmm(self._bias[chosen], flat.float(), self.w_enc[chosen].T)
            value = torch.where(pre > self.threshold, pre, 0.0).reshape(*x.shape[:-1], len(chosen))
            return Codes(chosen.expand(value.shape), value, self.n_latents)
        blocks = [self._encode_block(flat[at : at + ROW_BLOCK]) for at in range(0, len(flat), ROW_BLOCK)]
        width = max((value.shape[1] for value, _ in blocks), default=1)
        value = torch.cat([torch.nn.functional.pad(v, (0, width - v.shape[1])) for v, _ in blocks])
        index = torch.cat([torch.nn.functional.pad(i, (0, width - i.shape[1])) for _, i in blocks])
        shape = (*x.shape[:-1], width)
        return Codes(index.reshape(shape), value.reshape(shape), self.n_latents)

    def _encode_block(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pre = self.pre_activations(x)
        width = max(1, int((pre > self.threshold).sum(dim=1).max())) if len(x) else 1
        value, index = pre.topk(width, dim=1)
        return torch.where(value > self.threshold, value, 0.0), index

    def decode(self, codes: Codes) -> Tensor:
        """`... d` float32, with the bias."""
        return combine_rows(self.w_dec, codes) + self.b_dec

    def change(self, dz: Codes) -> Tensor:
        """What a change of codes adds to an activation, `... d` float32."""
        return combine_rows(self.w_dec, dz)

    def calibrated(self, rows: Tensor, k: float) -> Dictionary:
        """With the threshold at which these rows `row d` have k active latents on average (a quantile)."""
        wanted = round(k * len(rows))
        kept = torch.cat(
            [
                self.pre_activations(rows[at : at + ROW_BLOCK]).topk(min(4 * round(k), self.n_latents), dim=1).values
                for at in range(0, len(rows), ROW_BLOCK)
            ]
        ).flatten()
        threshold = kept.sort(descending=True).values[min(wanted, len(kept) - 1)].clamp_min(0.0)
        return replace(self, threshold=threshold.float())

    def with_table(self, table: LatentTable) -> Dictionary:
        return replace(self, table=table)

    def tensors(self) -> dict[str, Tensor]:
        """What is saved: half-precision weights, float32 threshold."""
        halves = {"w_enc": self.w_enc, "b_enc": self.b_enc, "w_dec": self.w_dec, "b_dec": self.b_dec}
        return {name: part.half() for name, part in halves.items()} | {"threshold": self.threshold.float()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], table: LatentTable, point: HookPoint) -> Dictionary:
        """Rebuild from `tensors()`. Raises `WorkbenchError` listing what is missing or misshapen."""
        missing = {"w_enc", "b_enc", "w_dec", "b_dec", "threshold"} - set(tensors)
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
        parts = [tensors[name].float() for name in ("w_enc", "b_enc", "w_dec", "b_dec", "threshold")]
        return cls(*parts, table, point)


def unknown_table(n: int, prefix: str) -> LatentTable:
    """A table before anything was measured."""
    return LatentTable(tuple(f"{prefix}/{i}" for i in range(n)), torch.ones(n), torch.zeros(n))
