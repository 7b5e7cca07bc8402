"""The graph of a representation: one level of latents, and the edges that causal discovery proposes among them.

Everything is measured without the world's truth. Which factor a latent follows, and how far the edges are from the
world's own, stand beside it as facts of their own: no label, no choice of latents and no edge is made of them. No
intervention tests the edges.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from concept_graphs.graph import ConceptGraph, GraphMeta, LevelRow
from concept_graphs.latent_distances import distance
from concept_graphs.latent_graph import MOST_COLUMNS, Search, joined, searched
from concept_graphs.latent_methods import ALPHA, AUTO, METHODS, Discovery, Floats, method_among
from concept_graphs.latent_words import distance_words
from concept_graphs.tables import Edge, EdgeTable, HeldOutRow, KnownFactor, Node, NodeTable
from probes.errors import WorkbenchError
from probes.provenance import now
from probes.representations.artefact import Representation
from probes.representations.opening import extremes
from probes.worlds.world import Flags

LEVEL = "latents"
EXAMPLES = 4  # held-out rows at either end of a latent
LONGEST_ROW = 64  # numbers of a row that is no picture
MOST_LATENTS = 512


def representation_graph(
    found: Representation, name: str, method: str = AUTO, *, rounds: int | None = None, seed: int = 0
) -> ConceptGraph:
    """The graph of all latents of a representation, laid out."""
    opened = found.opened
    if len(found.measured.latents) > MOST_LATENTS:
        raise WorkbenchError(
            "many-latents",
            f"The representation {found.ref} has no graph",
            f"it has {len(found.measured.latents)} latents and a graph of one holds at most {MOST_LATENTS}",
            "Keep a cell with fewer, set by its field network.latents.",
        )
    method = method_among(method, len(_moving(found)))
    search, rows, why = _found(found, method, rounds, seed)
    task, constraint = opened.cell.task.replace("_", " "), opened.cell.constraint.replace("_", " ")
    meta = GraphMeta(
        name=name,
        title=f"Latents of {task} × {constraint} on the world {found.file.recipe.world.kind}"[:200],
        subject=f"world {found.file.recipe.world.kind}, seed {opened.cell.seed}",
        probe="",
        representation=found.ref,
        joins="within",
        created=now(),
        figures={"held_out": found.measured.rows, **_figures(found, search)},
        levels=[LevelRow(name=LEVEL, hook_point="encoder", row="view", n_latents=len(found.measured.latents))],
        warnings=[*([why] if why else []), *_warnings(found, search, method, len(rows))],
        settings={
            "method": method,
            "alpha": ALPHA,
            "rounds": METHODS.load(method).rounds if rounds is None else rounds,
            "rows": len(rows),
            "decodes": opened.decodes,
        },
    )
    edges = [] if search is None else _edges(search, opened.codes[rows], _moving(found))
    shown = {f"{LEVEL}/{at}": _ends(found, at) for at in _moving(found)}
    return ConceptGraph(meta, NodeTable.from_rows(_nodes(found)), EdgeTable.from_rows(edges), rows=shown).laid_out()


def _moving(found: Representation) -> list[int]:
    """Latents that vary."""
    return [at for at, latent in enumerate(found.measured.latents) if not latent.still]


def _found(
    found: Representation, method: str, rounds: int | None, seed: int
) -> tuple[Search | None, NDArray[np.int64], str]:
    """(what the method finds among the latents that vary, the held-out rows it read, why there is nothing)."""
    moving, looking = _moving(found), METHODS.load(method)
    random = np.random.default_rng(seed)
    rows = random.permutation(len(found.opened.codes))[: looking.rows]
    if not 2 <= len(moving) <= MOST_COLUMNS:
        return (
            None,
            rows,
            f"No edges were looked for: {len(moving)} latents vary, and they are looked for among 2 to {MOST_COLUMNS}.",
        )
    try:
        return searched(found.opened.codes[rows][:, moving], method, random, rounds=rounds, seed=seed), rows, ""
    except WorkbenchError as error:  # the library comes with an extra; the latents are worth their graph without it
        return None, rows, f"No edges were looked for: {error.why}. {error.how}"


def _known_and_found(found: Representation, search: Search) -> tuple[Flags, Flags, list[Flags]]:
    """(the known graph, what was found, what was found without any relation) over factors whose latent varies."""
    moving = _moving(found)
    place = {latent: at for at, latent in enumerate(moving)}
    kept = [factor for factor, latent in enumerate(found.opened.matched.tolist()) if latent in place]
    own = [place[int(found.opened.matched[factor])] for factor in kept]
    return (
        found.opened.world.edges[np.ix_(kept, kept)],
        search.marks[np.ix_(own, own)],
        [one[np.ix_(own, own)] for one in search.nulls],
    )


def _figures(found: Representation, search: Search | None) -> dict[str, Any]:
    """How far the edges among the factors' own latents are from the world's, beside shuffled latents."""
    if search is None:
        return {"shuffled_edges": None}
    known, own, nulls = _known_and_found(found, search)
    told, shuffled = distance(known, own), [distance(known, one).shd for one in nulls]
    low, high = told.sid or (None, None)
    pairs = len(_moving(found)) * (len(_moving(found)) - 1) / 2
    return {
        "shuffled_edges": search.shuffled,
        "false_positive_rate": search.shuffled / pairs if nulls else None,
        "shd": told.shd,
        "shd_shuffled": float(np.mean(shuffled)) if shuffled else None,
        "sid_low": low,
        "sid_high": high,
        "sid_pairs": told.pairs,
    }


def _warnings(found: Representation, search: Search | None, method: str, rows: int) -> list[str]:
    """What a reader must know before believing it."""
    said = []
    if search is not None:
        looking: Discovery = METHODS.load(method)
        said.append(
            f"Edges are proposals: {looking.called} reads them off latents on {rows:,} held-out rows, and no "
            f"intervention tested them. {looking.judges} Where each latent was shuffled by itself it joined "
            f"{search.shuffled:.1f} pairs on average, here {len(joined(search.marks))}."
        )
        said.append(f"Beside the truth, which no edge is made of: {distance_words(*_known_and_found(found, search))}")
        if found.opened.world.domains:
            said.append(
                "Domains move several factors at once: what latents share by their domain can look like an edge."
            )
    if found.still:
        said.append(f"Standing still, so that nothing follows them: {', '.join(f'latent {at}' for at in found.still)}.")
    if not found.opened.decodes:
        said.append("Its task has no decoder: nothing can be decoded from a moved latent, and none can be a lever.")
    return said


def _nodes(found: Representation) -> list[Node]:
    factor_of = {int(latent): at for at, latent in enumerate(found.opened.matched) if latent >= 0}
    names, mcc = found.opened.world.names, found.file.score.by_factor.get("mcc", [])
    nodes = []
    for at, latent in enumerate(found.measured.latents):
        factor = factor_of.get(at)
        known = None if factor is None or factor >= len(mcc) else KnownFactor(factor=names[factor], mcc=mcc[factor])
        nodes.append(
            Node(
                id=f"{LEVEL}/{at}",
                level=LEVEL,
                index=at,
                label=latent.name,
                label_tokens=[],
                frequency=None,
                typical=None,
                deviation=latent.deviation,
                follows=None if latent.still else known,
            )
        )
    return nodes


def _edges(search: Search, codes: Floats, latents: Sequence[int]) -> list[Edge]:
    """Joined pairs, from what comes before where the method says so; `codes`: all latents, `row latent`."""
    edges = []
    for pair in joined(search.marks):
        first, second = pair if search.marks[pair] else pair[::-1]
        both = bool(search.marks[pair] and search.marks[pair[::-1]])
        source, target = latents[first], latents[second]
        edges.append(
            Edge(
                source=f"{LEVEL}/{source}",
                target=f"{LEVEL}/{target}",
                correlation=float(np.clip(np.corrcoef(codes[:, source], codes[:, target])[0, 1], -1, 1)),
                frequency=float(search.frequency[pair]),
                oriented=not both,
            )
        )
    return edges


def _ends(found: Representation, latent: int) -> list[HeldOutRow]:
    """Held-out rows in which a latent is lowest, then those in which it is highest."""
    low, high = extremes(found.opened, latent, min(EXAMPLES, len(found.opened.codes) // 2))
    return [
        HeldOutRow(row=int(row), end=end, value=float(found.opened.codes[row, latent]), **_seen(found, int(row)))
        for end, rows in (("lowest", low), ("highest", high))
        for row in rows
    ]


def _seen(found: Representation, row: int) -> dict[str, Any]:
    """What is seen in a held-out row, as the fields of a `HeldOutRow`."""
    (seen,) = found.opened.seen([row])
    if not found.opened.model.spec.picture:
        flat = seen.ravel()
        return {"x": [round(float(value), 4) for value in flat] if len(flat) <= LONGEST_ROW else []}
    return {"size": seen.shape[1:], "png": base64.b64encode(_png(seen)).decode()}


def _png(picture: NDArray[Any]) -> bytes:
    """`3 height width`, bytes or in [0, 1], as a PNG file."""
    from PIL import Image

    levels = picture if picture.dtype == np.uint8 else (picture.clip(0, 1) * 255).round().astype(np.uint8)
    held = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.moveaxis(levels, 0, -1))).save(held, "PNG", optimize=True)
    return held.getvalue()
