"""Attribution graphs as Neuronpedia and circuit-tracer exchange them, out and in.

Out: a concept is a node of type "concept" whose layer is its level, an edge a link whose weight says how much the
lower concept supports the upper one; what no such file can hold goes under our own name, so that reading our own
file gives an equal graph. A graph that came from such a file goes out with the ids, layers and types it came with.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from concept_graphs.exchange.attribution_file import AttributionFile, named, read_file
from concept_graphs.exchange.circuit_tracer import SETTINGS, read_attribution, supernodes
from concept_graphs.exchange.evidence import EXTRA, edge_extra, graph_extra, is_extra, node_extra, restored
from concept_graphs.exchange.format import GraphFormat, Received, Shares
from concept_graphs.graph import ConceptGraph
from concept_graphs.groups import Groups
from concept_graphs.prune import Attribution, influence, shares
from concept_graphs.tables import Edge, Node
from probes.errors import WorkbenchError
from probes.files import to_json

PROMPT = "all prompts"  # a concept graph is of a corpus, and a file of this format of one prompt
CONCEPT = "concept"
FIRST = re.compile(r'\{\s*"(metadata|qParams|nodes|links|qk_only_nodes)"')
ABOUT = (
    "A concept graph. Layer: the level of the hierarchy. Weight of a link: minus the change of the upper concept, in "
    "its standard deviations, when the lower is ablated, where interventions tested it; else the proposal's weight."
)


def write(graph: ConceptGraph, groups: Groups) -> str:
    """The text of the file."""
    kept = graph.meta.settings.get(SETTINGS)
    rest: dict[str, Any] = dict(kept) if isinstance(kept, dict) else {}
    ids = _node_ids(graph)
    reach = _reach(graph)
    nodes = [
        _node(graph, at, node, ids[at], None if reach is None else float(reach[at]))
        for at, node in enumerate(graph.nodes)
    ]
    name_of = dict(zip(graph.nodes["id"], ids, strict=True))
    links = [_link(edge, name_of) for edge in graph.edges]
    content = {
        "metadata": {**_metadata(graph), **_mapping(rest.get("metadata")), EXTRA: graph_extra(graph)},
        "qParams": {
            "pinnedIds": [],
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
            **_mapping(rest.get("qParams")),
            "supernodes": [
                [group.name, *(name_of[member] for member in group.members if member in name_of)]
                for group in groups.groups
            ],
        },
        "nodes": nodes,
        "links": [*links, *(rest.get("unclear_links") or [])],
        **{key: value for key, value in rest.items() if key not in {"metadata", "qParams", "unclear_links"}},
    }
    return to_json(content, indent=None)


def read(path: Path, name: str, keep: Shares) -> Received:
    """The graph in a file: ours as it was, another's as its attributions. Raises `WorkbenchError`."""
    file = read_file(path)
    extra = file.metadata.__pydantic_extra__.get(EXTRA)
    if not is_extra(extra):
        return read_attribution(path, name, keep)
    if keep != Shares():
        raise WorkbenchError(
            "not-prunable",
            f"{path.name} was not pruned",
            "it was written by this workbench, with evidence that is more than influence",
            "Import it whole; the Graph page filters by effect.",
        )
    return _ours(path, file, extra)


def _ours(path: Path, file: AttributionFile, extra: Any) -> Received:
    found = named(path, file)
    own = [(node.__pydantic_extra__ or {}).get(EXTRA) for node in file.nodes]
    concepts = [_concept_of(node) for node in own]
    labels = [node.clerp or "" for node in file.nodes]
    edges = [
        (concepts[source], concepts[target], link.get(EXTRA) or {"weight": link["weight"]})
        for (source, target), link in zip(found.ends, found.links, strict=True)
    ]
    graph = restored(extra, list(zip(own, labels, strict=True)), edges, what=f"The graph in {path.name}")
    ids = dict(zip(found.names, concepts, strict=True))
    groups, notes = supernodes(file.qParams.supernodes, ids)
    return Received(graph, groups, tuple(notes))


def _concept_of(own: Any) -> str:
    return str(own.get("id", "")) if isinstance(own, dict) else ""


def _node_ids(graph: ConceptGraph) -> list[str]:
    """A unique id for each node: that of the file it came from, else level, index and position 0."""
    ids = []
    for level, node in zip(graph.level_index, graph.nodes, strict=True):
        given = (node.origin or {}).get("node_id")
        ids.append(given if isinstance(given, str) else f"{level}_{node.index}_0")
    if len(set(ids)) < len(ids):  # a file of ours that was edited elsewhere can hold one id twice
        ids = [f"{level}_{node.index}_0" for level, node in zip(graph.level_index, graph.nodes, strict=True)]
    return ids


def _node(graph: ConceptGraph, at: int, node: Node, node_id: str, reach: float | None) -> dict[str, Any]:
    level = int(graph.level_index[at])
    made: dict[str, Any] = {
        "node_id": node_id,
        "feature": (level + node.index) * (level + node.index + 1) // 2 + node.index,
        "layer": str(level),
        "ctx_idx": 0,
        "feature_type": CONCEPT,
        "jsNodeId": f"{level}_{node.index}-0",
        "activation": node.typical,
        "influence": reach,
        **(node.origin or {}),
    }
    return {**made, "node_id": node_id, "clerp": node.label, EXTRA: node_extra(node)}


def _link(edge: Edge, name_of: dict[str, str]) -> dict[str, Any]:
    weight = edge.weight or 0.0 if edge.effect is None else -edge.effect
    link = {"source": name_of[edge.source], "target": name_of[edge.target], "weight": weight}
    extra = edge_extra(edge)
    return link if extra == {"weight": weight} else {**link, EXTRA: extra}


def _metadata(graph: ConceptGraph) -> dict[str, Any]:
    meta = graph.meta
    return {
        "slug": meta.name,
        "scan": meta.subject,
        "prompt": PROMPT,
        "prompt_tokens": [PROMPT],
        "schema_version": 1,
        "info": {"description": f"{meta.title}. {ABOUT}", "generator": {"name": "Fulcrum"}},
    }


def _reach(graph: ConceptGraph) -> np.ndarray | None:
    """The share of all influence that is used up once a node and all stronger ones are counted, `node`, as such
    files give it: concepts with nothing above them are the outputs. None on a graph with a cycle."""
    source, target = graph.ends
    outputs = (np.bincount(source, minlength=len(graph.nodes)) == 0).astype(np.float64)
    sizes = np.where(graph.confirmed, graph.strength, np.abs(np.nan_to_num(graph.edges.array("weight"))))
    roles = np.where(outputs > 0, "output", "feature")
    try:
        effects = Attribution.of(source, target, sizes, roles, outputs).effects
        carried = influence(shares(effects), outputs) + outputs
    except WorkbenchError:
        return None
    order = np.argsort(-carried, kind="stable")
    reach = np.empty(len(carried))
    reach[order] = np.cumsum(carried[order]) / max(float(carried.sum()), 1e-12)
    return reach.round(6)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _recognises(head: str) -> bool:
    return FIRST.match(head) is not None


FORMAT = GraphFormat(".json", _recognises, read, write)
