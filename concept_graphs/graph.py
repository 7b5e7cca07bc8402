"""The concept graph: concepts by level, edges between them, and the evidence of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from concept_graphs.checks import check
from concept_graphs.schema import ExamplesFile, GraphFile, GraphMeta, LevelRow, Shown
from concept_graphs.tables import CONFIRMED, Edge, EdgeTable, Example, HeldOutRow, Node, NodeTable, Picture
from probes.configs import validated
from probes.errors import WorkbenchError
from probes.files import atomic_write, read_json, to_json

if TYPE_CHECKING:
    import networkx

    from probes.artefacts import Parent

__all__ = [
    "ConceptGraph",
    "Edge",
    "EdgeTable",
    "Example",
    "GraphMeta",
    "HeldOutRow",
    "LevelRow",
    "Node",
    "NodeTable",
    "Picture",
]

GRAPH_FILE = "graph.json"
EXAMPLES_FILE = "examples.json"
MAX_BYTES = 256 * 2**20


class ConceptGraph:
    """Concepts and edges with evidence. Immutable; needs no subject and no torch.

    `parents` of a concept are the concepts above that it is an edge of, `children` those below, whichever
    direction the edges were tested in: on the next level, unless `meta.joins` lets edges join any two concepts.
    """

    def __init__(
        self,
        meta: GraphMeta,
        nodes: NodeTable,
        edges: EdgeTable,
        examples: Mapping[str, Sequence[Example]] | None = None,
        pictures: Mapping[str, Sequence[Picture]] | None = None,
        rows: Mapping[str, Sequence[HeldOutRow]] | None = None,
        *,
        what: str = "The concept graph",
    ) -> None:
        """Raises WorkbenchError when ids repeat, are unknown, or an edge joins levels it may not."""
        check(meta, nodes, edges, examples or {}, pictures or {}, rows or {}, what)
        self.meta, self.nodes, self.edges = meta, nodes, edges
        self.examples: dict[str, list[Example]] = {k: list(v) for k, v in (examples or {}).items()}
        self.pictures: dict[str, list[Picture]] = {k: list(v) for k, v in (pictures or {}).items()}
        self.rows: dict[str, list[HeldOutRow]] = {k: list(v) for k, v in (rows or {}).items()}
        self._levels = {level.name: i for i, level in enumerate(meta.levels)}
        self._index = {key: i for i, key in enumerate(nodes["id"])}
        self._edge_index = {pair: i for i, pair in enumerate(zip(edges["source"], edges["target"], strict=True))}

    def __contains__(self, concept: object) -> bool:
        return concept in self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConceptGraph) and self._parts == other._parts

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        confirmed = int(self.confirmed.sum())
        return (
            f"ConceptGraph({self.meta.name!r}: {len(self.nodes)} concepts on {len(self.meta.levels)} levels, "
            f"{len(self.edges)} edges, {confirmed} confirmed)"
        )

    def position(self, concept: str) -> int:
        """Row of a concept in the node table; WorkbenchError when there is no such concept."""
        if concept not in self._index:
            raise WorkbenchError(
                "unknown-concept",
                f"There is no concept {str(concept)[:60]!r} in graph {self.meta.name}",
                f"its ids look like {self.nodes['id'][0] if len(self.nodes) else 'level/index'}",
                "Use an id from the graph's table.",
            )
        return self._index[concept]

    def node(self, concept: str) -> Node:
        """One concept by id; WorkbenchError when there is no such concept."""
        return self.nodes.row(self.position(concept))

    def edge(self, source: str, target: str) -> Edge:
        """One edge by the ids of its lower and its upper concept; WorkbenchError when there is none."""
        found = self._edge_index.get((source, target))
        if found is None:
            raise WorkbenchError(
                "unknown-edge",
                f"There is no edge from {str(source)[:60]!r} to {str(target)[:60]!r} in graph {self.meta.name}",
                "the pair was not proposed, or the ids are the wrong way round",
                "Give the concept of the lower level first.",
            )
        return self.edges.row(found)

    def parents(self, concept: str) -> list[Edge]:
        """Edges to the concepts above, the strongest first."""
        return self._incident(concept, self._up)

    def children(self, concept: str) -> list[Edge]:
        """Edges to the concepts below, the strongest first."""
        return self._incident(concept, self._down)

    def level_of(self, name: str) -> int:
        """Place of a level in the hierarchy; 0 is the lowest."""
        return self._levels[name]

    @cached_property
    def level_index(self) -> np.ndarray:
        """Level of each node, int64 [nodes]; 0 is the lowest."""
        return np.array([self._levels[name] for name in self.nodes["level"]], dtype=np.int64)

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Node rows of the sources and of the targets, int64 [edges] each."""
        rows = [np.array([self._index[key] for key in self.edges[end]], dtype=np.int64) for end in ("source", "target")]
        return rows[0], rows[1]

    @cached_property
    def strength(self) -> np.ndarray:
        """|effect| of each edge, float64 [edges], in standard deviations of the target; 0 where untested."""
        return np.nan_to_num(np.abs(self.edges.array("effect")), nan=0.0)

    @cached_property
    def confirmed(self) -> np.ndarray:
        """Whether interventions support each edge, bool [edges]."""
        return np.array([verdict in CONFIRMED for verdict in self.edges["verdict"]], dtype=bool)

    @cached_property
    def only_proposed(self) -> bool:
        """Whether no intervention tested any of its edges, so that they have neither an effect nor a null."""
        return self.meta.joins == "within" or set(self.edges["verdict"]) == {"untested"}

    def networkx(self) -> networkx.DiGraph:
        """A networkx copy: edges point from the lower to the upper concept; columns become attributes."""
        import networkx

        view = networkx.DiGraph(name=self.meta.name)
        view.add_nodes_from((node.id, node.model_dump(exclude={"id"})) for node in self.nodes)
        view.add_edges_from(
            (edge.source, edge.target, edge.model_dump(exclude={"source", "target"})) for edge in self.edges
        )
        return view

    def laid_out(self) -> ConceptGraph:
        """The same graph with layout columns x and y."""
        from concept_graphs.layout import place

        x, y = place(self)
        return self.replace(nodes=self.nodes.replace(x=x.round(5), y=y.round(5)))

    def replace(self, *, meta: GraphMeta | None = None, nodes: NodeTable | None = None) -> ConceptGraph:
        """The same graph with other meta data, or another table of the same concepts."""
        return ConceptGraph(meta or self.meta, nodes or self.nodes, *self._parts[2:])

    @property
    def _parts(self) -> tuple[Any, ...]:
        return self.meta, self.nodes, self.edges, self.examples, self.pictures, self.rows

    @property
    def shown(self) -> dict[str, Shown]:
        """Whatever is shown of each concept, of all kinds: the content of examples.json."""
        return {**self.pictures, **self.rows, **self.examples}

    def as_json(self) -> dict[str, Any]:
        """The content of graph.json."""
        return {
            "schema_version": 1,
            "kind": "concept-graph",
            "meta": self.meta.model_dump(mode="json"),
            "nodes": self.nodes.as_columns(),
            "edges": self.edges.as_columns(),
        }

    def save(
        self,
        directory: Path | str,
        *,
        command: str = "",
        run: str = "",
        parents: Mapping[str, Parent] | None = None,
        licence: str = "",
        notes: str = "",
    ) -> Path:
        """Write graph.json, examples.json and, last, the manifest that makes the folder a graph artefact."""
        from probes.artefacts import write_manifest

        folder = Path(directory)
        examples = {key: [e.model_dump(mode="json") for e in rows] for key, rows in self.shown.items()}
        atomic_write(folder / EXAMPLES_FILE, to_json(examples, indent=None))
        atomic_write(folder / GRAPH_FILE, to_json(self.as_json(), indent=None))
        write_manifest(
            folder,
            kind="graph",
            name=self.meta.name,
            command=command,
            run=run,
            parents=parents,
            figures=self.meta.figures,
            licence=licence,
            notes=notes,
        )
        return folder

    @classmethod
    def load(cls, directory: Path | str) -> ConceptGraph:
        """Read a saved graph; WorkbenchError in one sentence for anything that is not one.

        Where there is a manifest, both files must be the ones it was written for.
        """
        from probes.artefacts import MANIFEST, read_manifest

        folder = Path(directory)
        what = f"The concept graph {folder.name}"
        if (folder / MANIFEST).is_file():
            read_manifest(folder, verify=(GRAPH_FILE, EXAMPLES_FILE))
        data = read_json(folder / GRAPH_FILE, limit=MAX_BYTES)
        if not isinstance(data, dict) or not isinstance(data.get("nodes"), dict):
            raise WorkbenchError("bad-graph", f"{what} is not usable", "it has no nodes", "Extract the graph again.")
        frame = validated(GraphFile, data, what=what)
        examples_path = folder / EXAMPLES_FILE
        content = read_json(examples_path, limit=MAX_BYTES) if examples_path.exists() else {}
        shown = told_apart(validated(ExamplesFile, content, what=f"{what} (examples)").root)
        nodes = NodeTable(_given(frame.nodes), what=f"{what} (nodes)")
        edges = EdgeTable(_given(frame.edges), what=f"{what} (edges)")
        return cls(frame.meta, nodes, edges, *shown, what=what)

    @classmethod
    def open(cls, ref: str) -> ConceptGraph:
        """Load a graph by reference: bundled/<name>, a name in the data home, a path or a URL."""
        from probes.artefacts import resolve

        return cls.load(resolve(ref, "graph"))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from concept_graphs.notebook import mimebundle

        return mimebundle(self)

    def _repr_html_(self) -> str:
        return str(self._repr_mimebundle_()["text/html"])

    @cached_property
    def _up(self) -> dict[int, list[int]]:
        return self._adjacency(self.ends[0])

    @cached_property
    def _down(self) -> dict[int, list[int]]:
        return self._adjacency(self.ends[1])

    def _adjacency(self, end: np.ndarray) -> dict[int, list[int]]:
        """Node row to its edge rows: confirmed before the rest, then by |effect|, then by |weight|."""
        weight = np.nan_to_num(np.abs(self.edges.array("weight")), nan=0.0)
        table: dict[int, list[int]] = {}
        for i in np.lexsort((-weight, -self.strength, ~self.confirmed)):
            table.setdefault(int(end[i]), []).append(int(i))
        return table

    def _incident(self, concept: str, table: dict[int, list[int]]) -> list[Edge]:
        return [self.edges.row(i) for i in table.get(self.position(concept), [])]


def told_apart(
    shown: Mapping[str, Shown],
) -> tuple[dict[str, list[Example]], dict[str, list[Picture]], dict[str, list[HeldOutRow]]]:
    """What is shown of concepts, by kind; a concept of which nothing is shown has no texts."""
    texts: dict[str, list[Example]] = {}
    pictures: dict[str, list[Picture]] = {}
    held_out: dict[str, list[HeldOutRow]] = {}
    for key, rows in shown.items():
        if found := [row for row in rows if isinstance(row, Picture)]:
            pictures[key] = found
        elif ends := [row for row in rows if isinstance(row, HeldOutRow)]:
            held_out[key] = ends
        else:
            texts[key] = [row for row in rows if isinstance(row, Example)]
    return texts, pictures, held_out


def _given(columns: BaseModel) -> dict[str, Any]:
    return {key: getattr(columns, key) for key in type(columns).model_fields}
