"""What is kept of each latent of a representation, as it lies in its folder; read without torch.

Such latents are never off: there is no share of rows they fire in. Their size is their standard deviation, and their
distribution has two ends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from probes.configs import Frozen, validated
from probes.files import read_json, write_json

LATENTS_FILE = "latents.json"
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 16
STILL = 1e-9  # a latent that varies less stands still


class LatentRecord(Frozen):
    """One latent on the held-out rows."""

    name: str = Field(description="Its name.", max_length=60)
    mean: float = Field(description="Mean over held-out rows.")
    deviation: float = Field(description="Standard deviation over them: the unit of a lever's strength.", ge=0)
    low: float = Field(description="Its lowest value.")
    high: float = Field(description="Its highest value.")
    quantiles: tuple[float, float, float, float, float] = Field(description="At 5, 25, 50, 75 and 95 %.")
    histogram: list[int] = Field(description="Rows in equal bins from low to high.", min_length=BINS, max_length=BINS)

    @property
    def still(self) -> bool:
        """Whether it does not vary: then nothing can be said of what it follows, and nothing moved by it."""
        return self.deviation < STILL


class LatentsFile(Frozen):
    """The file latents.json."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    rows: int = Field(description="Held-out rows that all of it was measured on.", ge=1)
    latents: list[LatentRecord] = Field(description="Every latent, in order.", min_length=1)


def measured_latents(codes: NDArray[np.float64]) -> LatentsFile:
    """What is kept of held-out latents `row latent`."""
    return LatentsFile(rows=len(codes), latents=[_measured(at, column) for at, column in enumerate(codes.T)])


def _measured(at: int, values: NDArray[np.float64]) -> LatentRecord:
    # As wide as its value needs: numpy refuses bins that cannot be told apart.
    counts, _ = np.histogram(values, bins=BINS) if values.std() >= STILL else ([len(values), *[0] * (BINS - 1)], None)
    return LatentRecord(
        name=f"latent {at}",
        mean=float(values.mean()),
        deviation=float(values.std()),
        low=float(values.min()),
        high=float(values.max()),
        quantiles=tuple(float(value) for value in np.quantile(values, QUANTILES)),
        histogram=[int(count) for count in counts],
    )


def write_latents(folder: Path, found: LatentsFile) -> None:
    """Keep it in a representation's folder."""
    write_json(folder / LATENTS_FILE, found.model_dump(mode="json"))


def read_latents(folder: Path) -> LatentsFile:
    """What a representation's folder says of its latents. Raises `WorkbenchError` for anything else."""
    return validated(LatentsFile, read_json(folder / LATENTS_FILE, limit=2**26), what=f"The latents of {folder.name}")
