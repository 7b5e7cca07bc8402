"""The command that does the same as the Steer page: what its forms ask for, checked, and said in flags."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import Field

from app.components.lever_rack import LeverRow, Rack
from app.desk import SELECTORS, levers_of
from probes.configs import Frozen, validated
from probes.subjects.image_inputs import ImageInputs
from steering.levers import LeverSet

SHARED = ("operation", "strength", "where", "aim", "target", "donor", "weights", "branch", "noise", "limit", "cells")
MOST_PICTURES = 8
FILE = "levers.json"


class Ask(Frozen):
    """One comparison of texts to make."""

    prompt: str = Field(description="Text to continue.", min_length=1, max_length=20_000)
    seed: int = Field(default=0, description="Seed of sampling, the same for both texts.", ge=0, le=2**31 - 1)
    tokens: int = Field(default=40, description="Tokens to generate.", ge=1, le=400)
    temperature: float = Field(default=0.7, description="0 takes the likeliest token.", ge=0, le=2)
    controls: bool = Field(default=True, description="Also run the controls.")

    def flags(self) -> list[str]:
        """The same as flags of `steer`."""
        return [
            *text_flag("--prompt", self.prompt),
            *("--seed", str(self.seed), "--tokens", str(self.tokens), "--temperature", f"{self.temperature:g}"),
        ]


class PictureAsk(Frozen):
    """One comparison of pictures to make."""

    prompt: str = Field(description="What the pictures show.", min_length=1, max_length=2000)
    seed: int = Field(default=0, description="Seed of the first picture; the others count up.", ge=0, le=2**31 - 1)
    pictures: int = Field(default=2, description="How many pictures, each with its seed.", ge=1, le=MOST_PICTURES)
    steps: int = Field(default=20, description="Steps of the schedule.", ge=1, le=200)
    guidance: float | None = Field(
        default=None, description="Guidance scale; none for the recorded or the pipeline's own.", ge=0
    )
    negative: str = Field(default="", description="What no picture should show.", max_length=2000)
    asking: str = Field(default="", description="A prompt that asks for what the levers bring.", max_length=2000)
    controls: bool = Field(default=True, description="Also run the controls.")

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.seed + at for at in range(self.pictures))

    def inputs(self) -> ImageInputs:
        """What the subject is given."""
        return ImageInputs(
            prompts=(self.prompt,), negative=self.negative, steps=self.steps, guidance=self.guidance, seeds=self.seeds
        )

    def flags(self) -> list[str]:
        """The same as flags of `steer`."""
        guidance = [] if self.guidance is None else ["--guidance", f"{self.guidance:g}"]
        return [
            *text_flag("--prompt", self.prompt),
            *("--seed", *map(str, self.seeds), "--steps", str(self.steps), *guidance),
            *(text_flag("--negative", self.negative) if self.negative else []),
            *(text_flag("--asking", self.asking) if self.asking and self.controls else []),
            *("--out", "steered"),
        ]


def asked(prompt: Any, seed: Any, tokens: Any, temperature: Any, controls: Any) -> Ask:
    """What the form of texts asks for. Raises `WorkbenchError` naming the field that is wrong."""
    data = {"prompt": prompt, "seed": seed or 0, "tokens": tokens, "temperature": temperature, "controls": controls}
    return validated(Ask, data, what="The comparison")


def pictures_asked(form: Sequence[Any]) -> PictureAsk:
    """What the form of pictures asks for. Raises `WorkbenchError` naming the field that is wrong."""
    given = dict(zip(PictureAsk.model_fields, form, strict=True))
    given = {name: value for name, value in given.items() if value is not None and (name != "guidance" or value != "")}
    return validated(PictureAsk, given, what="The comparison")


class Asked(Protocol):
    """What a part of the page asks for."""

    @property
    def controls(self) -> bool: ...

    def flags(self) -> list[str]: ...


def command_line(ref: str, rack: Rack, ask: Asked, *, probe: str = "") -> str:
    """The command that does the same; levers that no flags can say are read from a file.

    With the name of their `probe` it writes that file first, for a reader who cannot save it.
    """
    if not rack.levers:
        return "# add a lever first"
    first = rack.levers[0]
    parts = ["python", "-m", "app", "steer", ref]
    uneven = any(getattr(row, name) != getattr(first, name) for row in rack.levers for name in SHARED)
    if first.weights or first.cells is not None or uneven:
        parts += ["--levers", FILE]
    else:
        parts += [part for row in rack.levers for part in ("--concept", row.concept)] + _lever_flags(first)
    line = shlex.join([*parts, *ask.flags(), *([] if ask.controls else ["--no-controls"])])
    if "--levers" not in parts:
        return line
    if not probe:
        return f"# after Save levers\n{line}"
    levers = LeverSet(probe=probe, levers=tuple(levers_of(rack))).model_dump_json(exclude_defaults=True)
    return f"cat > {FILE} <<'END'\n{levers}\nEND\n{line}"


def text_flag(flag: str, text: str) -> list[str]:
    """A text that starts with a dash would be read as a flag of its own."""
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def _lever_flags(row: LeverRow) -> list[str]:
    flags = ["--strength", f"{row.strength:g}"]
    flags += ["--operation", row.operation] if row.operation != "add" else []
    flags += ["--to-level", f"{row.aim:g}"] if row.operation in {"set", "cap"} and row.aim != 1 else []
    flags += ["--target", f"{row.level}/{row.target}"] if row.operation == "swap" and row.target is not None else []
    flags += text_flag("--donor", row.donor) if row.operation == "patch" else []
    flags += ["--noise", "{:g}-{:g}".format(*row.noise)] if row.noise else []
    flags += ["--branch", row.branch] if row.branch != "cond" else []
    flags += ["--limit", f"{row.limit:g}"] if row.limit is not None else []
    return flags + (["--where", SELECTORS[row.where]] if row.where != "all" else [])
