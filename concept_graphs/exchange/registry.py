"""The formats graphs are exchanged in. The first row that recognises the content of a file reads it."""

from __future__ import annotations

from pathlib import Path

from concept_graphs.exchange.format import MOST_BYTES, GraphFormat, Received, Shares, refused
from concept_graphs.graph import ConceptGraph
from concept_graphs.groups import Groups
from probes.registry import Registry

GRAPH_FORMATS = Registry(
    "format of graphs",
    {
        "neuronpedia": (
            "concept_graphs.exchange.neuronpedia:FORMAT",
            "Attribution graphs of Neuronpedia and circuit-tracer: one JSON file.",
        ),
        "graphml": ("concept_graphs.exchange.graphml:FORMAT", "GraphML, for networkx, Gephi and others."),
    },
)
HEAD = 4096  # characters a format is told by


def format_of(path: Path) -> str | None:
    """The format of a file, told from its first characters; None where no format fits, or there is no such file."""
    try:
        with path.open("rb") as file:
            start = file.read(HEAD)
    except OSError:
        return None
    if b"\0" in start:  # binary, as the files of dictionaries are
        return None
    head = start.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    return next((name for name in GRAPH_FORMATS if _format(name).recognises(head)), None)


def read_graph(path: Path, name: str, keep: Shares = Shares()) -> Received:  # noqa: B008
    """The graph in a file, whatever its format. Raises `WorkbenchError` in one sentence for whatever is wrong."""
    if not path.is_file():
        raise refused(path, "there is no such file", "Check the path.")
    if path.stat().st_size > MOST_BYTES:
        raise refused(
            path,
            f"it is larger than {MOST_BYTES // 2**20} MiB",
            "Prune the graph in the tool that made it, then export it again.",
        )
    found = format_of(path)
    if found is None:
        known = " ".join(entry.sentence for entry in GRAPH_FORMATS.values())
        raise refused(path, "its content is of no known format", f"Known: {known}")
    return _format(found).read(path, name, keep)


def graph_text(graph: ConceptGraph, groups: Groups, name: str) -> str:
    """The text of a file of a format."""
    return _format(name).write(graph, groups)


def _format(name: str) -> GraphFormat:
    found: GraphFormat = GRAPH_FORMATS.load(name)
    return found
