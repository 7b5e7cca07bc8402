"""Addresses: which module (hook point), and which part and when (selector). Strings both ways, no torch."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.masks import Mask

Tap = Literal["in", "out", "update"]


class HookPoint(Frozen):
    """A module path and a tap: `in`, `out`, or `update` (out minus in)."""

    path: str = Field(description="Module path below the subject's root, such as layers.15.", min_length=1)
    tap: Tap = Field(default="out", description="in, out, or update (out minus in).")

    def __str__(self) -> str:
        return f"{self.path}:{self.tap}"

    @classmethod
    def parse(cls, text: str) -> HookPoint:
        """`layers.15:out` or `layers.15`. Raises `WorkbenchError` for anything else."""
        match = re.fullmatch(r"([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)(?::(in|out|update))?", text.strip())
        if match is None:
            raise WorkbenchError(
                "bad-hook-point",
                f"{text!r} is no hook point",
                "it is not a module path with a tap",
                "Write it like layers.15:out (taps: in, out, update).",
            )
        return cls(path=match[1], tap=match[2] or "out")


Unit = Annotated[float, Field(ge=0, le=1)]


class Selector(Frozen):
    """Which part of an activation, and when. The default selects everything that is not padding."""

    rows: tuple[int, ...] | None = Field(
        default=None, description="Items of the batch (texts or pictures), or none for all."
    )
    positions: Literal["all", "prompt", "generated"] | tuple[int, int] = Field(
        default="all",
        description="All tokens, those of the prompt, the generated ones, or a range start-stop.",
    )
    cells: Mask | None = Field(default=None, description="Cells of a picture, weighted; none for all of them.")
    noise: tuple[Unit, Unit] = Field(default=(0.0, 1.0), description="Noise interval; 1 is pure noise.")
    branch: Literal["cond", "uncond", "both"] = Field(default="cond", description="Guidance branch.")

    @field_validator("noise")
    @classmethod
    def _ordered(cls, noise: tuple[float, float]) -> tuple[float, float]:
        if noise[0] > noise[1]:
            raise ValueError("the lower end of the noise interval lies above the upper end")
        return noise

    def __str__(self) -> str:
        parts = []
        if self.rows is not None:
            parts.append("rows=" + "+".join(map(str, self.rows)))
        if self.positions != "all":
            shown = self.positions if isinstance(self.positions, str) else "{}-{}".format(*self.positions)
            parts.append(f"positions={shown}")
        if self.cells is not None:
            parts.append(f"cells={self.cells}")
        if self.noise != (0.0, 1.0):
            parts.append("noise={!r}-{!r}".format(*self.noise))
        if self.branch != "cond":
            parts.append(f"branch={self.branch}")
        return ",".join(parts)

    @classmethod
    def parse(cls, text: str) -> Selector:
        """The string form, such as `positions=generated,branch=both`; unknown keys are refused."""
        values: dict[str, object] = {}
        for part in filter(None, text.strip().split(",")):
            key, _, value = part.partition("=")
            if key == "rows" and re.fullmatch(r"\d+(\+\d+)*", value):
                values[key] = tuple(int(row) for row in value.split("+"))
            elif key == "positions" and re.fullmatch(r"\d+-\d+", value):
                values[key] = tuple(int(end) for end in value.split("-"))
            elif key == "noise" and re.fullmatch(r"[\d.]+-[\d.]+", value):
                values[key] = tuple(float(end) for end in value.split("-"))
            elif key in {"positions", "branch", "cells"}:
                values[key] = value
            else:
                raise WorkbenchError(
                    "bad-selector",
                    f"{text!r} is no selector",
                    f"{part!r} is not understood",
                    "Use rows=0+2, positions=all|prompt|generated|0-16, cells=<mask>, noise=0.2-0.6, branch=cond|both.",
                )
        return validated(cls, values, what=f"Selector {text!r}")


def parse_address(text: str) -> tuple[HookPoint, Selector]:
    """`layers.15:out@positions=generated`: a hook point, and a selector after the `@`."""
    point, _, selector = text.partition("@")
    return HookPoint.parse(point), Selector.parse(selector)
