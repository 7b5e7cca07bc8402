"""The layered picture: everything selected is drawn once, evidence decides the line, text is only text."""

from __future__ import annotations

import html
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from concept_graphs.figure import layered_figure
from concept_graphs.graph import ConceptGraph, EdgeTable
from concept_graphs.placing import CHARACTER, GAP, LINE, Anchor, placed_beside
from concept_graphs.text import visible
from concept_graphs.view import ViewSpec, select
from tests.fixtures.graphs import HOSTILE, make_graph

ROOT = Path(__file__).resolve().parents[2]
WHOLE = ViewSpec(top_k=200, max_nodes=2000, max_edges=5000, show_unsupported=True, show_untested=True, renderer="svg")
DASHES = {"composed": "solid", "carried": "dash", "unsupported": "dot", "untested": "dot"}

Segment = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def graph() -> ConceptGraph:
    return make_graph(40, 24, 10, seed=6)


def points(figure: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Place of each drawn concept; fails when one is drawn twice."""
    found: dict[str, tuple[float, float]] = {}
    for trace in figure["data"]:
        for key, x, y in zip(trace.get("ids", ()), trace["x"], trace["y"], strict="ids" in trace):
            assert key not in found
            found[key] = (x, y)
    return found


def lines(figure: dict[str, Any]) -> list[tuple[Segment, dict[str, Any]]]:
    """Both ends of each drawn line, and its trace."""
    found = []
    for trace in figure["data"]:
        if trace["mode"] != "lines":
            continue
        start: list[tuple[float, float]] = []
        for x, y in zip(trace["x"], trace["y"], strict=True):
            if x is None:
                found.append(((*start[0], *start[-1]), trace))
                start = []
            else:
                start.append((x, y))
        assert not start
    return found


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize(
    "view", [WHOLE, WHOLE.model_copy(update={"renderer": "webgl"}), ViewSpec(), ViewSpec(width=350)]
)
def test_every_selected_concept_and_edge_is_drawn_once(graph: ConceptGraph, view: ViewSpec) -> None:
    figure = layered_figure(graph, view)
    shown = select(graph, view)
    place = points(figure)
    assert set(place) == {graph.nodes["id"][row] for row in shown.nodes}
    assert len(set(place.values())) == len(place)
    expected = Counter((*place[graph.edges["source"][e]], *place[graph.edges["target"][e]]) for e in shown.edges)
    assert Counter(ends for ends, _ in lines(figure)) == expected
    if view is WHOLE:
        assert len(place) == len(graph.nodes) and len(lines(figure)) == len(graph.edges)


def test_line_and_colour_follow_verdict_and_sign(graph: ConceptGraph) -> None:
    figure = layered_figure(graph, WHOLE)
    place = points(figure)
    edges = {(*place[e.source], *place[e.target]): e for e in graph.edges}
    widths: list[tuple[float, float]] = []
    for ends, trace in lines(figure):
        edge = edges[ends]
        assert trace["line"]["dash"] == DASHES[edge.verdict]
        sense = "" if not edge.confirmed else ", supports" if (edge.effect or 0) < 0 else ", inhibits"
        assert trace["name"] == edge.verdict + sense
        if edge.confirmed:
            widths.append((abs(edge.effect or 0), trace["line"]["width"]))
    widths.sort()
    assert [width for _, width in widths] == sorted(width for _, width in widths)
    colours = {trace["name"]: trace["line"]["color"].rpartition(",")[0] for _, trace in lines(figure)}
    assert colours["composed, supports"] == colours["carried, supports"] != colours["composed, inhibits"]


def test_levels_are_storeys_and_each_legend_entry_stands_once(graph: ConceptGraph) -> None:
    figure = layered_figure(graph, WHOLE)
    heights = {name: [] for name in ("low", "middle", "high")}
    for key, (x, y) in points(figure).items():
        assert 0 <= x <= 1
        heights[key.partition("/")[0]].append(y)
    assert max(heights["low"]) < min(heights["middle"]) and max(heights["middle"]) < min(heights["high"])
    legend = [trace["name"] for trace in figure["data"] if trace.get("showlegend")]
    assert len(legend) == len(set(legend)) and "composed, supports" in legend


def test_hover_shows_the_evidence_of_each_edge(graph: ConceptGraph) -> None:
    figure = layered_figure(graph, ViewSpec())
    (evidence,) = (trace for trace in figure["data"] if trace["name"] == "evidence")
    assert len(evidence["customdata"]) == len(select(graph, ViewSpec()).edges)
    for pair, text in zip(evidence["customdata"], evidence["hovertext"], strict=True):
        edge = graph.edge(*pair.split(">"))
        assert f"{edge.effect:.2f}".replace("-", "−") in text and edge.verdict in text and f"n = {edge.n}" in text


def test_hostile_text_stays_text() -> None:
    graph = make_graph(24, 16, 10, seed=1, hostile=True)
    figure = layered_figure(graph, WHOLE)
    own = {"b", "br", "extra"}
    for text in strings(figure):
        tags = {part.partition(">")[0].strip("/ ") for part in text.split("<")[1:]}
        assert tags <= own, text
        assert not set(text) & set("\u202e\u200b\x00")
    hovers = [html.unescape(text) for trace in figure["data"] for text in trace.get("hovertext", ())]
    for payload in HOSTILE:
        assert any(visible(payload)[:60] in text for text in hovers)
    json.dumps(figure, allow_nan=False)


def test_the_caption_says_what_is_hidden(graph: ConceptGraph) -> None:
    view = ViewSpec(max_nodes=20, min_effect=0.3)
    figure = layered_figure(graph, view)
    meta = figure["layout"]["meta"]
    assert meta["shown_nodes"] == len(points(figure)) <= 20 and meta["shown_edges"] == len(lines(figure))
    assert (
        meta["caption"]
        == f"showing {meta['shown_nodes']} of 74 concepts, {meta['shown_edges']} of {len(graph.edges)} edges"
    )


def test_a_focus_shows_ancestors_and_descendants_only(graph: ConceptGraph) -> None:
    strongest = graph.edges.row(int(np.argmax(graph.strength * graph.confirmed)))
    figure = layered_figure(graph, ViewSpec(focus=(strongest.target,), hops=1, top_k=200))
    drawn = set(points(figure))
    near = [e.source for e in graph.children(strongest.target)] + [e.target for e in graph.parents(strongest.target)]
    assert strongest.source in drawn and drawn <= {strongest.target, *near}


def test_graphs_with_nothing_to_draw_are_drawn() -> None:
    made = make_graph(5, 3, 2, examples=0)
    bare = ConceptGraph(made.meta, made.nodes, EdgeTable.from_rows([]))
    assert len(points(layered_figure(bare, WHOLE))) == 10
    assert points(layered_figure(made, ViewSpec(search="no such word"))) == {}


def test_drawing_needs_neither_torch_nor_plotly() -> None:
    code = (
        "import sys; from tests.fixtures.graphs import make_graph; from concept_graphs.figure import layered_figure;"
        "layered_figure(make_graph(5, 4, 3)); sys.exit(any(n in sys.modules for n in ('torch', 'plotly', 'gradio')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120).returncode == 0


def test_labels_beside_markers_meet_neither_labels_nor_markers() -> None:
    rng = np.random.default_rng(0)
    anchors = [Anchor(n, 0.1 + 0.3 * (n % 3), rng.uniform(-0.4, 0.4), "some label", rng.random()) for n in range(40)]
    texts, sides = placed_beside(anchors, 800, 400)
    assert 5 < len(texts) < 40
    boxes = []
    for anchor in anchors:
        x, y = anchor.x * 800, anchor.y * 400
        if anchor.row in texts:
            near, far = x + GAP, x + GAP + CHARACTER * len("some label")
            ends = (near, far) if sides[anchor.row].endswith("right") else (2 * x - far, 2 * x - near)
            assert 0 <= ends[0] < ends[1] <= 800
            boxes.append((*ends, y, anchor.row))
        boxes.append((x - 1, x + 1, y, anchor.row))
    for at, (start, end, y, row) in enumerate(boxes):
        for other in boxes[at + 1 :]:
            both_markers = end - start < 3 and other[1] - other[0] < 3
            apart = abs(y - other[2]) >= LINE or end <= other[0] or start >= other[1]
            assert row == other[3] or both_markers or apart


@pytest.mark.parametrize("width", [340, 1000])
def test_labels_along_a_short_part_of_the_noise_stay_inside_the_picture(width: int) -> None:
    """Its axis shows a third of the noise: what is near its right end has no room on the right."""
    graph = make_graph(5, 4, 3)
    levels = [level.model_copy(update={"noise": (0.67, 1.0)}) for level in graph.meta.levels]
    meta = graph.meta.model_copy(update={"levels": levels, "direction": "generates"})
    figure = layered_figure(
        ConceptGraph(meta, graph.nodes, graph.edges, graph.examples, graph.pictures), ViewSpec(width=width)
    )
    start, end = figure["layout"]["xaxis"]["range"]
    room = width - sum(figure["layout"]["margin"][side] for side in "lr")
    seen = set()
    for trace in figure["data"]:
        named = zip(
            trace.get("ids", ()), trace["x"], trace.get("text", ()), trace.get("textposition", ()), strict=False
        )
        for _, x, text, side in named:
            if text:
                at, length = (x - start) / (end - start) * room, GAP + CHARACTER * len(text)
                assert (at + length <= room + 1) if side.endswith("right") else (at - length >= -1)
                seen.add(side)
    assert seen and (width > 340 or "middle left" in seen)


def test_levels_of_one_noise_band_stand_side_by_side_in_lanes_that_are_named(graph: ConceptGraph) -> None:
    levels = [level.model_copy(update={"noise": (0.6, 1.0)}) for level in graph.meta.levels]
    meta = graph.meta.model_copy(update={"levels": levels})
    shared = ConceptGraph(meta, graph.nodes, graph.edges, graph.examples, graph.pictures)
    figure = layered_figure(shared, WHOLE)
    found = points(figure)
    for level in levels:
        own = [place for key, place in found.items() if key.startswith(f"{level.name}/")]
        assert len({round(x, 6) for x, _ in own}) == len(own)
    said = [note["text"] for note in figure["layout"]["annotations"]]
    for level in levels:
        assert sum(f"<b>{level.name}</b>" in text for text in said) == 1
        assert any(level.hook_point in text for text in said)
    floors = sorted(shape["y0"] for shape in figure["layout"]["shapes"] if shape["type"] == "line")
    heights = sorted(y for _, y in found.values())
    assert len(floors) == len(levels) - 1 and heights[0] < floors[0] and floors[-1] < heights[-1]
    for floor in floors:  # between the concepts of two lanes, and a name's height below the upper ones
        assert min(abs(floor - y) for y in heights) > 0.05
    first, last = figure["layout"]["xaxis"]["range"]
    assert -0.1 < first <= 0 and 0.4 <= last < 0.5  # the band fills the picture
