"""The file format of a graph: pydantic models that are the format, and the JSON schema made from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, RootModel

from concept_graphs.tables import ConceptId, EdgeTable, Example, HeldOutRow, LevelName, NodeTable, Picture
from probes.configs import Frozen

MOST_LEVELS = 512  # an attribution graph has one per layer, and one more for the errors of each
SCHEMA_FILE = Path(__file__).with_name("schema.json")


class LevelRow(Frozen):
    """One storey of the graph, the lowest first."""

    name: LevelName = Field(description="Name of the level.")
    hook_point: str = Field(max_length=200, description="Where in the subject the level reads and writes.")
    row: str = Field(max_length=60, description="What one code belongs to: token, cell or span(size).")
    n_latents: int = Field(ge=1, description="Number of latents in the level's latent space.")
    fraction: float | None = Field(
        None, ge=0, le=1, description="Depth of the hook point in the subject: 0 is the input, 1 the output."
    )
    noise: tuple[float, float] | None = Field(
        None, description="Noise interval the level reads in, where the subject has a trajectory."
    )


class GraphMeta(Frozen):
    """What the graph is about and how it was made."""

    name: str = Field(max_length=120, description="Name of the artefact.")
    title: str = Field(max_length=200, description="Title for people.")
    subject: str = Field(max_length=400, description="Reference of the frozen model under study.")
    probe: str = Field(max_length=400, description="Reference of the probe the concepts come from.")
    representation: str = Field(
        "", max_length=400, description="Reference of the representation, where the concepts are of one and no probe."
    )
    store: str = Field("", max_length=400, description="Reference of the activation store.")
    direction: Literal["composes", "generates"] = Field(
        "composes", description="The direction in which edges were tested: low to high, or high to low."
    )
    joins: Literal["adjacent", "within", "any"] = Field(
        "adjacent",
        description="Which concepts an edge may join: those of adjacent levels; those of one level, as the latents of "
        "a representation; or, in attribution graphs from elsewhere, any two.",
    )
    created: str = Field("", max_length=60, description="Time of creation, ISO 8601.")
    figures: dict[str, JsonValue] = Field(default_factory=dict, description="Named numbers about the graph.")
    levels: list[LevelRow] = Field(min_length=1, max_length=MOST_LEVELS, description="Levels, the lowest first.")
    warnings: list[str] = Field(default_factory=list, description="What a reader must know before believing it.")
    nulls: dict[str, dict[str, JsonValue]] = Field(
        default_factory=dict, description="The null of each pair of levels, under a name such as low-middle."
    )
    settings: dict[str, JsonValue] = Field(default_factory=dict, description="Settings of the extraction.")

    @property
    def intervention(self) -> str:
        """What the test of an edge did to a concept: see `EvidenceConfig.intervention`."""
        evidence = self.settings.get("evidence")
        return str(evidence.get("intervention", "ablate")) if isinstance(evidence, dict) else "ablate"

    @property
    def activated(self) -> bool:
        """Whether edges were tested by giving a concept to the subject; they were by taking it away otherwise."""
        return self.intervention == "activate"


class GraphFile(Frozen):
    """The file graph.json: columns of equal length for nodes and edges."""

    schema_version: Literal[1] = Field(description="Version of this format.")
    kind: Literal["concept-graph"] = Field(description="Always concept-graph.")
    meta: GraphMeta
    nodes: NodeTable.Columns  # type: ignore[valid-type]
    edges: EdgeTable.Columns  # type: ignore[valid-type]


Shown = list[Example] | list[Picture] | list[HeldOutRow]


class ExamplesFile(RootModel[dict[ConceptId, Shown]]):
    """The file examples.json: concept id to its examples, texts, pictures or rows of a world, the strongest first."""


def json_schema() -> dict[str, Any]:
    """The published JSON schema of graph.json; examples.json is its definition ``ExamplesFile``."""
    schema = GraphFile.model_json_schema()
    examples = ExamplesFile.model_json_schema()
    schema["$defs"].update(examples.pop("$defs"))
    schema["$defs"]["ExamplesFile"] = examples
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Fulcrum concept graph",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def schema_text() -> str:
    """The exact text of the checked-in schema.json."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
