"""A cell that a run has kept, opened: its latents on held-out rows, which factors they stand for, what they decode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from probes.errors import WorkbenchError
from probes.metrics.factor_recovery import factor_recovery, standardised
from probes.metrics.recovery import correlations
from probes.representations.cell import Cell
from probes.representations.grid import GridConfig, Setting
from probes.representations.rows import GridRows
from probes.representations.scoring import Floats, latents_of
from probes.representations.training import Pair
from probes.tensors import load_tensors

FEWEST = 64  # training rows: none are looked at, but a world draws some


class OpenedCell:
    """`codes`: held-out latents `row latent`; `matched`: the latent of each factor, −1 for none; `spread`: of each
    latent over these rows."""

    def __init__(self, config: GridConfig, cell: Cell, weights: Path) -> None:
        """Raises `WorkbenchError` where the weights are not there."""
        if not weights.is_file():
            raise WorkbenchError(
                "no-weights",
                f"The cell {cell.slug} cannot be opened",
                "its weights are not in the run's folder",
                "Choose another cell, or train it again.",
            )
        few = config.network.model_copy(update={"rows": FEWEST})
        setting = Setting(config.model_copy(update={"network": few}), cell.seed)
        pair = Pair(config.task(cell.task), config.constraint(cell.constraint))
        model = pair.model(setting.spec, cell.restart)
        model.load_state_dict(load_tensors(weights))
        self.cell, self.world, self.model = cell, setting.world, model.eval()
        self.rows: GridRows = setting.held_out
        self.codes = latents_of(self.model, self.rows)
        self.spread = self.codes.std(axis=0)
        self.matched = factor_recovery(self.codes, self.factors, shuffles=0).code

    @property
    def factors(self) -> Floats:
        """The truth behind the held-out rows, `row factor`."""
        return self.rows.factors.astype(np.float64)

    @property
    def names(self) -> list[str]:
        """Latents, those that stand for a factor by its name."""
        factor = {int(latent): self.world.names[at] for at, latent in enumerate(self.matched) if latent >= 0}
        return [f"{at}: {factor[at]}" if at in factor else str(at) for at in range(self.codes.shape[1])]

    @property
    def decodes(self) -> bool:
        """Whether its task has a decoder back to what is seen."""
        return self.model.decoder is not None

    def correlation(self) -> Floats:
        """|Pearson| on held-out rows, `factor latent`."""
        return correlations(standardised(self.factors), standardised(self.codes))

    def seen(self, rows: Any) -> NDArray[Any]:
        """Held-out rows as they are seen: `row …`, pictures as bytes."""
        found: NDArray[Any] = self.rows.fields["x"][rows].numpy()
        return found


@torch.no_grad()
def traversed(opened: OpenedCell, latent: int, row: int, steps: Floats) -> NDArray[np.float32]:
    """What is decoded where one latent of a held-out row moves by `steps` of its standard deviations, `step …`.

    Pictures come in [0, 1]. Raises `ValueError` for a latent or row that is not there, and without a decoder.
    """
    decode = opened.model.decoder
    if decode is None:
        raise ValueError(f"{opened.cell.task} has no decoder: show held-out rows instead")
    if not (0 <= latent < opened.codes.shape[1] and 0 <= row < len(opened.codes)):
        raise ValueError(f"there is no latent {latent} of row {row}")
    codes = np.repeat(opened.codes[row : row + 1], len(steps), axis=0)
    codes[:, latent] += steps * opened.spread[latent]
    found = decode(torch.from_numpy(codes).float()).reshape(len(steps), *opened.model.spec.shape).numpy()
    return found.clip(0, 1) if opened.model.spec.picture else found


def extremes(opened: OpenedCell, latent: int, most: int = 6) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Held-out rows whose latent is (lowest, highest), the most extreme first."""
    order = np.argsort(opened.codes[:, latent], kind="stable")
    return order[:most], order[: -most - 1 : -1].copy()  # tensors take no reversed view as places
