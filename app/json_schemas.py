"""The JSON schemas of what commands print with `--json`: `python -m app.json_schemas` writes them anew."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from probes.files import atomic_write

FOLDER = Path(__file__).with_name("schemas")
# File name to the model that is printed. A graph's own file has its schema beside its format.
PRINTED = {
    "job": "app.progress:Summary",
    "graph-show": "app.looking:ShownGraph",
    "graph-show-concept": "app.looking:ShownConcept",
    "graph-compose": "concept_graphs.composability:Composability",
    "graph-compare": "concept_graphs.comparison:GraphComparison",
    "steer": "steering.comparison:Comparison",
    "steer-pictures": "steering.comparison:PictureComparison",
    "steer-rows": "steering.row_comparison:RowComparison",
    "steer-sweep": "steering.picture_sweep:PictureSweep",
    "evaluate": "app.suites.rows:Rows",
    "export": "app.exporting:Exported",
    "export-graph": "app.exporting_graphs:GraphExported",
    "known-graph": "concept_graphs.known_graph:KnownGraph",
    "levers": "steering.levers:LeverSet",
}


def schema_of(name: str) -> dict[str, Any]:
    """The schema of what is printed under a name of `PRINTED`."""
    module, _, attribute = PRINTED[name].partition(":")
    schema = getattr(import_module(module), attribute).model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text(name: str) -> str:
    """The exact text of a checked-in schema file."""
    return json.dumps(schema_of(name), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for printed in PRINTED:
        atomic_write(FOLDER / f"{printed}.json", schema_text(printed))
