"""What is done to rows before an autoencoder sees them. Conventions differ between tools; none is mixed here.

Every normalisation is an affine map x' = A (x − m), fitted once on a sample, or a standardisation of each row
by itself. Either folds into the weights exactly (`probes.autoencoders.folding`), so that a dictionary acts on
raw activations. A transcoder's target has a map of its own; where rows are standardised one by one it is
measured from the input row's mean, in units of its spread: at inference there is no target row to ask.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from probes.errors import WorkbenchError

ROW_EPSILON = 1e-5
RIDGE = 1e-3  # of the mean eigenvalue, so that the units of the activations do not matter


class Affine(NamedTuple):
    """x' = A (x − m). `gain`: A as a scalar, one number per dimension, or `d d`; `mean`: m, `d`, or None for 0."""

    gain: Tensor
    mean: Tensor | None = None


class Normalisation(nn.Module):
    """Statistics are buffers of fixed shape, so that a fresh module can load those of a trained one.

    `sites`: widths of the blocks a row consists of; scalar conventions scale each block by itself.
    `row_norm`: when not None, what is added to each row's standard deviation.
    """

    row_norm: float | None = None
    modulates: bool = False  # the encoder sees something else than what is to be rebuilt

    def __init__(self, d_in: int, d_out: int, sites: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.d_in, self.d_out, self.sites = d_in, d_out, sites or (d_in,)

    @abstractmethod
    def fit(self, sample: Tensor, target: Tensor) -> None:
        """Measure `row d_in` inputs and the `row d_out` targets that go with them.

        Raises `WorkbenchError` where all rows are equal: there is nothing to learn then.
        """

    @abstractmethod
    def rows(self, x: Tensor) -> Tensor:
        """`batch d_in` as the encoder sees them."""

    def rebuilt(self, x: Tensor) -> Tensor:
        """`batch d_in` as the decoder has to rebuild them, where rows are their own targets."""
        return self.rows(x)

    @abstractmethod
    def targets(self, target: Tensor, x: Tensor) -> Tensor:
        """`batch d_out` as the decoder has to rebuild them; `x`: the raw input rows they belong to."""

    @abstractmethod
    def maps(self) -> tuple[Affine, Affine]:
        """Input map and target map, without what is done row by row."""


class _Scaled(Normalisation):
    """One number for all dimensions, or one for each site."""

    scale: Tensor
    target_scale: Tensor

    def __init__(self, d_in: int, d_out: int, sites: tuple[int, ...] = ()) -> None:
        super().__init__(d_in, d_out, sites)
        self.register_buffer("scale", torch.tensor(1.0) if len(self.sites) == 1 else torch.ones(d_in))
        self.register_buffer("target_scale", torch.tensor(1.0))

    @staticmethod
    @abstractmethod
    def factor(sample: Tensor) -> float:
        """The number that rows `row d` are multiplied by."""

    def fit(self, sample: Tensor, target: Tensor) -> None:
        refuse_constant(sample)
        refuse_constant(target)
        factors = [self.factor(part) for part in sample.split(self.sites, dim=1)]
        if len(factors) == 1:
            self.scale.fill_(factors[0])
        else:
            self.scale.copy_(torch.repeat_interleave(torch.tensor(factors), torch.tensor(self.sites)))
        self.target_scale.fill_(self.factor(target))

    def rows(self, x: Tensor) -> Tensor:
        return x * self.scale

    def targets(self, target: Tensor, x: Tensor) -> Tensor:
        return target * self.target_scale

    def maps(self) -> tuple[Affine, Affine]:
        return Affine(self.scale), Affine(self.target_scale)


class CentredNorm(_Scaled):
    """√d / mean ‖x − x̄‖: about unit variance per dimension, however far the mean lies from zero."""

    @staticmethod
    def factor(sample: Tensor) -> float:
        spread = float((sample - sample.mean(dim=0)).norm(dim=1).mean())
        return float(sample.shape[1] ** 0.5 / spread)


class MeanNorm(_Scaled):
    """√d / mean ‖x‖ (expected average norm; SAELens)."""

    @staticmethod
    def factor(sample: Tensor) -> float:
        return float(sample.shape[1] ** 0.5 / float(sample.norm(dim=1).mean()))


class MeanSquare(_Scaled):
    """1 / √(mean ‖x‖²): rows have unit mean squared norm (dictionary_learning, Gemma Scope)."""

    @staticmethod
    def factor(sample: Tensor) -> float:
        return float(float(sample.square().sum(dim=1).mean()) ** -0.5)


class Unchanged(_Scaled):
    """Rows as they are."""

    @staticmethod
    def factor(sample: Tensor) -> float:
        return 1.0


class PerRow(Normalisation):
    """(x − mean_d) / (s.d._d + 1e-5) of every row by itself, s.d. over d − 1 (OpenAI, layer norm without weights)."""

    row_norm = ROW_EPSILON

    def fit(self, sample: Tensor, target: Tensor) -> None:
        refuse_constant(sample)
        refuse_constant(target)

    def rows(self, x: Tensor) -> Tensor:
        mean, spread = _moments(x)
        return (x - mean) / spread

    def targets(self, target: Tensor, x: Tensor) -> Tensor:
        mean, spread = _moments(x)
        return (target - mean) / spread

    def maps(self) -> tuple[Affine, Affine]:
        same = Affine(torch.tensor(1.0))
        return same, same


class Whitening(Normalisation):
    """(Λ + ridge)^(−1/2) Eᵀ (x − x̄) with the sample covariance E Λ Eᵀ, statistics in float64."""

    mean: Tensor
    matrix: Tensor
    target_mean: Tensor
    target_matrix: Tensor

    def __init__(self, d_in: int, d_out: int, sites: tuple[int, ...] = ()) -> None:
        super().__init__(d_in, d_out, sites)
        for name, width in (("", d_in), ("target_", d_out)):
            self.register_buffer(f"{name}mean", torch.zeros(width))
            self.register_buffer(f"{name}matrix", torch.eye(width))

    def fit(self, sample: Tensor, target: Tensor) -> None:
        for name, rows in (("", sample), ("target_", target)):
            refuse_constant(rows)
            mean, matrix = whitening(rows)
            getattr(self, f"{name}mean").copy_(mean)
            getattr(self, f"{name}matrix").copy_(matrix)

    def rows(self, x: Tensor) -> Tensor:
        return (x - self.mean) @ self.matrix.T

    def targets(self, target: Tensor, x: Tensor) -> Tensor:
        return (target - self.target_mean) @ self.target_matrix.T

    def maps(self) -> tuple[Affine, Affine]:
        return Affine(self.matrix, self.mean), Affine(self.target_matrix, self.target_mean)


def whitening(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean `d` and matrix `d d`, float64, that give rows `row d` unit covariance up to the ridge."""
    exact = rows.double()
    mean = exact.mean(dim=0)
    centred = exact - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(rows))
    return mean, ((values + RIDGE * values.mean()) ** -0.5)[:, None] * vectors.T


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread over the dimensions of each row, `batch 1`."""
    return x.mean(dim=-1, keepdim=True), x.std(dim=-1, keepdim=True) + ROW_EPSILON


def refuse_constant(sample: Tensor) -> None:
    """Raise `WorkbenchError` where all rows `row d` are equal, or there are none."""
    if not len(sample) or not bool((sample != sample[0]).any()):
        raise WorkbenchError("no-variance", "All rows are equal", "there is nothing to learn", "Capture more.")
