"""The job that makes a graph of another tool's file."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from concept_graphs.exchange.format import Shares
from concept_graphs.exchange.registry import read_graph
from concept_graphs.groups import GROUPS_FILE
from probes.artefacts import Parent, artefact_path
from probes.configs import Frozen
from probes.files import commit_directory, sha256_of, write_json
from probes.runs import Run


class GraphImportConfig(Frozen):
    """Make a concept graph of a file that another tool wrote."""

    name: str = Field(description="Name of the graph to make.", min_length=1, max_length=64)
    file: str = Field(description="File of the graph, a Neuronpedia or circuit-tracer JSON or GraphML.", min_length=1)
    node_share: float = Field(
        default=1.0, description="Share of the influence whose nodes are kept; 1 keeps all.", gt=0, le=1
    )
    edge_share: float = Field(
        default=1.0, description="Share of the influence whose links are kept; 1 keeps all.", gt=0, le=1
    )
    licence: str = Field(default="", description="Licence of the file, as its source states it.", max_length=200)


def work(config: GraphImportConfig, run: Run) -> Path | None:
    """Read the file, keep the graph under its name, and its supernodes beside it as groups a person can edit."""
    target = artefact_path("graph", config.name)
    if run.made(target):
        return target
    path = Path(config.file).expanduser()
    run.update(message=f"reading {path.name}")
    graph, groups, notes = read_graph(path, config.name, Shares(config.node_share, config.edge_share))
    # The name it is kept under, whatever the file calls it.
    named = graph.replace(meta=graph.meta.model_copy(update={"name": target.name}))
    with commit_directory(target) as folder:
        named.save(
            folder,
            command=run.record().command,
            run=run.slug,
            parents={"file": Parent(ref=path.name, sha256=sha256_of(path))},
            licence=config.licence,
            notes=" ".join(notes),
        )
        if groups.groups:
            write_json(folder / GROUPS_FILE, groups.model_dump(mode="json"))
    return target
