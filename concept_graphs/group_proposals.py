"""Groups proposed from a graph: concepts of one level that do the same work.

Two concepts are alike by the mean of what is known of them: the cosine of their edges, up and down, by strength;
their companions, which is how much of one rises with the other; the cosine of their decoder rows, where the probe
is there. Concepts are joined by average linkage as long as they are alike enough. Proposals are a start for a
person to correct, no finding: nothing here is tested by an intervention.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from concept_graphs.graph import ConceptGraph
from concept_graphs.groups import LONGEST_NAME, MOST_GROUPS, Groups
from probes.artefacts import resolve
from probes.errors import WorkbenchError
from probes.hierarchy.measured import weights_file

ALIKE = 0.3  # of 1: the mean likeness above which concepts are joined; a person corrects what was joined too freely
WIDEST = 3000  # concepts of a level that are compared pair by pair

Matrix = NDArray[np.float64]


def propose_groups(
    graph: ConceptGraph, directions: Mapping[str, Matrix] | None = None, *, alike: float = ALIKE
) -> Groups:
    """Groups of at least two concepts of one level each, the largest first.

    `directions`: level to the decoder rows of its concepts, `concept d` in the order of the node table; see
    `decoder_rows`. A level with more than 3,000 concepts gets none.
    """
    edges, companions = _edge_profiles(graph), _companions(graph)
    found: list[list[int]] = []
    for level in range(len(graph.meta.levels)):
        rows = np.flatnonzero(graph.level_index == level)
        if 2 <= len(rows) <= WIDEST:
            given = (directions or {}).get(graph.meta.levels[level].name)
            likeness = _likeness(edges[rows], companions[rows][:, rows], given)
            found += [[int(rows[at]) for at in group] for group in _linked(likeness, alike)]
    found.sort(key=lambda group: (-len(group), group))
    ids = graph.nodes["id"]
    named = ((_name(graph, group), [ids[row] for row in group]) for group in found[:MOST_GROUPS])
    return Groups.of(named, proposed=True)


def decoder_rows(graph: ConceptGraph) -> dict[str, Matrix]:
    """Level to the decoder rows of its concepts, read from the graph's probe without torch; a level whose weights
    are not there, or not in a type that numpy has, is left out."""
    from safetensors import SafetensorError, safe_open

    try:
        folder = resolve(graph.meta.probe, "probe", names_only=True)
    except WorkbenchError:
        return {}
    found: dict[str, Matrix] = {}
    for at, level in enumerate(graph.meta.levels):
        latents = np.array(graph.nodes["index"])[graph.level_index == at]
        try:
            with safe_open(folder / weights_file(level.name), framework="np") as handle:
                rows = np.asarray(handle.get_tensor("w_dec"), dtype=np.float64)
        except (SafetensorError, OSError, ValueError, TypeError, KeyError):
            continue
        if rows.ndim == 2 and len(rows) == level.n_latents:
            found[level.name] = rows[latents]
    return found


def _edge_profiles(graph: ConceptGraph) -> sparse.csr_matrix:
    """What each concept is joined to and how strongly, csr `concept 2·concept`: parents, then children. By |effect|
    where interventions confirmed edges at all, else by the weight of the proposal."""
    source, target = graph.ends
    weight = np.nan_to_num(graph.edges.array("weight"), nan=0.0)
    effect = np.nan_to_num(graph.edges.array("effect"), nan=0.0)
    value = np.where(graph.confirmed, effect, 0.0) if graph.confirmed.any() else weight
    size = len(graph.nodes)
    up = sparse.csr_matrix((value, (source, target)), shape=(size, size))
    down = sparse.csr_matrix((value, (target, source)), shape=(size, size))
    return sparse.csr_matrix(sparse.hstack([up, down]))


def _companions(graph: ConceptGraph) -> sparse.csr_matrix:
    """How much of one concept rises with another, the larger of both ways, csr `concept concept`."""
    size = len(graph.nodes)
    entries = [
        (row, graph.position(other), min(max(share, 0.0), 1.0))
        for row, companions in enumerate(graph.nodes["companions"])
        for other, share in companions
        if other in graph
    ]
    rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
    shared = sparse.csr_matrix((values, (rows, columns)), shape=(size, size), dtype=np.float64)
    return sparse.csr_matrix(shared.maximum(shared.T))


def _likeness(edges: sparse.csr_matrix, companions: sparse.csr_matrix, directions: Matrix | None) -> Matrix:
    """How alike the concepts of a level are, `concept concept`, at most 1: the mean over what is known."""
    known = [_cosine(edges)] if edges.nnz else []
    if companions.nnz:
        known.append(np.asarray(companions.todense()))
    if directions is not None and len(directions) == edges.shape[0]:
        unit = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
        known.append(np.maximum(unit @ unit.T, 0.0))
    return np.mean(known, axis=0) if known else np.zeros((edges.shape[0],) * 2)


def _cosine(rows: sparse.csr_matrix) -> Matrix:
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    unit = sparse.diags_array(1 / np.where(length > 0, length, np.inf)) @ rows
    return np.asarray((unit @ unit.T).todense())


def _linked(likeness: Matrix, alike: float) -> list[list[int]]:
    """Groups of at least two by average linkage, each with a mean likeness of at least `alike` at every step."""
    apart = np.clip(1 - (likeness + likeness.T) / 2, 0.0, 2.0)
    np.fill_diagonal(apart, 0.0)
    labels = fcluster(linkage(squareform(apart, checks=False), "average"), 1 - alike, "distance")
    groups: dict[int, list[int]] = {}
    for at, label in enumerate(labels):
        groups.setdefault(int(label), []).append(at)
    return [group for group in groups.values() if len(group) > 1]


def _name(graph: ConceptGraph, rows: list[int]) -> str:
    """The words that most members' labels share, else the label of the best connected member and how many more."""
    words = Counter(word for row in rows for word in {t.strip() for t in graph.nodes["label_tokens"][row]} if word)
    common = [word for word, times in words.most_common(2) if times > len(rows) / 2]
    if common:
        return " · ".join(common)[:LONGEST_NAME]
    ids = graph.nodes["id"]
    first = max(rows, key=lambda row: len(graph.parents(ids[row])) + len(graph.children(ids[row])))
    label = " ".join(graph.nodes["label"][first].split()) or ids[first]
    return f"{label[: LONGEST_NAME - 12]} and {len(rows) - 1:,} more"
