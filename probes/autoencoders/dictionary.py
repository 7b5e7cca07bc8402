"""A trained dictionary as a latent space: it acts on raw activations and encodes each row by itself.

A latent is on when its pre-activation exceeds its threshold and, where `most_active` is given, is among
that many largest of its row. For dictionaries trained by TopK the threshold alone would not do: rows of
unusually large norm (at an early layer every third " the" has one dimension that carries most of the
variance) put thousands of latents above any one threshold, which was measured to turn an explained
variance of 0.91 into −5.

Codes of our own dictionaries are lengths in the stream: a normalisation is folded so that decoder rows stay unit
vectors (`probes.autoencoders.folding`, which also says when they do not).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.folding import fold
from probes.errors import WorkbenchError
from probes.hooks import HookPoint
from probes.kernels.choice import kernels_for, narrow_pays
from probes.latents import Codes, LatentEdges, LatentTable, combine_rows

ROW_BLOCK = 4096
MANY_ROWS = 256  # from here on a product of rows costs more than converting the weights
WEIGHTS = ("w_enc", "b_enc", "w_dec", "b_dec")
OPTIONAL = ("gain", "magnitude_bias", "skip")
INNER = ("inner_source", "inner_target", "inner_weight")


@dataclass(frozen=True)
class Dictionary:
    """Encoder rows `n d_in`, decoder rows `n d_out`, biases, and what decides which latents are on.

    threshold: `n`, float32 whatever the weights were; a latent is off unless its pre-activation exceeds it.
    most_active: how many latents of a row may be on; None leaves it to the thresholds.
    centre: subtract b_dec from the input first.
    gain, magnitude_bias: `n` each, for gated encoders, whose values are gain · pre + bias where the gate is on.
    skip: `d_out d_in`, what a skip transcoder adds straight from its input.
    inner: the edges that selection maps inside the dictionary keep, part to whole.
    row_norm: when not None, rows are standardised over their dimensions first (s.d. plus this epsilon).
    point: where it reads; writes: where its decoder writes, when that is another place (transcoders).
    """

    w_enc: Tensor
    b_enc: Tensor
    w_dec: Tensor
    b_dec: Tensor
    threshold: Tensor
    most_active: int | None
    table: LatentTable
    point: HookPoint | None = None
    writes: HookPoint | None = None
    centre: bool = True
    gain: Tensor | None = None
    magnitude_bias: Tensor | None = None
    skip: Tensor | None = None
    row_norm: float | None = None
    inner: LatentEdges = field(default_factory=LatentEdges.none, compare=False)
    _bias: Tensor = field(init=False, repr=False, compare=False)
    _positive: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        bias = self.b_enc - self.w_enc @ self.b_dec if self.centre else self.b_enc
        object.__setattr__(self, "_bias", bias)
        object.__setattr__(self, "threshold", self.threshold.float().expand(self.n_latents).contiguous())
        object.__setattr__(self, "_positive", bool((self.threshold >= 0).all()))

    @property
    def n_latents(self) -> int:
        return self.w_enc.shape[0]

    @classmethod
    def from_training(
        cls,
        trained: TrainableAutoencoder,
        point: HookPoint,
        prefix: str,
        *,
        half: bool = True,
        writes: HookPoint | None = None,
        band: int | None = None,
    ) -> Dictionary:
        """Fold the normalisation (of one `band`, where it has several); round to half precision, so that what is
        calibrated is what is saved.

        Thresholds stay in float32. Where k is aimed at they are still to be held to it: see `calibrated`.
        """
        folded = fold(trained, band)
        kept = torch.float16 if half else torch.float32
        w_enc, b_enc, w_dec, b_dec = (part.to(kept).float() for part in folded[:4])
        return cls(
            w_enc,
            b_enc,
            w_dec,
            b_dec,
            folded.threshold,
            trained.most_active(),
            unknown_table(len(w_enc), prefix),
            point,
            writes,
            centre=trained.centre,
            gain=folded.gain,
            magnitude_bias=folded.magnitude_bias,
            skip=folded.skip,
            row_norm=trained.normalise.row_norm,
            inner=trained.inner_edges(),
        )

    def pre_activations(self, x: Tensor) -> Tensor:
        """`row d_in` to `row n_latents`, float32: what the thresholds look at."""
        return torch.addmm(self._bias, self._standardised(x)[0], self.w_enc.T)

    def encode(self, x: Tensor, latents: Sequence[int] | None = None) -> Codes:
        """Codes of rows `... d_in`, padded to one width; with `latents`, of those only and in that order.

        Where latents do not compete (no `most_active`), only the rows of those asked for are computed. Where
        they do and this machine multiplies bfloat16 faster, many rows at once are screened in it: candidates
        are then scored in float32, and no others can be on.
        """
        flat = x.reshape(-1, x.shape[-1])
        if latents is not None and self.most_active is None:
            return self._encode_only(x, torch.tensor(list(latents), dtype=torch.long, device=x.device))
        parts = [self._encode_block(flat[at : at + ROW_BLOCK]) for at in range(0, max(len(flat), 1), ROW_BLOCK)]
        width = max(index.shape[1] for _, index in parts)
        value, index = (torch.cat([_widened(part, width) for part in column]) for column in zip(*parts, strict=True))
        shape = (*x.shape[:-1], width)
        codes = Codes(index.reshape(shape), value.reshape(shape), self.n_latents)
        return codes if latents is None else codes.only(latents)

    def _encode_block(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and indices, `row width`; entries that are off have value 0."""
        rows, _, spread = self._standardised(x)
        rows, kernels = rows.contiguous(), kernels_for(rows, self.w_enc)
        if self.most_active is None:
            value, index = kernels.above(rows, self.w_enc, self._bias, self.threshold)
            on = value != 0
        elif not self._positive:
            value, index = torch.addmm(self._bias, rows, self.w_enc.T).topk(self.most_active, dim=1)
            on = value > self.threshold[index]
        else:
            many = len(rows) >= MANY_ROWS and rows.device.type == "cpu" and not rows.requires_grad
            narrow = many and narrow_pays()
            # A narrow product errs in proportion to what enters it: without the mean that is less.
            centred = narrow and self.centre
            shifted, bias = (rows - self.b_dec, self.b_enc) if centred else (rows, self._bias)
            value, index = kernels.select(shifted, self.w_enc, bias, self.most_active, narrow=narrow)
            on = value > self.threshold[index]
        value = torch.where(on, self._magnitude(value, self.b_enc[index], index), 0.0)
        return (value if spread is None else value * spread), index

    def _encode_only(self, x: Tensor, latents: Tensor) -> Codes:
        """`... latent`: each of these by its own threshold; no other row of the encoder is read."""
        rows, _, spread = self._standardised(x)
        pre = rows @ self.w_enc[latents].T + self._bias[latents]
        value = self._magnitude(pre, self.b_enc[latents], latents)
        value = torch.where(pre > self.threshold[latents], value, 0.0)
        return Codes(latents.expand(value.shape), value if spread is None else value * spread, self.n_latents)

    def _magnitude(self, pre: Tensor, bias: Tensor, index: Tensor) -> Tensor:
        """What latents whose gate is on are worth; never negative where they are gated."""
        if self.gain is None or self.magnitude_bias is None:
            return pre
        return (self.gain[index] * (pre - bias) + self.magnitude_bias[index]).relu()

    def _standardised(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The rows the encoder sees, and the mean and spread taken out of each (`row 1`; None when nothing is)."""
        x = x.float()
        if self.row_norm is None:
            return x, None, None
        mean, spread = x.mean(dim=-1, keepdim=True), x.std(dim=-1, keepdim=True) + self.row_norm
        return (x - mean) / spread, mean, spread

    def reconstruct(self, x: Tensor, codes: Codes | None = None) -> Tensor:
        """What the decoder makes of rows `... d_in`, with every bias and skip: `... d_out` float32."""
        codes = self.encode(x) if codes is None else codes
        return self.change(codes) + self.offset(x)

    def offset(self, x: Tensor) -> Tensor:
        """The part of the reconstruction that no code carries: `... d_in` to `... d_out`, float32."""
        rows, mean, spread = self._standardised(x)
        found = self.b_dec.expand(*x.shape[:-1], -1)
        if self.skip is not None:
            found = found + rows @ self.skip.T
        return found if mean is None or spread is None else found * spread + mean

    def change(self, dz: Codes) -> Tensor:
        """What a change of codes adds to an activation, `... d_out` float32."""
        return combine_rows(self.w_dec, dz)

    def calibrated(self, rows: Tensor, k: float, *, learnt: bool = False) -> Dictionary:
        """With one threshold at which these rows `row d_in` have k active latents on average (a quantile).

        `learnt`: each latent keeps its own threshold, and all are moved by one length instead; none falls below
        zero. Exact, and never more than a few times k · row values at once: what is already below the quantile of
        the blocks seen so far is dropped.
        """
        wanted = round(k * len(rows))
        kept, floor, seen = torch.empty(0), -torch.inf, 0
        for at in range(0, len(rows), ROW_BLOCK):
            pre = self.pre_activations(rows[at : at + ROW_BLOCK])
            if learnt:  # what is not positive stays off, however far thresholds fall
                pre = torch.where(pre > 0, pre - self.threshold, -torch.inf)
            if self.most_active is not None:
                pre = pre.topk(self.most_active, dim=1).values
            seen += pre.numel()
            kept = torch.cat([kept, pre[pre >= floor]])
            if len(kept) > wanted + 1:
                kept = kept.topk(wanted + 1, sorted=False).values
                floor = float(kept.min())
        found = kept.sort(descending=True).values[min(wanted, seen - 1)].float()
        return replace(self, threshold=(self.threshold + found if learnt else found).clamp_min(0.0))

    def edges(self) -> LatentEdges:
        """The edges between its own latents; none but where it was trained with levels inside."""
        return self.inner

    def with_table(self, table: LatentTable) -> Dictionary:
        return replace(self, table=table)

    def tensors(self) -> dict[str, Tensor]:
        """What is saved: weights in half precision where that loses nothing, thresholds in float32; what a
        dictionary does without is not there."""
        kept = {name: _smallest(getattr(self, name)) for name in WEIGHTS}
        kept |= {name: part.float() for name in OPTIONAL if (part := getattr(self, name)) is not None}
        same = bool((self.threshold == self.threshold[0]).all())
        kept["threshold"] = self.threshold[0].clone() if same else self.threshold.contiguous()
        if self.most_active is not None:
            kept["most_active"] = torch.tensor(self.most_active)
        if self.row_norm is not None:
            kept["row_norm"] = torch.tensor(self.row_norm, dtype=torch.float64)
        if not self.centre:
            kept["centre"] = torch.tensor(0)
        if len(self.inner.source):
            kept |= dict(zip(INNER, self.inner, strict=True))
        return kept

    @classmethod
    def from_tensors(
        cls, tensors: dict[str, Tensor], table: LatentTable, point: HookPoint, writes: HookPoint | None = None
    ) -> Dictionary:
        """Rebuild from `tensors()`. Raises `WorkbenchError` listing what is missing or misshapen."""
        missing = {*WEIGHTS, "threshold"} - set(tensors)
        if missing or not _fits(tensors, len(table)):
            shapes = {name: tuple(part.shape) for name, part in tensors.items()}
            raise WorkbenchError(
                "bad-dictionary",
                "A dictionary cannot be opened",
                f"missing {sorted(missing)}" if missing else f"its shapes do not fit {len(table)} latents: {shapes}",
                "Train it again, or fetch an undamaged copy.",
            )
        w_enc, b_enc, w_dec, b_dec, threshold = (tensors[name].float() for name in (*WEIGHTS, "threshold"))
        most = min(int(tensors["most_active"]), len(table)) if "most_active" in tensors else None
        return cls(
            w_enc,
            b_enc,
            w_dec,
            b_dec,
            threshold,
            most,
            table,
            point,
            writes,
            centre=bool(tensors.get("centre", True)),
            row_norm=float(tensors["row_norm"]) if "row_norm" in tensors else None,
            inner=LatentEdges(*(tensors[name] for name in INNER)) if INNER[0] in tensors else LatentEdges.none(),
            **{name: tensors[name].float() for name in OPTIONAL if name in tensors},
        )


def _fits(tensors: dict[str, Tensor], n: int) -> bool:
    """Do all shapes belong to one dictionary of n latents?"""
    w_enc, w_dec = tensors["w_enc"], tensors["w_dec"]
    if w_enc.ndim != 2 or w_dec.ndim != 2 or len(w_enc) != n or len(w_dec) != n:
        return False
    wide_in, wide_out = w_enc.shape[1], w_dec.shape[1]
    wanted: dict[str, tuple[int, ...]] = {"b_enc": (n,), "b_dec": (wide_out,), "skip": (wide_out, wide_in)}
    wanted |= {"gain": (n,), "magnitude_bias": (n,)}
    if any(tuple(tensors[name].shape) != shape for name, shape in wanted.items() if name in tensors):
        return False
    if any(name in tensors for name in INNER) and not _are_edges([tensors.get(name) for name in INNER], n):
        return False
    centred = bool(tensors.get("centre", True))
    gated = ("gain" in tensors) == ("magnitude_bias" in tensors)
    return tuple(tensors["threshold"].shape) in ((), (n,)) and gated and (wide_in == wide_out or not centred)


def _are_edges(parts: Sequence[Tensor | None], n: int) -> bool:
    """Are these sources, targets and weights of edges between n latents?"""
    if any(part is None or part.ndim != 1 or len(part) != len(parts[0]) for part in parts):  # type: ignore[arg-type]
        return False
    ends = [part for part in parts[:2] if part is not None]
    return all(part.dtype == torch.int64 and bool(((part >= 0) & (part < n)).all()) for part in ends)


def _smallest(part: Tensor) -> Tensor:
    """Half precision when every number survives it."""
    half = part.half()
    return half if torch.equal(half.float(), part) else part.float()


def _widened(part: Tensor, width: int) -> Tensor:
    """Padded with zeros on the right, `row width`."""
    return torch.nn.functional.pad(part, (0, width - part.shape[1]))


def unknown_table(n: int, prefix: str) -> LatentTable:
    """A table before anything was measured."""
    return LatentTable(tuple(f"{prefix}/{i}" for i in range(n)), torch.ones(n), torch.zeros(n))
