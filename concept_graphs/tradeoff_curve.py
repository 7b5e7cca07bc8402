"""The trade-off as a file, and how it is drawn: edges of a selection map against the bits that held-out codes take.

The price of an edge (γ) is chosen by the one-standard-error rule: of all prices whose held-out bits lie within one
standard error of the best one's, the highest, because it leaves the fewest edges. The standard error is that of the
difference to the best price over folds: how much harder one fold is than another is no reason for more edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from concept_graphs.figure import LEVEL_COLOURS
from concept_graphs.tables import LevelName
from concept_graphs.text import esc_plotly, number
from probes.artefacts import available, parent_of, resolve
from probes.configs import Frozen, validated
from probes.files import read_json

TRADEOFF_FILE = "tradeoff.json"
MAX_BYTES = 16 * 2**20
NO_EDGES = 0.5  # where a map without edges stands on an axis of powers of ten


class PricePoint(Frozen):
    """Selection maps of one price, each fold left out once."""

    price: float = Field(ge=0, description="Price of an open gate (γ).")
    edges: float = Field(ge=0, description="Open gates of a map, mean over folds.")
    kept: float = Field(ge=0, description="Of these, what the rule of a trained probe keeps, mean over folds.")
    bits: float = Field(description="Bits per held-out row: of the residual and of the edges.")
    edge_bits: float = Field(ge=0, description="Of these, bits of the edges per training row.")
    low: float = Field(description="Lower end of the 95 % interval of bits, over chunks.")
    high: float = Field(description="Upper end of the 95 % interval of bits, over chunks.")
    folds: list[float] = Field(min_length=2, description="Bits per held-out row of each fold.")
    error: float = Field(0.0, ge=0, description="Standard error over folds of the difference to the best price.")


class PairCurve(Frozen):
    """The curve of one pair of levels."""

    lower: LevelName = Field(description="The lower level.")
    upper: LevelName = Field(description="The upper level.")
    targets: int = Field(ge=1, description="Latents of the upper level that were predicted.")
    rows: int = Field(ge=1, description="Rows, each held out once.")
    chunks: int = Field(ge=2, description="Chunks the rows came from; a chunk is in one fold only.")
    plain: float = Field(description="Bits per held-out row without any map.")
    points: list[PricePoint] = Field(min_length=1, description="Prices, the lowest first.")
    chosen: float = Field(ge=0, description="The price the one-standard-error rule takes.")

    @property
    def name(self) -> str:
        return f"{self.lower}-{self.upper}"


class Tradeoff(Frozen):
    """The file tradeoff.json."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    kind: Literal["tradeoff"] = Field(default="tradeoff", description="Always tradeoff.")
    probe: str = Field(max_length=400, description="Probe whose codes were predicted.")
    probe_sha256: str | None = Field(default=None, description="SHA-256 of its manifest.")
    store: str = Field(max_length=400, description="Store the rows came from.")
    curves: list[PairCurve] = Field(min_length=1, max_length=12, description="A curve per pair of levels.")
    chosen: float = Field(ge=0, description="The price for all pairs together: the rule on the sum of their bits.")

    @property
    def flag(self) -> str:
        """How a probe is trained with the chosen price."""
        return f"--maps.edge-weight {self.chosen:g}"


def one_standard_error(prices: Sequence[float], folds: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
    """(place of the chosen price, standard error of each price's difference to the best one), from `price fold`.

    Prices ascend. The best price itself always qualifies, so there is always a choice.
    """
    means = folds.mean(axis=1)
    away = folds - folds[int(means.argmin())]
    error = away.std(axis=1, ddof=1) / np.sqrt(folds.shape[1])
    within = np.flatnonzero(away.mean(axis=1) <= error + 1e-12)
    assert list(prices) == sorted(prices)
    return int(within.max()), error


def tradeoff_of(probe: str) -> Tradeoff | None:
    """The newest trade-off of a probe as it is now; None where none was measured. Raises `WorkbenchError` for a
    probe there is not, and a file that is damaged."""
    resolve(probe, "probe", names_only=True)
    hashed = parent_of(probe, "probe").sha256
    for ref in available("evaluation"):
        file = resolve(ref, "evaluation", names_only=True) / TRADEOFF_FILE
        if file.is_file():
            found = read_tradeoff(file)
            if found.probe_sha256 == hashed:
                return found
    return None


def read_tradeoff(file: Path) -> Tradeoff:
    """Raises `WorkbenchError` for a file that holds none."""
    return validated(Tradeoff, read_json(file, limit=MAX_BYTES), what=f"The trade-off {file.parent.name}")


def tradeoff_figure(found: Tradeoff) -> dict[str, Any]:
    """{"data", "layout"}: edges across, held-out bits in per cent of those without a map upwards; a line per pair,
    a star at the price that is chosen for it."""
    data = []
    for at, curve in enumerate(found.curves):
        colour = LEVEL_COLOURS[at % len(LEVEL_COLOURS)]
        taken = [point.price == curve.chosen for point in curve.points]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": esc_plotly(f"{curve.lower} to {curve.upper}"),
                "x": [max(point.edges, NO_EDGES) for point in curve.points],
                "y": [100 * point.bits / curve.plain for point in curve.points],
                "error_y": {
                    "type": "data",
                    "array": [100 * point.error / curve.plain for point in curve.points],
                    "thickness": 1,
                    "width": 3,
                },
                "line": {"color": colour, "width": 1.6},
                "marker": {
                    "symbol": ["star" if one else "circle" for one in taken],
                    "size": [15 if one else 7 for one in taken],
                    "color": colour,
                },
                "hovertext": [_hover(curve, point) for point in curve.points],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
        )
    return {
        "data": data,
        "layout": {
            "height": 320,
            "margin": {"l": 54, "r": 12, "t": 12, "b": 44},
            "xaxis": {"type": "log", "dtick": "D2", "title": {"text": "edges of the map", "font": {"size": 12}}},
            "yaxis": {"title": {"text": "held-out bits, % of no map", "font": {"size": 12}}},
            "showlegend": True,
            "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        },
    }


def _hover(curve: PairCurve, point: PricePoint) -> str:
    taken = "<br><b>taken by the one-standard-error rule</b>" if point.price == curve.chosen else ""
    return (
        f"price {point.price:g}: {number(point.edges, 1)} edges"
        f"<br>{number(point.bits)} bits per held-out row [{number(point.low)}, {number(point.high)}]"
        f"<br>without a map {number(curve.plain)}{taken}"
    )


def in_sentences(found: Tradeoff) -> list[str]:
    """What the curve says, and how to use it."""
    said = []
    for curve in found.curves:
        taken = next(point for point in curve.points if point.price == curve.chosen)
        best = min(curve.points, key=lambda point: point.bits)
        saved = 100 * (1 - taken.bits / curve.plain)
        said.append(
            f"{curve.lower} to {curve.upper}: price {taken.price:g} leaves {number(taken.edges, 1)} edges to "
            f"{curve.targets:,} latents and tells held-out codes in {number(taken.bits)} bits per row, "
            f"{number(saved, 1)} % less than without a map; the fewest bits, {number(best.bits)}, need "
            f"{number(best.edges, 1)} edges (price {best.price:g}). {len(taken.folds)} folds of {curve.chunks:,} "
            f"chunks, {curve.rows:,} rows; bars are one standard error of the difference to the best price."
        )
    said.append(f"Train a probe with the price for all pairs: {found.flag}")
    return said
