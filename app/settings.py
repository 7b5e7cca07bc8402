"""Settings of the workbench: flags over `FULCRUM_*` variables over `settings.toml` over defaults."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from probes.artefacts import home
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.kernels.choice import Choice


class Settings(Frozen):
    """How the workbench runs on this machine. None of it changes what a result means."""

    host: str = Field(default="127.0.0.1", description="Address the server listens on.", min_length=1)
    port: int = Field(default=7860, description="Port the server listens on.", ge=0, le=65535)
    threads: int | None = Field(
        default=None, description="CPU threads per job; none leaves it to torch.", ge=1, le=1024
    )
    kernels: Choice = Field(
        default="auto", description="Compiled loops for training and encoding, torch alone, or what works here."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(default="auto", description="Where models run.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Number type of the subject's weights."
    )
    offline: bool = Field(default=True, description="Never open a connection to another machine.")
    renderer: Literal["auto", "svg", "webgl"] = Field(default="auto", description="How large graphs are drawn.")

    @classmethod
    def load(cls, flags: Mapping[str, Any] | None = None) -> Settings:
        """Read all sources. Raises `WorkbenchError` naming the source and the field that is wrong."""
        values = _from_toml()
        variables = {name: os.environ.get(f"FULCRUM_{name.upper()}") for name in cls.model_fields}
        values |= {name: text for name, text in variables.items() if text}
        values |= dict(flags or {})
        if str(values.get("threads")).lower() in {"none", "auto"}:
            values["threads"] = None
        return validated(cls, values, what="The settings")

    def defaults_for(self, config: type[BaseModel]) -> dict[str, Any]:
        """What a job's config takes from the settings: values set on purpose, for fields of the same name."""
        shared = {"device", "dtype", "offline"} & self.model_fields_set & config.model_fields.keys()
        return {name: getattr(self, name) for name in sorted(shared)}


def _from_toml() -> dict[str, Any]:
    path = home() / "settings.toml"
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WorkbenchError(
            "bad-settings", f"{path} could not be read", str(error), "Correct the file or delete it."
        ) from error
