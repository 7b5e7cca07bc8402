"""What files expect to be done to activations before the encoder sees them, and its exact fold into weights.

Every fold obeys one invariant: folded weights on x give what the file's weights give on the normalised x,
codes and reconstruction both. Folds are computed in float64.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from probes.formats.files import refused

if TYPE_CHECKING:
    from probes.autoencoders.dictionary import Dictionary
    from probes.formats.imported import Imported


@dataclass(frozen=True)
class Unnormalised:
    """Nothing is done."""

    def checked(self, d_in: int, d_out: int, name: str) -> Unnormalised:
        return self

    def folded(self, found: Imported) -> Imported:
        return found


@dataclass(frozen=True)
class Scale:
    """The input times `inside`; the reconstruction divided by `outside` (the same, where input is output)."""

    inside: float
    outside: float

    def checked(self, d_in: int, d_out: int, name: str) -> Scale:
        if not 0 < self.inside < float("inf") or not 0 < self.outside < float("inf"):
            raise refused(name, f"it scales activations by {self.inside:g} and {self.outside:g}")
        return self

    def folded(self, found: Imported) -> Imported:
        """W_enc · s_in, W_dec / s_out, b_dec / s_out; biases of the encoder and thresholds stay.

        A subtracted b_dec is in units of the scaled input: it needs s_in = s_out, which holds for
        everything that reads where it writes.
        """
        if found.centre and self.inside != self.outside:
            raise refused(found.format, "it subtracts a bias of its output from an input in other units")
        return replace(
            found,
            w_enc=found.w_enc * self.inside,
            w_dec=found.w_dec / self.outside,
            b_dec=found.b_dec / self.outside,
            skip=None if found.skip is None else found.skip * (self.inside / self.outside),
        )


@dataclass(frozen=True)
class MeanNorm:
    """The input times √d / (mean norm), with a mean norm that is not in the file."""

    needs_mean_norm = True
    d_in: int

    def checked(self, d_in: int, d_out: int, name: str) -> MeanNorm:
        return self

    def measured(self, mean_norm: float) -> Scale:
        return Scale(self.d_in**0.5 / mean_norm, self.d_in**0.5 / mean_norm)

    def folded(self, found: Imported) -> Imported:
        raise refused("This dictionary", "its files leave its scale open", "Give the mean norm of the rows it reads.")


@dataclass(frozen=True)
class Affine:
    """z = (x − mean) @ matrix, undone by x = z @ inverse + mean; `d`, `d d`, `d d` (or `d` for diagonal maps)."""

    mean: Tensor
    matrix: Tensor
    inverse: Tensor

    def checked(self, d_in: int, d_out: int, name: str) -> Affine:
        shapes = [tuple(part.shape) for part in (self.mean, self.matrix, self.inverse)]
        if shapes not in ([(d_in,)] * 3, [(d_in,), (d_in, d_in), (d_in, d_in)]) or d_in != d_out:
            raise refused(name, f"its normalisation has shapes {shapes}, not those of {d_in} dimensions")
        mean, matrix = self.mean.double(), self.matrix.double()
        back = matrix * self.inverse.double() if matrix.ndim == 1 else matrix @ self.inverse.double()
        one = torch.ones_like(mean) if matrix.ndim == 1 else torch.eye(d_in, dtype=torch.float64)
        if not torch.allclose(back, one, atol=1e-3):
            raise refused(name, "its normalisation is not undone by the inverse it gives")
        return self

    def folded(self, found: Imported) -> Imported:
        """W_enc ← M W_enc; W_dec ← W_dec M⁻¹; b_dec ← b_dec M⁻¹ + mean; and where b_dec is not subtracted
        b_enc ← b_enc − mean M W_enc (with encoder rows as here: rows · Mᵀ)."""
        mean, inverse = self.mean.double(), self.inverse.double()
        matrix = torch.diag(self.matrix.double()) if self.matrix.ndim == 1 else self.matrix.double()
        inverse = torch.diag(inverse) if inverse.ndim == 1 else inverse
        w_enc = found.w_enc.double() @ matrix.T
        shift = w_enc @ mean
        b_enc = found.b_enc.double() if found.centre else found.b_enc.double() - shift
        b_mag = found.b_mag
        if b_mag is not None and not found.centre and found.r_mag is not None:
            # b_mag is added to exp(r_mag) · (pre − b_enc), which the shift of b_enc would leave unshifted.
            b_mag = (b_mag.double() - found.r_mag.double().exp() * shift).float()
        skip, b_dec = found.skip, found.b_dec.double() @ inverse + mean
        if skip is not None:
            through = inverse.T @ skip.double() @ matrix.T
            skip, b_dec = through.float(), b_dec - through @ mean
        return replace(
            found,
            w_enc=w_enc.float(),
            b_enc=b_enc.float(),
            w_dec=(found.w_dec.double() @ inverse).float(),
            b_dec=b_dec.float(),
            b_mag=b_mag,
            skip=skip,
        )


@dataclass(frozen=True)
class RowNorm:
    """Each row standardised over its own dimensions (s.d. with n − 1, plus epsilon) and restored after."""

    epsilon: float = 1e-5

    def checked(self, d_in: int, d_out: int, name: str) -> RowNorm:
        if d_in < 2:
            raise refused(name, "rows of one dimension cannot be standardised")
        return self

    def folded(self, found: Imported) -> Imported:
        """Nothing to fold: the dictionary standardises rows itself."""
        return found


def behind_gain(space: Dictionary, gain: Tensor, bias: Tensor) -> Dictionary:
    """The dictionary of rows n that reads y = gain · n + bias instead (`d_in` each), exactly.

    Raises `WorkbenchError` for one that subtracts its decoder's bias or standardises what it reads, and where
    a gain of zero has lost a dimension.
    """
    if space.centre or space.row_norm is not None or bool((gain.abs() < 1e-6).any()):
        raise refused("The file", "it reads rows before a norm's gain, which cannot be undone for its rule")
    w_enc = space.w_enc.double() / gain.double()
    skip, b_dec = space.skip, space.b_dec
    if skip is not None:
        through = skip.double() / gain.double()
        skip, b_dec = through.float(), (b_dec.double() - through @ bias.double()).float()
    b_enc = (space.b_enc.double() - w_enc @ bias.double()).float()
    magnitude = space.magnitude_bias
    if magnitude is not None and space.gain is not None:
        magnitude = magnitude + space.gain * (b_enc - space.b_enc)
    return replace(space, w_enc=w_enc.float(), b_enc=b_enc, skip=skip, b_dec=b_dec, magnitude_bias=magnitude)


Normalisation = Unnormalised | Scale | MeanNorm | Affine | RowNorm
