"""Masks: which cells of a picture, and how much. Any size, one string and one JSON form; no torch until used."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from probes.configs import Frozen, validated
from probes.errors import WorkbenchError

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 2048
FULL = 255


class Mask(Frozen):
    """Weights from 0 to 1 on a grid of any size, kept in steps of 1/255.

    The string form is `<height>x<width>:<data>`; the JSON form has the same three parts.
    """

    height: int = Field(description="Rows of the mask.", ge=1, le=LARGEST)
    width: int = Field(description="Columns of the mask.", ge=1, le=LARGEST)
    data: str = Field(description="Its bytes, row by row, deflated, in URL-safe base64.", max_length=2 * LARGEST**2)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"(\d{1,4})x(\d{1,4}):([A-Za-z0-9_=-]+)", value.strip())
        if match is None:
            raise ValueError("a mask is written <height>x<width>:<data>")
        return {"height": int(match[1]), "width": int(match[2]), "data": match[3]}

    @model_validator(mode="after")
    def _not_empty(self) -> Mask:
        if not any(self.levels()):
            raise ValueError("the mask is empty: no cell has any weight")
        return self

    @classmethod
    def parse(cls, text: str) -> Mask:
        """The string form. Raises `WorkbenchError` for anything else, and for a mask without any weight."""
        return validated(cls, text, what="The mask")

    @classmethod
    def of(cls, rows: Any) -> Mask:
        """From rows of weights in [0, 1]: nested lists, an array or a tensor, `h w`.

        Raises `WorkbenchError` for other shapes, weights outside [0, 1] and a mask without any weight.
        """
        given = rows.tolist() if hasattr(rows, "tolist") else rows
        try:
            table = [[float(weight) for weight in row] for row in given]
        except (TypeError, ValueError):
            table = []
        if not table or len({len(row) for row in table}) != 1 or not table[0]:
            raise _unusable("it has no rows of equal length")
        if not all(0 <= weight <= 1 for row in table for weight in row):
            raise _unusable("its weights do not all lie between 0 and 1")
        levels = bytes(round(weight * FULL) for row in table for weight in row)
        return validated(cls, _packed(len(table), len(table[0]), levels), what="The mask")

    @classmethod
    def box(cls, top: float, left: float, bottom: float, right: float, size: int = 64) -> Mask:
        """A rectangle given by its edges as shares of the picture, top left is (0, 0)."""
        if not (0 <= top < bottom <= 1 and 0 <= left < right <= 1):
            raise _unusable("its edges are not shares of the picture in order")
        down, across = _covered(top, bottom, size), _covered(left, right, size)
        return cls.of([[high * wide for wide in across] for high in down])

    def __str__(self) -> str:
        return f"{self.height}x{self.width}:{self.data}"

    def levels(self) -> bytes:
        """The weights in steps of 1/255, row by row. Raises `ValueError` where the data is not that."""
        size = self.height * self.width
        try:
            unpack = zlib.decompressobj()
            levels = unpack.decompress(base64.urlsafe_b64decode(self.data), size + 1)
        except (binascii.Error, zlib.error, ValueError) as error:
            raise ValueError("the data of the mask is damaged") from error
        if len(levels) != size:
            raise ValueError(f"the data of the mask does not hold {self.height} x {self.width} weights")
        return levels

    def weights(self, grid: tuple[int, int]) -> Tensor:
        """`h w` in [0, 1] for a grid of (rows, columns): each cell's mean weight over the area it covers."""
        return _resampled(self, grid).clone()


@lru_cache(maxsize=64)
def _resampled(mask: Mask, grid: tuple[int, int]) -> Tensor:
    """Kept, because every edit of every step asks again."""
    import torch

    flat = torch.frombuffer(bytearray(mask.levels()), dtype=torch.uint8)
    own = flat.reshape(mask.height, mask.width).double() / FULL
    rows, columns = grid
    return (_shares(rows, mask.height) @ own @ _shares(columns, mask.width).T).clamp(0, 1).float()


def _shares(cells: int, source: int) -> Tensor:
    """`cells source`: the share of each cell that each source cell fills, on one axis."""
    import torch

    edges = torch.arange(cells + 1, dtype=torch.float64) * source / cells
    at = torch.arange(source, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], at + 1) - torch.maximum(edges[:-1, None], at)
    overlap = overlap.clamp_min(0)
    return overlap / overlap.sum(dim=1, keepdim=True)


def _covered(start: float, stop: float, size: int) -> list[float]:
    """How much of each of `size` equal cells lies between two shares of the whole."""
    return [max(0.0, min(stop * size, at + 1) - max(start * size, at)) for at in range(size)]


def _packed(height: int, width: int, levels: Sequence[int]) -> dict[str, Any]:
    data = base64.urlsafe_b64encode(zlib.compress(bytes(levels), 9)).decode()
    return {"height": height, "width": width, "data": data}


def _unusable(why: str) -> WorkbenchError:
    return WorkbenchError("bad-mask", "The mask is not usable", why, "Paint it again, or give rows of weights.")
