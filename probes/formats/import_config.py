"""What an import is asked to do: the form and the flags are made from this."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.hierarchy.fit_maps import MapConfig

USUAL = {1: ("middle",), 2: ("low", "high"), 3: ("low", "middle", "high")}


class TextConfig(Frozen):
    """The text that is captured where no store is given."""

    corpus: str = Field(
        default="bundled/state-of-the-union,bundled/moby-dick",
        description="Text file, folder, .jsonl file or bundled corpus; several separated by commas.",
    )
    context: int = Field(default=128, description="Tokens per chunk.", ge=8, le=8192)
    max_tokens: int = Field(default=300_000, description="Stop after this many tokens.", ge=64)
    held_out: float = Field(default=0.125, description="Share of documents kept from training.", gt=0, lt=0.9)
    batch: int = Field(default=32, description="Chunks per forward pass.", ge=1, le=1024)


class ImportConfig(Frozen):
    """Make a probe of dictionaries that others trained, one or several levels."""

    name: str = Field(description="Name of the probe to make.", min_length=1, max_length=64)
    path: tuple[str, ...] = Field(
        description="Files or folders of the dictionaries, lowest level first.", min_length=1, max_length=16
    )
    level: tuple[str, ...] = Field(
        default=(), description="Names of the levels, one for each path; empty for low, middle and high."
    )
    subject: str = Field(default="", description="Subject the dictionaries belong to; empty for the store's.")
    store: str = Field(default="", description="Activation store to measure on; empty to capture one of the same name.")
    point: tuple[str, ...] = Field(
        default=(),
        description="Hook points, one for each path, where the files do not say where they read; a noise interval "
        "may follow, such as mid_block.attentions.0:update@noise=0.5-1.",
    )
    writes: tuple[str, ...] = Field(
        default=(), description="Hook points that transcoders write at, where the files do not say."
    )
    sparsity: Literal["refuse", "calibrate", "keep"] = Field(
        default="refuse", description="What to do when active latents are more than twice off what the makers say."
    )
    licence: str = Field(default="", description="Licence of the files, as their source states it.", max_length=200)
    memory: float = Field(default=8.0, description="Most memory one dictionary may take, in GiB.", gt=0, le=4096)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="The subject's number type."
    )
    device: str = Field(default="auto", description="Where the subject runs: auto, cpu, cuda or mps.")
    offline: bool = Field(default=True, description="Never fetch a model from a hub.")
    seed: int = Field(default=0, description="Seed of the selection maps.", ge=0, le=2**31)
    text: TextConfig = Field(default=TextConfig(), description="The text to capture, where no store is given.")
    maps: MapConfig = Field(default=MapConfig(), description="The selection maps between levels.")


def level_names(config: ImportConfig) -> tuple[str, ...]:
    """A name for each path. Raises `WorkbenchError` when the lists do not belong together."""
    count = len(config.path)
    names = config.level or USUAL.get(count, tuple(f"level{at}" for at in range(count)))
    for what, given in (("level", names), ("point", config.point), ("writes", config.writes)):
        if given and len(given) != count:
            raise WorkbenchError(
                "bad-config",
                "The import is not usable",
                f"{count} dictionaries and {len(given)} of --{what}",
                f"Give one --{what} for each path, or none.",
            )
    if len(set(names)) < count:
        raise WorkbenchError(
            "bad-config", "The import is not usable", "two levels have one name", "Name each level differently."
        )
    return names
