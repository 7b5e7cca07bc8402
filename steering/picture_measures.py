"""What steering did to pictures, in numbers and as pictures: differences inside and outside masks, previews."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from probes.errors import WorkbenchError
from steering.levers import Lever

# Differences are shown brighter than they are, so that small ones are seen; not more than this.
LARGEST_GAIN = 8.0
PROPORTION = 1.05

Keep = Callable[[str, Tensor], str]


class Distance(NamedTuple):
    """Root mean square differences per picture, of all pixels and of those inside and outside the masks."""

    whole: list[float]
    inside: list[float]
    outside: list[float]


def pixel_weights(levers: Sequence[Lever], size: tuple[int, int]) -> Tensor | None:
    """`h w`, the largest weight any lever's mask gives a pixel; None where a lever has no mask.

    Raises `WorkbenchError` for a mask whose proportions are not those of the picture.
    """
    masks = [lever.selector.cells for lever in levers]
    for mask in masks:
        if mask is not None:
            wanted, own = size[1] / size[0], mask.width / mask.height
            if not 1 / PROPORTION <= own / wanted <= PROPORTION:
                raise WorkbenchError(
                    "bad-mask",
                    "The mask does not fit the picture",
                    f"it is {mask.width} wide and {mask.height} high, the picture {size[1]} and {size[0]}",
                    "Paint it on a picture of the same proportions; its size may be any.",
                )
    weights = [mask.weights(size) for mask in masks if mask is not None]
    return torch.stack(weights).amax(dim=0) if weights and len(weights) == len(masks) else None


def distance(made: Tensor, plain: Tensor, weights: Tensor | None) -> Distance:
    """Of pictures `picture channel h w` in [0, 1] from the unsteered ones; `weights`: `h w` or None."""
    squares = (made - plain).square().mean(dim=1)
    whole = squares.mean(dim=(1, 2)).sqrt().tolist()
    if weights is None:
        return Distance(whole, whole, [])
    return Distance(whole, _weighted(squares, weights), _weighted(squares, 1 - weights))


def _weighted(squares: Tensor, weights: Tensor) -> list[float]:
    weights = weights.to(squares)
    found: list[float] = ((squares * weights).sum(dim=(1, 2)) / weights.sum().clamp_min(1e-9)).sqrt().tolist()
    return found


def brightened(made: Tensor, plain: Tensor) -> tuple[Tensor, float]:
    """|made − plain| as pictures, and what they were multiplied by."""
    size = (made - plain).abs()
    gain = min(LARGEST_GAIN, 1 / float(size.max().clamp_min(1e-9)))
    return size * max(1.0, gain), max(1.0, gain)


def colours_of(latents: Tensor, last: Tensor, picture: Tensor) -> Tensor:
    """Latents on their way (`step channel h w`) as pictures, `step 3 h w` in [0, 1].

    The map from channels to colours is linear, and fitted on the finished latents (`channel h w`) and the
    picture they became (`3 H W`): good enough to see a composition, and no decoder is run.
    """
    height, width = last.shape[1:]
    target = torch.nn.functional.interpolate(picture[None].float(), (height, width), mode="area")[0].expand(3, -1, -1)
    cells = last.float().flatten(1).T
    scale = cells.std().clamp_min(1e-6)
    known = torch.cat([cells / scale, torch.ones(len(cells), 1)], dim=1)
    # A little ridge: few cells and many channels would otherwise fit noise.
    ridge = 1e-2 * len(cells) * torch.eye(known.shape[1])
    ridge[-1, -1] = 0
    fitted = torch.linalg.solve(known.T @ known + ridge, known.T @ target.flatten(1).T)
    rows = latents.float().flatten(2).transpose(1, 2)
    # Noise is stronger than a picture's own latents; each step is shown at the finished one's contrast.
    rows = rows / rows.std(dim=(1, 2), keepdim=True).clamp_min(1e-6)
    shown = torch.cat([rows, torch.ones(*rows.shape[:2], 1)], dim=2) @ fitted
    return shown.transpose(1, 2).reshape(len(latents), 3, height, width).clamp(0, 1)
