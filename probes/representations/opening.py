"""A cell that a run has kept, opened: its latents on held-out rows, which factors they stand for, what they decode."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from probes.errors import WorkbenchError
from probes.metrics.factor_recovery import factor_recovery, standardised
from probes.metrics.recovery import correlations
from probes.representations.recipe import Recipe
from probes.representations.rows import GridRows
from probes.representations.scoring import Floats, latents_of
from probes.representations.setting import Setting
from probes.representations.training import Pair
from probes.tensors import load_tensors


class OpenedCell:
    """`codes`: held-out latents `row latent`; `matched`: the latent of each factor, −1 for none; `spread`: of each
    latent over these rows."""

    def __init__(self, recipe: Recipe, weights: Path) -> None:
        """Raises `WorkbenchError` where the weights are not there, or are those of another network."""
        cell = recipe.cell
        if not weights.is_file():
            raise WorkbenchError(
                "no-weights",
                f"The cell {cell.slug} cannot be opened",
                f"its weights are not in the folder {weights.parent.name}",
                "Choose another cell, or train it again.",
            )
        setting = Setting(recipe, cell.seed)
        pair = Pair(recipe.task(cell.task), recipe.constraint(cell.constraint))
        model = pair.model(setting.spec, cell.restart, cell.weight)
        state = load_tensors(weights)
        refuse_other_shapes(model, state, f"The cell {cell.slug}")
        model.load_state_dict(state)
        self.recipe, self.cell, self.world, self.model = recipe, cell, setting.world, model.eval()
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


def refuse_other_shapes(model: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Raise `WorkbenchError` where tensors are not those of a model: one is missing, too many, or of another shape."""
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in state.items()}
    wrong = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
    if wrong:
        raise WorkbenchError(
            "other-weights",
            f"{what} cannot be opened",
            f"tensor {wrong[0][:60]!r} is {_shape(given.get(wrong[0]))} in its weights, where its world, network "
            f"and cell fields make it {_shape(wanted.get(wrong[0]))}",
            "Open it with the config it was trained with, or train it again.",
        )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape)) or "a number"
