"""What a file format of graphs is, and the one way its files are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from concept_graphs.graph import ConceptGraph
from concept_graphs.groups import Groups
from probes.errors import WorkbenchError

MOST_BYTES = 512 * 2**20
MOST_NODES, MOST_LINKS = 50_000, 1_000_000


class Shares(NamedTuple):
    """How much of the influence of an attribution graph is kept when it is read; 1 for all."""

    nodes: float = 1.0
    edges: float = 1.0


class Received(NamedTuple):
    """A graph from a file, its groups, and what a person must be told of how it was read."""

    graph: ConceptGraph
    groups: Groups
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GraphFormat:
    """One format. `recognises` sees the first characters of a file; `read` takes its path, the name of the graph to
    make and the shares to keep; `write` gives the text of a file."""

    suffix: str
    recognises: Callable[[str], bool]
    read: Callable[[Path, str, Shares], Received]
    write: Callable[[ConceptGraph, Groups], str]


def refused(path: Path, why: str, how: str = "Correct the file, or write it anew.") -> WorkbenchError:
    """The error for a file that cannot be read as a graph."""
    return WorkbenchError("bad-graph-file", f"{path.name} cannot be read as a graph", why, how)


def plural(count: int, what: str) -> str:
    """A count with its noun, as in 1 link and 2 links."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
