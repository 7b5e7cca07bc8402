"""A steered row of a world as figures and a sentence: pictures as pictures, numbers as bars. Plain plotly JSON."""

from __future__ import annotations

from app.grid_cell_figures import bars_figure, pictures_figure
from app.heat_maps import Figure
from concept_graphs.text import number
from steering.row_comparison import DecodedRow, RowComparison


def row_figure(found: RowComparison) -> Figure:
    """The row as seen and as decoded in every way."""
    ways = [found.unsteered, found.steered, *([found.control] if found.control else [])]
    called = ["as it is", "steered", "random"]
    title = f"<b>Held-out row {found.row}</b>, decoded"
    if found.picture:
        addresses = [picture_address(way, found.shape) for way in (found.seen, *ways)]
        return pictures_figure(addresses, ["as seen", *called][: len(addresses)], title)
    return bars_figure({name: way.x for name, way in zip(called, ways, strict=False)}, f"{title}: dimensions of x")


def picture_address(way: DecodedRow, shape: list[int]) -> str:
    """A picture as a data address."""
    import torch

    from steering.picture_files import as_address

    return as_address("", torch.tensor(way.x).reshape(shape))


def row_said(found: RowComparison) -> str:
    """What the levers did, and how much of that any direction of the same length does."""
    moved: dict[int, float] = {}
    for lever in found.levers:
        for latent, by in lever.moved.items():
            moved[latent] = moved.get(latent, 0.0) + by
    named = ", ".join(f"latent {latent} by {by:+.2f}".replace("-", "−") for latent, by in sorted(moved.items()))
    said = [f"Moved, in standard deviations: {named}." if named else "No latent moved."]
    if found.steered.rmse:
        said.append(f"The row changes by {number(found.steered.rmse)} (root mean square).")
    if found.chance:
        middle = sorted(found.chance)[len(found.chance) // 2]
        said.append(
            f"Of {len(found.chance)} random directions as long, {found.exceeded} change it as much or more; the middle "
            f"one by {number(middle)}."
        )
    return " ".join([*said, *found.notices])
