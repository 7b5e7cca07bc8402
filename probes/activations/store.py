"""The activation store: chunks of tokens with their activations, in shards, with one index.

A store is a directory of `<split>-<number>.safetensors` shards and `index.json`. A shard holds `tokens`,
`valid` (chunk pos), `document` and `start` (chunk), and per hook point `x.<n>` (chunk pos d_model) and
`norm.<n>` (chunk pos). A chunk never crosses a document; a document never crosses the split. A subject
that is not fed with tokens has `inputs` (chunk ...) in their place; a chunk is then one item.

In a store of images a chunk is a *frame*, one step of one image: its places are sampled cells of the grid.
It has `image`, `step`, `noise` and `seed` (chunk), and per hook point `cell.<n>` (chunk pos), row by row in
the point's grid; once per image, in the order they appear, `picture` (image 3 height width, bytes). A
document is a prompt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from safetensors import safe_open
from torch import Tensor

from probes.addresses import HookPoint, Selector, parse_address
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError

Split = Literal["train", "held_out"]
OUTLIER_MULTIPLE = 10.0
SINK_MULTIPLE = 3.0
EVERYWHERE = Selector()


class PointInfo(Frozen):
    """What is known of one captured hook point."""

    point: HookPoint
    d_model: int
    fraction: float = Field(default=0.0, description="Where it lies in the subject's depth, 0 to 1.")
    median_norm: float = Field(description="Median norm of tokens, measured on the first batch of chunks.")
    sink_positions: tuple[int, ...] = Field(
        default=(), description="Positions whose median norm over chunks exceeds three times the layer's."
    )

    masks_outliers: bool = Field(
        default=True,
        description="Whether norms far above the median are masked, as in a language model; not in a module.",
    )

    grid: tuple[int, int] | None = Field(default=None, description="Rows and columns of cells, at a point of an image.")
    drift: tuple[tuple[float, float], ...] = Field(
        default=(), description="Noise and median norm at each captured step, where there is a trajectory."
    )

    @property
    def outlier_norm(self) -> float:
        """Tokens with a larger norm are massive activations, masked everywhere."""
        return OUTLIER_MULTIPLE * self.median_norm if self.masks_outliers else float("inf")

    def outliers(self, norm: Tensor, positions: Tensor) -> Tensor:
        """Which places (the shape of `norm`) hold a massive activation or stand at a sink position."""
        sinks = torch.isin(positions, torch.tensor(self.sink_positions or (-1,), device=positions.device))
        return (norm > self.outlier_norm) | sinks


class ShardInfo(Frozen):
    split: Split
    file: str
    chunks: int
    tokens: int


class DocumentInfo(Frozen):
    id: str
    split: Split
    labels: dict[str, Any] = {}


class StoreIndex(Frozen):
    """Everything about a store but its tensors."""

    subject: str
    corpus: str
    context: int
    special_ids: tuple[int, ...]
    points: tuple[PointInfo, ...]
    shards: tuple[ShardInfo, ...]
    documents: tuple[DocumentInfo, ...]
    fed_with: Literal["tokens", "inputs", "images"] = Field(
        default="tokens", description="What a shard keeps of what the subject was fed with; images: of what it made."
    )
    bands: tuple[tuple[float, float], ...] = Field(
        default=(), description="Noise intervals the frames were taken from, the least noise first."
    )
    made_by: dict[str, Any] = Field(default={}, description="What images were made with, beside prompt and seed.")
    masked: dict[str, dict[str, float]] = Field(default={}, description="Per point: what outlier masking removed.")


class ActivationStore:
    """A read-only view of a captured store; tensors are memory-mapped shard by shard."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            raw = json.loads((path / "index.json").read_text())
        except (OSError, ValueError) as error:
            raise WorkbenchError(
                "bad-store",
                f"{path.name} is no readable activation store",
                f"its index.json is missing or broken ({type(error).__name__})",
                "Capture it again, or finish the capture run.",
            ) from error
        self.index = validated(StoreIndex, raw, what=f"The index of store {path.name}")

    @property
    def context(self) -> int:
        return self.index.context

    def point_number(self, point: HookPoint) -> int:
        """The place of a hook point in the shards. Raises `WorkbenchError` when it was not captured."""
        for number, info in enumerate(self.index.points):
            if info.point == point:
                return number
        raise WorkbenchError(
            "not-captured",
            f"{point} is not in the store",
            f"it holds {', '.join(str(info.point) for info in self.index.points)}",
            "Choose one of these, or capture again with that point.",
        )

    def point_at(self, fraction: float) -> HookPoint:
        """The captured point nearest to a fraction of the depth; refuses when none is within 0.05."""
        near = min(self.index.points, key=lambda info: abs(info.fraction - fraction))
        if abs(near.fraction - fraction) > 0.05:
            held = ", ".join(f"{info.fraction:.2f}" for info in self.index.points)
            raise WorkbenchError(
                "no-such-level",
                f"The store {self.path.name} has no activations at depth {fraction:g}",
                f"it was captured at {held}",
                "Choose one of these depths, or capture again.",
            )
        return near.point

    def place_at(self, depth: float, address: str = "") -> tuple[HookPoint, Selector]:
        """Where a level reads: what an address such as `layers.5:out` or `mid_block:update@noise=0.3-0.6` says;
        without one, the captured point at that depth. In a store of images depth is noise: it names the band it
        lies in, at the first point. Raises `WorkbenchError` for what was not captured.
        """
        if address:
            point, where = parse_address(address)
            self.point_number(point)
            self._refuse_empty(where, address)
            return point, self._on_branch(where)
        if not self.index.bands:
            return self.point_at(depth), EVERYWHERE
        band = next((band for band in self.index.bands if band[0] <= depth <= band[1]), None)
        if band is None:
            raise WorkbenchError(
                "no-such-level",
                f"The store {self.path.name} has no frames at noise {depth:g}",
                f"it was captured at {', '.join(f'{low:g}-{high:g}' for low, high in self.index.bands)}",
                "Choose a depth inside one of these, or capture again.",
            )
        return self.index.points[0].point, self._on_branch(Selector(noise=band))

    def _on_branch(self, where: Selector) -> Selector:
        """A selector of the guidance branch that was captured, where there is one: no other can be meant."""
        branch = self.index.made_by.get("branch", where.branch)
        return where.model_copy(update={"branch": branch})

    def _refuse_empty(self, where: Selector, address: str) -> None:
        noises = sorted({noise for noise, _ in self.index.points[0].drift})
        if where.noise != EVERYWHERE.noise and not any(where.noise[0] <= one <= where.noise[1] for one in noises):
            raise WorkbenchError(
                "no-such-band",
                f"The store {self.path.name} has nothing at {address}",
                f"its frames lie at noise {', '.join(f'{one:.3g}' for one in noises)}" if noises else "it has no noise",
                "Choose an interval that holds one of these, or capture again.",
            )

    def info(self, point: HookPoint) -> PointInfo:
        return self.index.points[self.point_number(point)]

    def shards(self, split: Split) -> list[int]:
        return [n for n, shard in enumerate(self.index.shards) if shard.split == split]

    def calibration_shards(self) -> list[int]:
        """Training shards kept from training, for thresholds and other choices (the last sixteenth).

        A store of fewer than four training shards has none to spare: all of them, then.
        """
        train = self.shards("train")
        return train if len(train) < 4 else train[-max(1, len(train) // 16) :]

    def fitting_shards(self) -> list[int]:
        """Training shards that dictionaries are trained on."""
        train = self.shards("train")
        return train if len(train) < 4 else train[: -len(self.calibration_shards())]

    def tokens_in(self, split: Split) -> int:
        return sum(self.index.shards[n].tokens for n in self.shards(split))

    def read(self, shard: int, *names: str, chunks: Sequence[int] | None = None) -> list[Tensor]:
        """Tensors of one shard by name, or these chunks of them. Raises `WorkbenchError` when the shard is missing
        or damaged."""
        file = self.path / self.index.shards[shard].file
        try:
            with safe_open(file, framework="pt") as handle:
                if chunks is None:
                    return [handle.get_tensor(name) for name in names]
                parts = [handle.get_slice(name) for name in names]
                return [torch.cat([part[at : at + 1] for at in chunks]) for part in parts]
        except Exception as error:  # safetensors raises its own type, and OSError
            raise WorkbenchError(
                "bad-store",
                f"Shard {file.name} of store {self.path.name} cannot be read",
                str(error)[:200],
                "Capture the store again; finished shards are kept.",
            ) from error

    def activations(self, shard: int, point: HookPoint, chunks: Sequence[int] | None = None) -> Tensor:
        """`chunk pos d_model`, in the store's number type; with `chunks`, of these alone and in that order."""
        return self.read(shard, f"x.{self.point_number(point)}", chunks=chunks)[0]

    def tokens(self, shard: int) -> Tensor:
        """`chunk pos`, int64 token ids (padding where not valid)."""
        return self.read(shard, "tokens")[0].long()

    def inputs(self, shard: int) -> Tensor:
        """What the subject was fed with: token ids `chunk pos`, or a module's own inputs `chunk ...`."""
        return self.tokens(shard) if self.index.fed_with == "tokens" else self.read(shard, "inputs")[0]

    def usable(self, shard: int, point: HookPoint, where: Selector = EVERYWHERE) -> Tensor:
        """`chunk pos` bool: neither padding, nor special, nor an outlier or sink position at this point, and
        inside the selector's noise interval."""
        number = self.point_number(point)
        if self.index.fed_with == "images":
            norm, noise = self.read(shard, f"norm.{number}", "noise")
            inside = (noise >= where.noise[0]) & (noise <= where.noise[1])
            return inside[:, None].expand(norm.shape).clone()
        usable, norm = self.read(shard, "valid", f"norm.{number}")
        if self.index.special_ids:
            usable = usable & ~is_special(self.tokens(shard), self.index.special_ids)
        return usable & ~self.index.points[number].outliers(norm, torch.arange(norm.shape[1]))

    def cells(self, shard: int, point: HookPoint) -> Tensor:
        """`chunk pos`, int64: which cell of the point's grid each place is, row by row."""
        return self.read(shard, f"cell.{self.point_number(point)}")[0].long()

    def documents_of(self, shard: int) -> tuple[Tensor, Tensor]:
        """Per chunk: the document's number in the index, and the chunk's first token within it."""
        document, start = self.read(shard, "document", "start")
        return document.long(), start.long()

    def chunks(self, split: Split) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(shard, tokens, valid) in order."""
        for shard in self.shards(split):
            tokens, valid = self.read(shard, "tokens", "valid")
            yield shard, tokens.long(), valid


def is_special(tokens: Tensor, special_ids: tuple[int, ...]) -> Tensor:
    return torch.isin(tokens.long(), torch.tensor(special_ids or (-1,)))
