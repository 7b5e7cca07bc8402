"""The parts of the inspector that only concepts of images have: pictures with heat maps, and the noise profile."""

from __future__ import annotations

from typing import Any

from app.facts import peak_place
from concept_graphs.graph import ConceptGraph
from concept_graphs.tables import Node, Picture
from concept_graphs.text import visible


def pictures_of(graph: ConceptGraph, concept: str) -> list[dict[str, Any]]:
    """The strongest pictures, each with its address, its words, and the code at every cell of its true grid."""
    return [_picture(one) for one in graph.pictures.get(concept, [])]


def _picture(one: Picture) -> dict[str, Any]:
    rows, columns = one.grid
    source = f"seed {one.seed}, noise {one.noise:.2f}"
    return {
        "address": f"data:image/png;base64,{one.png}",
        "prompt": visible(one.prompt),
        "source": source,
        "alt": f"Picture made from “{visible(one.prompt)}”, {source}",
        "heat_alt": f"Heat map of the concept over it: strongest, {one.values[one.peak]:.3g}, at {peak_place(one)}",
        "ratio": one.size[1] / one.size[0],
        "rows": rows,
        "columns": columns,
        "values": one.values,
        "peak": one.peak,
    }


def profile_of(graph: ConceptGraph, node: Node) -> dict[str, Any] | None:
    """The mean activation along the trajectory; None where the concept has none.

    `points`: `[noise, mean]`, noise falling; `band`: the noise interval its level reads in.
    """
    if not node.profile:
        return None
    level = graph.meta.levels[graph.level_of(node.level)]
    noise, most = max(node.profile, key=lambda point: point[1])
    return {
        "points": [list(point) for point in node.profile],
        "band": list(level.noise) if level.noise else None,
        "said": f"Largest at noise {noise:.2f}: {most:.3g} on average.",
        "spread": spread_sentence(graph, node.level),
    }


def spread_sentence(graph: ConceptGraph, level: str) -> str:
    """How far the level's latents spread inside a picture, against the level below; empty where not measured."""
    names = [row.name for row in graph.meta.levels]
    found = graph.meta.figures.get(f"spread.{level}")
    if not isinstance(found, list) or len(found) != 4:
        return ""
    value, low, high, n = found
    said = (
        f"Spread of the level: where it occurs, a latent of {level} fills {value:.2f} cells of a picture at one step "
        f"(95 % interval {low:.2f} to {high:.2f}, n {n:,} latents)"
    )
    if (at := names.index(level)) == 0:
        return f"{said}."
    more = "more" if graph.meta.figures.get(f"spread.{names[at - 1]}<{level}") else "not clearly more"
    return f"{said}, {more} than one of {names[at - 1]}, the level below."
