"""GraphML, out and in, by networkx: plain attributes for other tools, and our own object beside, as JSON text."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError, XMLParser

import networkx

from concept_graphs.exchange.building import Outside, Storey, built, storey_name
from concept_graphs.exchange.evidence import EXTRA, edge_extra, graph_extra, is_extra, node_extra, restored
from concept_graphs.exchange.format import MOST_LINKS, MOST_NODES, GraphFormat, Received, Shares, plural, refused
from concept_graphs.graph import ConceptGraph
from concept_graphs.groups import Groups
from concept_graphs.tables import Edge, Node
from concept_graphs.text import visible
from probes.errors import WorkbenchError, first_line

SHOWN = ("frequency", "typical", "detection", "spread", "seed_agreement", "x", "y")
MOST = {"node": MOST_NODES, "edge": MOST_LINKS}
MEASURED = ("weight", "effect", "effect_low", "effect_high", "null95", "q", "held", "frequency", "correlation")


def write(graph: ConceptGraph, groups: Groups) -> str:
    """The text of the file. Groups are an attribute of their concepts, and whole in our own object."""
    of = groups.first_of(graph)
    made = networkx.DiGraph(name=graph.meta.name)
    made.graph[EXTRA] = json.dumps(graph_extra(graph))
    made.graph["groups"] = json.dumps([[group.name, *group.members] for group in groups.groups])
    for node in graph.nodes:
        group = {"group": visible(of[node.id].name)} if node.id in of else {}
        made.add_node(node.id, **_node(graph, node), **group)
    for at, edge in enumerate(graph.edges):  # networkx sorts edges by their source
        made.add_edge(edge.source, edge.target, order=at, **_edge(edge))
    held = io.BytesIO()
    networkx.write_graphml_xml(made, held, infer_numeric_types=True)
    return held.getvalue().decode("utf-8")


def read(path: Path, name: str, keep: Shares) -> Received:
    """The graph in a file: ours as it was, another's as its weighted edges. Raises `WorkbenchError`."""
    if keep != Shares():
        raise refused(path, "a GraphML file says not which nodes are outputs", "Import it whole.")
    found = _parsed(path)
    extra = _json(found.graph.get(EXTRA))
    return _ours(path, found, extra) if is_extra(extra) else _theirs(path, name, found)


def _node(graph: ConceptGraph, node: Node) -> dict[str, Any]:
    plain = {name: getattr(node, name) for name in SHOWN}
    return {
        "label": visible(node.label),
        "level": node.level,
        "level_index": graph.level_of(node.level),
        "latent": node.index,
        **{name: float(value) for name, value in plain.items() if value is not None},
        EXTRA: json.dumps({**node_extra(node), "label": node.label}),
    }


def _edge(edge: Edge) -> dict[str, Any]:
    plain = {name: getattr(edge, name) for name in MEASURED}
    return {
        "verdict": edge.verdict,
        **{name: float(value) for name, value in plain.items() if value is not None},
        EXTRA: json.dumps(edge_extra(edge)),
    }


