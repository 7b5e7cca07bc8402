"""Pictures of a concept for a report: each beside itself in grey with the code over it, cell by cell."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from app.facts import peak_place
from concept_graphs.tables import Picture
from probes.sections import Image

COLOUR = (255, 110, 0)
STRONGEST = 0.9  # opacity of the largest code
DARKENED = 0.75


def heat_rows(pictures: Sequence[Picture]) -> list[list[Image]]:
    """A row per picture: the picture, and its heat map. All share one scale."""
    most = max((max(one.values) for one in pictures), default=0.0) or 1.0
    return [_row(one, most) for one in pictures]


def _row(one: Picture, most: float) -> list[Image]:
    place, largest = peak_place(one), f"code {one.values[one.peak]:.3g}"
    source = f"seed {one.seed}, noise {one.noise:.2f}"
    return [
        Image(f"data:image/png;base64,{one.png}", f"Picture made from “{one.prompt}”", one.prompt, source),
        Image(_heated(one, most), f"Heat map over it, strongest at {place}", largest, place),
    ]


def _heated(one: Picture, most: float) -> str:
    """The picture in grey under the code of every cell, as a data address."""
    from PIL import Image as Pixels

    picture = Pixels.open(io.BytesIO(base64.b64decode(one.png)), formats=["PNG"]).convert("L")
    grey = picture.point(lambda level: level * DARKENED).convert("RGB")
    cover = bytes(round(255 * STRONGEST * max(0.0, code) / most) for code in one.values)
    mask = Pixels.frombytes("L", (one.grid[1], one.grid[0]), cover).resize(grey.size, Pixels.Resampling.NEAREST)
    grey.paste(COLOUR, (0, 0, *grey.size), mask)
    held = io.BytesIO()
    grey.save(held, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"
