"""Graphs as the browser sees them: opened by name, kept in memory, with the labels people gave."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, RootModel

from concept_graphs.figure import layered_figure
from concept_graphs.graph import GRAPH_FILE, ConceptGraph
from concept_graphs.groups import GROUPS_FILE, Groups
from concept_graphs.tables import ConceptId
from concept_graphs.view import ViewSpec
from probes.artefacts import BUNDLED, available, home, resolve
from probes.configs import validated
from probes.errors import WorkbenchError
from probes.files import read_json, slug, write_json

LABELS_FILE = "labels.json"
LONGEST_LABEL = 120


class Labels(RootModel[dict[ConceptId, Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL)]]]):
    """Labels given by people, by concept id."""


@dataclass(frozen=True)
class OpenGraph:
    """A graph with its edited labels and its groups. `stamp` changes whenever the graph, a label or a group does."""

    ref: str
    path: Path
    graph: ConceptGraph
    original: Mapping[str, str]
    stamp: str
    groups: Groups = field(default_factory=Groups)


class GraphLibrary:
    """Opens graphs by name and remembers the last few."""

    def __init__(self, keep: int = 4) -> None:
        self._keep = keep
        self._held: OrderedDict[str, OpenGraph] = OrderedDict()
        self._lock = threading.Lock()
        self._reading: dict[str, threading.Lock] = {}
        self._groups = threading.Lock()

    def names(self) -> list[str]:
        """References of all graphs there are: one's own, newest first, then the bundled ones."""
        return available("graph")

    def open(self, ref: str) -> OpenGraph:
        """A graph by name. Raises `WorkbenchError` for a path, an unknown name or a damaged graph."""
        return self._opened(ref, resolve(ref, "graph", names_only=True))

    def open_anywhere(self, ref: str) -> OpenGraph:
        """The same for what a person types on the command line: a path or a URL too."""
        return self._opened(ref, resolve(ref, "graph"))

    def _opened(self, ref: str, path: Path) -> OpenGraph:
        with self._lock:
            reading = self._reading.setdefault(ref, threading.Lock())
        with reading:  # a page that opens asks several times at once: one reads, the others wait for it
            stamp = "-".join(str(_modified(file)) for file in (path / GRAPH_FILE, labels_path(path), groups_path(path)))
            with self._lock:
                held = self._held.get(ref)
                if held is not None and held.stamp == stamp:
                    self._held.move_to_end(ref)
                    return held
            graph, known = labelled(ConceptGraph.load(path), path)
            opened = OpenGraph(ref, path, graph, known, stamp, read_groups(path))
            with self._lock:
                self._held[ref] = opened
                while len(self._held) > self._keep:
                    self._held.popitem(last=False)
            return opened

    def rename(self, ref: str, concept: str, label: str) -> OpenGraph:
        """Keep a person's label for a concept; an empty one brings the workbench's own back."""
        opened = self.open(ref)
        opened.graph.node(concept)
        labels = read_labels(opened.path)
        text = " ".join(label.split())[:LONGEST_LABEL]
        if text and text != opened.original.get(concept):
            labels[concept] = text
        else:
            labels.pop(concept, None)
        with self._lock:
            path = labels_path(opened.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, labels)
        return self.open(ref)

    def regroup(self, ref: str, change: Callable[[OpenGraph], Groups]) -> OpenGraph:
        """Keep other groups for a graph: what `change` makes of it as it is now. Raises `WorkbenchError`."""
        with self._groups:
            opened = self.open(ref)
            path = groups_path(opened.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, change(opened).model_dump(mode="json"))
        return self.open(ref)


def labelled(graph: ConceptGraph, path: Path) -> tuple[ConceptGraph, dict[str, str]]:
    """The graph with the labels people gave, and by concept id the workbench's own that they replaced.

    `path` is the graph's folder; one outside the data folder and the bundled ones has no labels of people.
    """
    if not (path.is_relative_to(home()) or path.is_relative_to(BUNDLED)):
        return graph, {}
    labels = read_labels(path)
    replaced = {key: graph.node(key).label for key in labels if key in graph}
    if not replaced:
        return graph, {}
    renamed = [labels.get(key, old) for key, old in zip(graph.nodes["id"], graph.nodes["label"], strict=True)]
    return graph.replace(nodes=graph.nodes.replace(label=renamed)), replaced


def labels_path(graph: Path) -> Path:
    """Where the edited labels of a graph lie: beside it, or in the data folder for a bundled graph."""
    inside = graph.is_relative_to(home())
    return graph / LABELS_FILE if inside else home() / "labels" / f"{slug(graph.name)}.json"


def read_labels(graph: Path) -> dict[str, str]:
    """The edited labels of a graph; none when there is no such file."""
    path = labels_path(graph)
    if not path.is_file():
        return {}
    return dict(validated(Labels, read_json(path, limit=2**20), what=f"The labels of {graph.name}").root)


def groups_path(graph: Path) -> Path:
    """Where the groups of a graph lie: beside it, or in the data folder for one that is not in there."""
    inside = graph.is_relative_to(home())
    return graph / GROUPS_FILE if inside else home() / "groups" / f"{slug(graph.name)}.json"


def read_groups(graph: Path) -> Groups:
    """The groups of a graph; none when there is no such file."""
    path = groups_path(graph)
    if not path.is_file():
        return Groups()
    return validated(Groups, read_json(path, limit=2**24), what=f"The groups of {graph.name}")


def view_json(opened: OpenGraph, view: ViewSpec) -> dict[str, Any]:
    """The figure of a view, with the links a selection lights up: `[source, target, verdict]`."""
    return _view_json(_Keyed(opened), view)


class _Keyed:
    """An open graph that is equal to itself only while its stamp is."""

    def __init__(self, opened: OpenGraph) -> None:
        self.opened = opened

    def __hash__(self) -> int:
        return hash((self.opened.path, self.opened.stamp))

    def __eq__(self, other: object) -> bool:
        mine = self.opened
        return isinstance(other, _Keyed) and (mine.path, mine.stamp) == (other.opened.path, other.opened.stamp)


@lru_cache(maxsize=32)
def _view_json(keyed: _Keyed, view: ViewSpec) -> dict[str, Any]:
    graph = keyed.opened.graph
    figure = layered_figure(graph, view, keyed.opened.groups)
    drawn = {key for trace in figure["data"] for key in trace.get("ids", ())}
    columns = zip(graph.edges["source"], graph.edges["target"], graph.edges["verdict"], strict=True)
    links = [list(row) for row in columns if row[0] in drawn and row[1] in drawn]
    return {**figure, "links": links}


def parsed_view(spec: str, width: int) -> ViewSpec:
    """A view from its JSON text. Raises `WorkbenchError` for anything else."""
    import json

    try:
        data = json.loads(spec) if spec else {}
    except (ValueError, RecursionError):
        raise WorkbenchError(
            "bad-view", "The view is not usable", "it is not JSON", "Use the graph page's own controls."
        ) from None
    if isinstance(data, dict):
        data.setdefault("width", max(200, min(4000, width)))
    return validated(ViewSpec, data, what="The view")


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0
