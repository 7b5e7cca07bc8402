"""Painting where levers act: cells over a picture, with mouse, finger or keyboard."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from app.components.base import Drawn
from probes.errors import WorkbenchError
from probes.masks import Mask

# Cells along the longer side: as fine as a finger paints, finer than most grids a denoiser computes on.
FINEST = 32
MOST_CELLS = 64 * 64


class MaskPainter(Drawn):
    """Value: `{on, rows, columns, cells}`; `cells` is one 0 or 1 per cell, row by row, and `on` whether levers
    act only where painted. Props: `picture` (its address, drawn below), `ratio` (width / height). Event: `change`.
    """

    source: ClassVar[str] = "mask_painter"

    def __init__(self, value: Any = None, **props: Any) -> None:
        props = {"picture": "", "ratio": 1.0, "finest": FINEST, **props}
        super().__init__(value or {"on": False, "rows": FINEST, "columns": FINEST, "cells": ""}, **props)


def mask_painted(value: Any) -> Mask | None:
    """The mask a painter holds; None where levers act everywhere.

    Raises `WorkbenchError` where nothing is painted, and for anything a painter does not send.
    """
    given = value if isinstance(value, dict) else {}
    if not given.get("on"):
        return None
    rows, columns, cells = given.get("rows"), given.get("columns"), given.get("cells")
    if not isinstance(rows, int) or not isinstance(columns, int) or not 0 < rows * columns <= MOST_CELLS:
        raise _unusable("its size is not that of the painter")
    if not isinstance(cells, str) or not re.fullmatch(r"[01]*", cells) or len(cells) not in (0, rows * columns):
        raise _unusable(f"it does not have {rows} x {columns} cells")
    if "1" not in cells:
        raise _unusable("nothing is painted")
    return Mask.of([[int(cell) for cell in cells[at : at + columns]] for at in range(0, len(cells), columns)])


def painted(mask: Mask | None, ratio: float = 1.0) -> dict[str, Any]:
    """The value of a painter that shows a mask, to its own fineness: a cell is painted from half a cell on."""
    rows = max(1, round(FINEST / max(1.0, ratio)))
    columns = max(1, round(FINEST * min(1.0, ratio)))
    if mask is None:
        return {"on": False, "rows": rows, "columns": columns, "cells": ""}
    levels, cells = mask.levels(), []
    for row in range(rows):
        for column in range(columns):
            at = ((2 * row + 1) * mask.height // (2 * rows), (2 * column + 1) * mask.width // (2 * columns))
            cells.append("1" if levels[at[0] * mask.width + at[1]] >= 128 else "0")
    return {"on": True, "rows": rows, "columns": columns, "cells": "".join(cells)}


def _unusable(why: str) -> WorkbenchError:
    return WorkbenchError(
        "bad-mask", "The mask cannot be used", why, "Paint where the levers shall act, or untick the mask."
    )
