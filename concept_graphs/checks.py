"""What a graph from outside must satisfy before anything is drawn or believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from concept_graphs.schema import GraphMeta
from concept_graphs.tables import Edge, EdgeTable, Example, HeldOutRow, NodeTable, Picture
from probes.errors import WorkbenchError


def check(
    meta: GraphMeta,
    nodes: NodeTable,
    edges: EdgeTable,
    examples: Mapping[str, Sequence[Example]],
    pictures: Mapping[str, Sequence[Picture]],
    rows: Mapping[str, Sequence[HeldOutRow]],
    what: str,
) -> None:
    """Refuse tables that contradict each other, in one sentence that names the first offender."""
    levels = {level.name: i for i, level in enumerate(meta.levels)}
    for why in (
        *_first(_bad_nodes(meta, levels, nodes)),
        *_first(_bad_edges(meta, levels, nodes, edges)),
        *_first(_bad_examples(nodes, examples)),
        *_first(_bad_pictures(nodes, pictures)),
        *_first(_bad_rows(nodes, rows)),
    ):
        raise WorkbenchError("bad-graph", f"{what} is not usable", why, "Correct the file, or extract the graph again.")


def _first(reasons: Iterator[str]) -> list[str]:
    why = next(reasons, None)
    return [] if why is None else [why]


def _bad_nodes(meta: GraphMeta, levels: Mapping[str, int], nodes: NodeTable) -> Iterator[str]:
    if len(levels) < len(meta.levels):
        yield "two levels have the same name"
    known: set[str] = set()
    for key, level, index in zip(nodes["id"], nodes["level"], nodes["index"], strict=True):
        if level not in levels:
            yield f"concept {key} lies on level {level}, which the graph does not have"
            return
        if key != f"{level}/{index}":
            yield f"concept {key} should be called {level}/{index}"
        size = meta.levels[levels[level]].n_latents
        if index >= size:
            yield f"concept {key} has an index beyond the {size} latents of its level"
        if key in known:
            yield f"concept {key} appears twice"
        known.add(key)
    for key, level, companions in zip(nodes["id"], nodes["level"], nodes["companions"], strict=True):
        for other, _ in companions:
            name, _, index = other.partition("/")
            if name != level or int(index) >= meta.levels[levels[level]].n_latents:
                yield f"companion {other} of concept {key} is no latent of its level"


def _bad_edges(meta: GraphMeta, levels: Mapping[str, int], nodes: NodeTable, edges: EdgeTable) -> Iterator[str]:
    known = {key: levels.get(level, -1) for key, level in zip(nodes["id"], nodes["level"], strict=True)}
    pairs: set[tuple[str, str]] = set()
    # By columns: a graph from outside can have a million edges, and a row model of each takes minutes.
    for at, pair in enumerate(zip(edges["source"], edges["target"], strict=True)):
        source, target = pair
        if source not in known or target not in known:
            yield f"{_said(pair)} names the unknown concept {source if source not in known else target}"
            return
        if source == target:
            yield f"{_said(pair)} joins a concept to itself"
        if meta.joins == "adjacent" and known[target] != known[source] + 1:
            yield f"{_said(pair)} does not join a level to the one directly above it"
        if meta.joins == "within" and known[target] != known[source]:
            yield f"{_said(pair)} leaves its level, and the graph joins concepts of one level only"
        if pair in pairs:
            yield f"{_said(pair)} appears twice"
        pairs.add(pair)
        if edges["verdict"][at] != "untested":
            yield from _evidence_gaps(edges.row(at), _said(pair))


def _said(pair: tuple[str, str]) -> str:
    return f"edge {pair[0]} to {pair[1]}"


def _evidence_gaps(edge: Edge, name: str) -> Iterator[str]:
    """The verdict of a tested edge must follow from the numbers beside it."""
    if edge.effect is None or edge.effect_low is None or edge.effect_high is None or edge.null95 is None:
        yield f"{name} is called {edge.verdict} without an effect, its interval and its null"
        return
    if edge.effect_low > edge.effect_high:
        yield f"{name} has an interval whose ends are the wrong way round"
    if edge.confirmed and (edge.effect_low <= 0 <= edge.effect_high or abs(edge.effect) <= edge.null95):
        yield f"{name} is called {edge.verdict}, but its interval holds zero or its effect is within the null"


def _bad_examples(nodes: NodeTable, examples: Mapping[str, Sequence[Example]]) -> Iterator[str]:
    known = set(nodes["id"])
    for key, rows in examples.items():
        if key not in known:
            yield f"examples are given for the unknown concept {key}"
        for example in rows:
            if len(example.values) != len(example.tokens) or example.peak >= len(example.tokens):
                yield f"an example of {key} has tokens, values and a peak that do not belong together"


def _bad_pictures(nodes: NodeTable, pictures: Mapping[str, Sequence[Picture]]) -> Iterator[str]:
    known = set(nodes["id"])
    for key, rows in pictures.items():
        if key not in known:
            yield f"pictures are given for the unknown concept {key}"
        for picture in rows:
            if len(picture.values) != picture.grid[0] * picture.grid[1] or picture.peak >= len(picture.values):
                yield f"a picture of {key} has a grid, values and a peak that do not belong together"


def _bad_rows(nodes: NodeTable, rows: Mapping[str, Sequence[HeldOutRow]]) -> Iterator[str]:
    known = set(nodes["id"])
    for key, shown in rows.items():
        if key not in known:
            yield f"rows are given for the unknown concept {key}"
        if any(bool(row.png) != (row.size is not None) for row in shown):
            yield f"a row of {key} has a picture without a size, or a size without a picture"
