"""Pinned comparisons: steering runs a person keeps for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from probes.artefacts import home
from probes.files import confined, slug, write_json

if TYPE_CHECKING:
    from steering.comparison import Comparison


def pin(found: Comparison | Mapping[str, Any]) -> str:
    """Keep a comparison in the data folder, never over another one; returns the name the report knows it by."""
    data = json.loads(json.dumps(found)) if isinstance(found, Mapping) else found.model_dump(mode="json")
    folder = home() / "pins"
    folder.mkdir(parents=True, exist_ok=True)
    title = slug(data["prompt"][:40], "comparison")[:40].rstrip("._-") or "comparison"
    at = 1
    while (path := confined(folder, f"{at:03d}-{title}.json")).exists():
        at += 1
    write_json(path, data)
    return path.stem