def _parsed(path: Path) -> Any:
    """The file by networkx, once it is seen to declare no entities and to be of a size."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused(path, "it is not UTF-8 text") from error
    lowered = text.casefold()
    if "<!doctype" in lowered or "<!entity" in lowered:
        raise refused(path, "it declares a document type or entities", "Remove the declaration; GraphML needs none.")
    try:
        counting = XMLParser(target=_Counted(path))
        counting.feed(text)
        counting.close()
        found = networkx.parse_graphml(text, force_multigraph=False)
    except (networkx.NetworkXError, ParseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise refused(path, f"networkx does not read it ({first_line(error)})") from error
    if len(found) > MOST["node"]:  # an end of an edge that no element declares is a node too
        raise _too_many(path, "node")
    return found


class _Counted:
    """What expat tells of a file without a tree of it: elements by their local name, whatever prefix they have."""

    def __init__(self, path: Path) -> None:
        self._path, self._left = path, dict(MOST)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if name in self._left:
            self._left[name] -= 1
            if self._left[name] < 0:
                raise _too_many(self._path, name)

    def close(self) -> None:
        """expat calls it at the end."""


def _too_many(path: Path, noun: str) -> WorkbenchError:
    return refused(path, f"it has more than {plural(MOST[noun], noun)}", "Prune the graph before it is exported.")


def _ours(path: Path, found: Any, extra: Any) -> Received:
    what = f"The graph in {path.name}"
    nodes = []
    for key, given in found.nodes(data=True):
        own = _json(given.get(EXTRA))
        own = own if isinstance(own, dict) else {}
        before, now = str(own.pop("label", "")), str(given.get("label", ""))
        nodes.append(({**own, "id": key}, before if visible(before) == now else now))
    written = sorted(found.edges(data=True), key=lambda edge: _rank(edge[2].get("order")))
    edges = [(source, target, _json(given.get(EXTRA))) for source, target, given in written]
    graph = restored(extra, nodes, edges, what=what)
    rows = _json(found.graph.get("groups"))
    named = [
        (str(row[0]), [member for member in row[1:] if member in graph])
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, list) and row and str(row[0]).strip()
    ]
    return Received(graph, Groups.of((label, members) for label, members in named if members))


def _theirs(path: Path, name: str, found: Any) -> Received:
    """Another tool's graph: levels by a level attribute, else by the longest way from a source, else one for all."""
    notes = [] if found.is_directed() else ["Its edges have no direction: they are read as they are written down."]
    if found.is_multigraph():
        raise refused(path, "it has several edges between two nodes", "Merge them before it is exported.")
    loops = [ends for ends in found.edges() if ends[0] == ends[1]]
    if loops:
        notes.append(f"{plural(len(loops), 'edge')} of a node to itself left out.")
        found.remove_edges_from(loops)
    level_of = _levels(found)
    words = sorted(set(level_of.values()))
    taken: set[str] = set()
    said = [word[1] or f"level {word[0]:g}" for word in words]
    storeys = [Storey(storey_name(each, taken), each[:200]) for each in said]
    place = {key: at for at, key in enumerate(words)}
    nodes = [
        Outside(place[level_of[key]], str(given.get("label", key)), None, {"node_id": str(key), **_scalars(given)})
        for key, given in found.nodes(data=True)
    ]
    row = {key: at for at, key in enumerate(found.nodes())}
    edges = [(row[source], row[target], _weight(path, given)) for source, target, given in found.edges(data=True)]
    if not nodes:
        raise refused(path, "it has no node")
    graph = built(
        name, str(found.graph.get("name", "")) or path.stem, "", storeys, nodes, edges,
        figures={}, settings={"imported_from": "GraphML"}, notes=notes,
    )  # fmt: skip
    by_group: dict[str, list[str]] = {}
    for (_, given), concept in zip(found.nodes(data=True), graph.nodes["id"], strict=True):
        if str(given.get("group", "")).strip():
            by_group.setdefault(str(given["group"]), []).append(concept)
    return Received(graph, Groups.of(by_group.items()), tuple(notes))


def _levels(found: Any) -> dict[Any, tuple[float, str]]:
    given = {key: data.get("level_index", data.get("level")) for key, data in found.nodes(data=True)}
    if given and all(value is not None for value in given.values()):
        return {key: _rank(value) for key, value in given.items()}
    if not found.is_directed() or not networkx.is_directed_acyclic_graph(found):
        return dict.fromkeys(given, (0.0, ""))
    generations = networkx.topological_generations(found)
    return {key: (float(at), "") for at, keys in enumerate(generations) for key in keys}


def _rank(value: Any) -> tuple[float, str]:
    """A place by its number, else by its name after the numbered ones."""
    try:
        return float(int(value)), ""
    except (ValueError, OverflowError, TypeError):
        return 1e18, str(value)


def _weight(path: Path, given: dict[str, Any]) -> float:
    value = given.get("weight", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
        raise refused(path, f"the weight {str(value)[:40]!r} of an edge is not a finite number")
    return float(value)


def _scalars(given: dict[str, Any]) -> dict[str, Any]:
    """A node's attributes as JSON has them; a number that is not finite is left out."""
    return {name: value for name, value in given.items() if not isinstance(value, float) or abs(value) < float("inf")}


def _json(text: Any) -> Any:
    """What a JSON text holds; None for anything else."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


FORMAT = GraphFormat(".graphml", lambda head: head.startswith("<") and "graphml" in head.casefold(), read, write)
