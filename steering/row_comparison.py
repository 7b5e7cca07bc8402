"""What a comparison of a steered row of a world holds: the format of `steer --json` on a representation. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from probes.configs import Frozen
from steering.levers import Lever

# Operations that mean something for latents that are never off, in the words that then fit them. The others need a
# direction in an activation, or the codes of a donor text.
ROW_OPERATIONS = {
    "add": "Move the latent by its standard deviation, whatever is there.",
    "scale": "Multiply what is there: strength −1 moves the latent to zero.",
    "set": "Move the latent to a value, in its standard deviations (clamp).",
    "cap": "Hold the latent down to a value, in its standard deviations; lower values stay.",
    "swap": "Move the latent's value to another latent.",
}


class DecodedRow(Frozen):
    """One way of making the row: as it is seen, or what latents decode to."""

    name: str = Field(description="What was done: seen, unsteered, steered, or the control's name.")
    x: list[float] = Field(description="What is seen, flat; pictures from 0 to 1.")
    rmse: float | None = Field(default=None, description="Root mean square difference from unsteered.")


class RowLever(Frozen):
    """What one lever did to the latents it moves, in their standard deviations."""

    lever: Lever
    moved: dict[int, float] = Field(description="Latent to how far it moved, in its standard deviations.")


class RowComparison(Frozen):
    """A held-out row of a representation's world, decoded with and without levers, beside random directions."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    representation: str = Field(description="Reference of the representation.")
    row: int = Field(description="Place among the held-out rows of its world.", ge=0)
    seed: int = Field(description="Seed of the random directions.")
    shape: list[int] = Field(description="Shape of one row.")
    picture: bool = Field(description="Whether a row is a picture, channel first.")
    seen: DecodedRow
    unsteered: DecodedRow
    steered: DecodedRow
    control: DecodedRow | None = Field(default=None, description="The first of the random directions.")
    chance: list[float] = Field(default=[], description="Difference from unsteered of each random direction.")
    levers: list[RowLever] = []
    notices: list[str] = []
    command: str = Field(default="", description="The command line that does it again; empty where it is not known.")

    @property
    def exceeded(self) -> int:
        """How many random directions change the row at least as much as the levers do."""
        return sum(value >= (self.steered.rmse or 0.0) for value in self.chance)
