"""A circuit-tracer attribution graph as a concept graph: every node a concept, a level per layer, edges untested.

Its edges skip layers and its nodes are features at positions, so the graph lets edges join any two concepts, and
numbers the nodes of a layer; layer, feature and position stay with each node as its file has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import JsonValue

from concept_graphs.exchange.attribution_file import (
    OUTPUT,
    TOKEN,
    AttributionFile,
    FileNode,
    Named,
    named,
    read_file,
)
from concept_graphs.exchange.building import Outside, Storey, built, storey_name
from concept_graphs.exchange.format import Received, Shares, plural
from concept_graphs.groups import Groups
from concept_graphs.prune import Attribution, Role, prune, quality
from probes.errors import WorkbenchError

SETTINGS = "attribution"  # where a graph's settings keep what the file says beside nodes and links


class _Kept(NamedTuple):
    """Which nodes and links of a file the graph is made of, what to say of it, and figures of the whole file."""

    nodes: list[int]
    links: list[int]
    notes: list[str]
    figures: dict[str, Any]


def read_attribution(path: Path, name: str, keep: Shares) -> Received:
    """The graph in a file of attributions. Raises `WorkbenchError`."""
    found = named(path, read_file(path))
    kept = _kept(found, keep)
    storeys, level_of = _storeys([found.file.nodes[at] for at in kept.nodes])
    place = {at: row for row, at in enumerate(kept.nodes)}
    nodes = [
        Outside(level, _label(found.file, at), _size(found.file.nodes[at]), _origin(found, at))
        for at, level in zip(kept.nodes, level_of, strict=True)
    ]
    edges = [
        (place[found.ends[link][0]], place[found.ends[link][1]], found.links[link]["weight"]) for link in kept.links
    ]
    notes = [*found.notes, *kept.notes]
    file = found.file
    graph = built(
        name,
        _title(file),
        str(file.metadata.scan),
        storeys,
        nodes,
        edges,
        figures=kept.figures,
        settings={SETTINGS: _rest(found)},
        notes=notes,
    )
    # An id that an error shared stays the other node's, and that is the one a supernode means.
    ids = dict(zip((found.names[at] for at in kept.nodes), graph.nodes["id"], strict=True))
    groups, missing = supernodes(file.qParams.supernodes, ids)
    return Received(graph, groups, (*notes, *missing))


def supernodes(rows: Sequence[Sequence[str]], ids: dict[str, str]) -> tuple[Groups, list[str]]:
    """Groups from rows of a name and node ids; `ids`: node id to concept. Members unknown there are counted."""
    missing = sum(member not in ids for row in rows for member in row[1:])
    made = [(row[0], [ids[member] for member in row[1:] if member in ids]) for row in rows if row and row[0].strip()]
    notes = [f"{plural(missing, 'member')} of supernodes are not in the graph and were left out."] if missing else []
    return Groups.of((label, members) for label, members in made if members), notes


def _kept(found: Named, keep: Shares) -> _Kept:
    """All of a file, or what carries the shares asked for, with how far features replace the subject in the whole."""
    nodes = found.file.nodes
    every = _Kept(list(range(len(nodes))), list(range(len(found.links))), [], {})
    source, target = (np.array([ends[k] for ends in found.ends], dtype=np.int64) for k in (0, 1))
    weight = np.array([link["weight"] for link in found.links], dtype=np.float64)
    graph = Attribution.of(source, target, weight, [_role(node) for node in nodes], _outputs(nodes))
    whole = keep == Shares()
    try:
        if whole:
            replaced, complete = quality(graph)
            return every._replace(figures=_figures(replaced, complete))
        pruned = prune(graph, keep.nodes, keep.edges)
    except WorkbenchError as error:
        if whole and error.code == "cyclic-graph":
            return every._replace(notes=[f"Influence is not known: {error.why}."])
        raise
    coo = graph.effects.tocoo()
    pairs = set(zip(coo.col[pruned.edges].tolist(), coo.row[pruned.edges].tolist(), strict=True))
    links = [at for at, ends in enumerate(found.ends) if ends in pairs]
    chosen = np.flatnonzero(pruned.nodes).tolist()
    gone = plural(len(nodes) - len(chosen), "node"), plural(len(found.links) - len(links), "link")
    said = (
        f"Pruned to {keep.nodes:g} of the influence and {keep.edges:g} of the links: {gone[0]} and {gone[1]} left out."
    )
    return _Kept(chosen, links, [said], _figures(pruned.replacement, pruned.completeness))


def _figures(replacement: float, completeness: float) -> dict[str, Any]:
    known = {"replacement": replacement, "completeness": completeness}
    return {name: round(value, 6) for name, value in known.items() if np.isfinite(value)}


def _role(node: FileNode) -> Role:
    if node.is_error:
        return "error"
    return {TOKEN: "token", OUTPUT: "output"}.get(node.feature_type, "feature")  # type: ignore[return-value]


def _outputs(nodes: Sequence[FileNode]) -> np.ndarray:
    """What is to be explained of each output: its probability; alike for all where the file says none."""
    given = [(node.token_prob or 0.0) if node.feature_type == OUTPUT else 0.0 for node in nodes]
    if not any(given):
        given = [float(node.feature_type == OUTPUT) for node in nodes]
    return np.array(given)


def _storeys(nodes: Sequence[FileNode]) -> tuple[list[Storey], list[int]]:
    """The layers, lowest first, and each node's place among them; a layer without a number goes by its name, above
    the numbered ones."""

    def order(node: FileNode) -> tuple[float, str]:
        depth = node.depth
        return (1e18, str(node.layer)) if depth != depth else (depth, "")

    keys = sorted({order(node) for node in nodes})
    taken: set[str] = set()
    storeys = []
    for depth, words in keys:
        said = words or {float("-inf"): "tokens", float("inf"): "outputs"}.get(depth) or f"layer {depth:.0f}"
        storeys.append(Storey(storey_name(said, taken), said[:200]))
    place = {key: at for at, key in enumerate(keys)}
    return storeys, [place[order(node)] for node in nodes]


def _label(file: AttributionFile, at: int) -> str:
    """The node's own label, else what it is and at which token."""
    node, tokens = file.nodes[at], file.metadata.prompt_tokens
    if node.clerp and node.clerp.strip():
        return node.clerp
    token = f" at {tokens[node.ctx_idx]!r}" if 0 <= node.ctx_idx < len(tokens) else ""
    if node.is_error:
        return f"error{token}"
    return f"feature {feature_number(node)}{token}"


def feature_number(node: FileNode) -> str:
    """The number a feature has in its dictionary: that in its id, for the field may hold layer and feature in one."""
    parts = node.node_id.split("_")
    if len(parts) == 3 and parts[0] == str(node.layer) and parts[1].isdigit():
        return parts[1]
    return "unknown" if node.feature is None else str(node.feature)


def _size(node: FileNode) -> float | None:
    return node.activation if node.activation is not None and node.activation >= 0 else None


def _origin(found: Named, at: int) -> dict[str, JsonValue]:
    return found.file.nodes[at].model_dump(mode="json", exclude_unset=True) | {"node_id": found.names[at]}


def _title(file: AttributionFile) -> str:
    return " ".join(file.metadata.prompt.split()) or file.metadata.slug


def _rest(found: Named) -> dict[str, JsonValue]:
    """What the file says beside nodes, links and supernodes, as it says it."""
    file = found.file
    return {
        **(file.__pydantic_extra__ or {}),
        "metadata": file.metadata.model_dump(mode="json", exclude_unset=True),
        "qParams": file.qParams.model_dump(mode="json", exclude_unset=True, exclude={"supernodes"}),
        "unclear_links": [dict(link) for link in found.unclear],
    }
