"""Levers as data: which latents, what to do to them, how strongly, where. JSON both ways, no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from probes.addresses import Selector
from probes.artefacts import home
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import confined, read_json, slug, write_json
from steering.registry import OPERATIONS

OperationName = Annotated[str, OPERATIONS]


class OperationParams(Frozen):
    """What some operations need besides a strength."""

    level: float = Field(
        default=1.0, description="Level that set and cap aim at, in typical activations.", ge=0, le=100
    )
    target: int | None = Field(default=None, description="Latent that a swap moves the activation to.", ge=0)
    donor: str = Field(default="", description="Text, or prompt, whose activations a patch copies.", max_length=20_000)


class Lever(Frozen):
    """A weighted set of latents of one level, an operation, a strength, and where it applies.

    The change of an activation is strength · Σ weight · operation(code), so strength 0 changes nothing.
    """

    level: str = Field(description="Level of the probe the latents belong to.", pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    weights: dict[int, float] = Field(description="Latent to weight.", min_length=1, max_length=256)
    operation: OperationName = Field(default="add", description="What to do to the latents' codes.")
    strength: float = Field(default=1.0, description="Strength; for add, in typical activations.", ge=-100, le=100)
    where: str = Field(default="", description="Selector, such as positions=generated; empty for everywhere.")
    params: OperationParams = Field(default=OperationParams(), description="What the operation needs besides.")
    limit: float | None = Field(
        default=None,
        description="Largest |change| / |activation| at any place; none for half in pictures and no limit in text.",
        gt=0,
        le=100,
    )

    @field_validator("where")
    @classmethod
    def _parses(cls, where: str) -> str:
        try:
            return str(Selector.parse(where))
        except WorkbenchError as error:
            raise ValueError(str(error)) from None

    @property
    def selector(self) -> Selector:
        return Selector.parse(self.where)

    def with_strength(self, strength: float) -> Lever:
        return self.model_copy(update={"strength": strength})

    def effective(self, guidance: float | None) -> float:
        """The strength that reaches the guided output, which is uncond + g · (cond − uncond).

        `guidance` is g, or None where the subject runs one branch alone: that one is cond.
        """
        branch = self.selector.branch
        if guidance is None:
            return 0.0 if branch == "uncond" else self.strength
        return self.strength * {"cond": guidance, "uncond": 1 - guidance, "both": 1.0}[branch]


class LeverSet(Frozen):
    """Levers that are applied together, in any order; saved, shared, applied to any prompt."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    probe: str = Field(description="Probe the levers belong to.")
    levers: tuple[Lever, ...] = Field(default=(), description="The levers.", max_length=16)

    def save(self, title: str) -> Path:
        """Write to the data folder under a slug of the title; returns the path."""
        path = confined(home() / "levers", f"{slug(title)[:58]}.json")
        write_json(path, self.model_dump(mode="json"))
        return path

    @classmethod
    def load(cls, path: Path) -> LeverSet:
        return validated(cls, read_json(path, limit=2**20), what=f"The lever set {path.name}")


def lever_of(concept: str, strength: float = 1.0, operation: str = "add", where: str = "") -> Lever:
    """A lever on one concept id such as `middle/123`. Raises `WorkbenchError` for a malformed id."""
    level, _, latent = concept.partition("/")
    if not level or not latent.isdigit():
        raise WorkbenchError(
            "bad-concept",
            f"{concept[:60]!r} is no concept id",
            "it is not level/number",
            "Write it like middle/123.",
        )
    data = {
        "level": level,
        "weights": {int(latent): 1.0},
        "strength": strength,
        "operation": operation,
        "where": where,
    }
    return validated(Lever, data, what=f"The lever on {concept}")
