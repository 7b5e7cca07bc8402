"""Groups: proposals recover planted ones, edits keep what people made, and the picture boxes exactly the members."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from app.graphs import GraphLibrary
from concept_graphs.figure import layered_figure
from concept_graphs.graph import ConceptGraph, EdgeTable, NodeTable
from concept_graphs.group_proposals import propose_groups
from concept_graphs.groups import Group, Groups
from concept_graphs.view import ViewSpec, select
from probes.errors import WorkbenchError
from tests.fixtures.graphs import HOSTILE, make_graph, make_picture_graph


def planted(seed: int, families: int = 6, size: int = 4, noise: int = 8) -> tuple[ConceptGraph, np.ndarray]:
    """A graph in which concepts of a family on the lowest level have the same three parents; and their families."""
    random = np.random.default_rng(seed)
    base = make_graph(families * size, 30, 6, seed=seed, examples=0)
    low = [key for key in base.nodes["id"] if key.startswith("low/")]
    middle = [key for key in base.nodes["id"] if key.startswith("middle/")]
    family = random.permutation(np.repeat(np.arange(families), size))
    parents = {at: random.choice(middle, 3, replace=False) for at in range(families)}
    pairs = {(child, str(up)) for child, at in zip(low, family, strict=True) for up in parents[at]}
    pairs |= {(str(random.choice(low)), str(random.choice(middle))) for _ in range(noise)}
    source, target = zip(*sorted(pairs), strict=True)
    edges = EdgeTable({"source": source, "target": target, "weight": random.uniform(0.8, 1.2, len(source))})
    nodes = base.nodes.replace(companions=[[] for _ in base.nodes["id"]])
    return ConceptGraph(base.meta, nodes, edges), family


@pytest.mark.parametrize("seed", range(3))
def test_proposals_recover_concepts_that_share_parents(seed: int) -> None:
    graph, family = planted(seed)
    groups = propose_groups(graph)
    assert all(group.proposed and len(group.members) > 1 for group in groups.groups)
    assert all(len({member.partition("/")[0] for member in group.members}) == 1 for group in groups.groups)
    of = groups.first_of(graph)
    low = [key for key in graph.nodes["id"] if key.startswith("low/")]
    found = [of[key].key if key in of else key for key in low]
    shuffled = np.random.default_rng(seed).permutation(family)
    assert adjusted_mutual_info_score(family, found) > 0.6 > 2 * adjusted_mutual_info_score(shuffled, found)
    assert propose_groups(graph) == groups


def test_companions_and_decoder_rows_count_where_they_are_known() -> None:
    graph, _ = planted(0)
    bare = ConceptGraph(graph.meta, graph.nodes, EdgeTable.from_rows([]))
    assert propose_groups(bare).groups == ()
    low = [key for key in graph.nodes["id"] if key.startswith("low/")]
    rows = np.eye(len(low))
    rows[3] = rows[5]
    (alike,) = propose_groups(bare, {"low": rows}).groups
    assert alike.members == (low[3], low[5])
    companions = [[(low[8], 0.9)] if key == low[2] else [] for key in graph.nodes["id"]]
    told = ConceptGraph(graph.meta, graph.nodes.replace(companions=companions), EdgeTable.from_rows([]))
    assert [group.members for group in propose_groups(told).groups] == [(low[2], low[8])]


def test_edits_are_kept_and_proposals_give_way() -> None:
    groups = Groups.of([("one", ["low/1", "low/2"]), ("two", ["low/3", "low/4"])], proposed=True)
    mine = groups.renamed("g1", "  my\n own ").joined("g1", "low/9").left("g1", "low/2")
    assert mine.group("g1") == Group(key="g1", name="my own", members=("low/1", "low/9"), proposed=False)
    fresh = Groups.of([("a", ["low/9", "low/5"]), ("b", ["low/6", "low/7"])], proposed=True)
    merged = mine.with_proposals(fresh)
    assert [(group.name, group.proposed) for group in merged.groups] == [("my own", False), ("b", True)]
    assert len({group.key for group in merged.groups}) == 2
    assert mine.left("g2", "low/3").left("g2", "low/4").groups == (mine.group("g1"),)
    for refused in (lambda: mine.renamed("g1", " \n "), lambda: mine.without("g99"), lambda: mine.joined("x", "low/1")):
        with pytest.raises(WorkbenchError):
            refused()


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GraphLibrary:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path / "home"))
    return GraphLibrary()


@pytest.mark.parametrize("ref", ["toy", "bundled/text"])
def test_groups_and_labels_survive_reload_and_leave_the_graph_alone(library: GraphLibrary, ref: str) -> None:
    make_graph(8, 6, 3).save(Path(os.environ["FULCRUM_HOME"]) / "graphs" / "toy")
    opened = library.open(ref)
    before = {path.name: path.read_bytes() for path in opened.path.iterdir() if path.is_file()}
    concept = opened.graph.nodes["id"][0]
    changed = library.regroup(ref, lambda found: found.groups.with_new(HOSTILE[0], [concept]))
    library.rename(ref, concept, "mine")
    assert changed.stamp != opened.stamp
    again = GraphLibrary().open(ref)
    assert [(group.name, group.members) for group in again.groups.groups] == [(HOSTILE[0], (concept,))]
    assert again.graph.node(concept).label == "mine"
    assert {name: (opened.path / name).read_bytes() for name in before} == before
    if ref.startswith("bundled"):
        assert set(before) == {path.name for path in opened.path.iterdir() if path.is_file()}


def drawn(graph: ConceptGraph, groups: Groups, view: ViewSpec) -> tuple[dict[str, tuple[float, float]], list[dict]]:
    figure = layered_figure(graph, view, groups)
    places = {
        key: (trace["x"][at], trace["y"][at]) for trace in figure["data"] for at, key in enumerate(trace.get("ids", ()))
    }
    return places, [shape for shape in figure["layout"]["shapes"] if shape.get("name") == "group"]


def test_a_box_holds_the_members_of_its_group_and_nobody_else() -> None:
    graph = make_graph(30, 20, 8, seed=5)
    view = ViewSpec(show_unsupported=True, show_untested=True, top_k=50)
    low = [key for key in graph.nodes["id"] if key.startswith("low/")]
    middle = [key for key in graph.nodes["id"] if key.startswith("middle/")]
    groups = Groups.of([(HOSTILE[0], low[::9]), ("b", [*middle[::6], low[1]]), ("unknown", ["low/99999"])])
    places, boxes = drawn(graph, groups, view)
    held = [
        {key for key, (x, y) in places.items() if box["x0"] <= x <= box["x1"] and box["y0"] <= y <= box["y1"]}
        for box in boxes
    ]
    assert held == [set(low[::9]) & set(places), set(middle[::6]) & set(places)]
    assert all(len(members) > 1 for members in held)
    bare = {key: y for key, (_, y) in drawn(graph, Groups(), view)[0].items()}
    assert set(bare) == set(places)
    figure = layered_figure(graph, view, groups)
    names = [note["text"] for note in figure["layout"]["annotations"] if note.get("name") == "group"]
    assert len(names) == 2 and all("<" not in name for name in names)


@pytest.mark.parametrize("width", [370, 1360])
def test_names_of_groups_do_not_lie_on_each_other(width: int) -> None:
    graph = make_graph(60, 20, 8, seed=5)
    low = [key for key in graph.nodes["id"] if key.startswith("low/")]
    groups = Groups.of([(f"a rather long name {at}", low[at::12]) for at in range(12)])
    view = ViewSpec(show_unsupported=True, show_untested=True, top_k=200, width=width)
    layout = layered_figure(graph, view, groups)["layout"]
    boxes, notes = ([one for one in layout[of] if one.get("name") == "group"] for of in ("shapes", "annotations"))
    assert 0 < len(notes) < len(boxes) == 12  # not all have room
    reach = [(note["x"] * width, 3 * len(note["text"])) for note in notes]  # 6 pixels of a character, either side
    ends = sorted((centre - half, centre + half) for centre, half in reach)
    assert all(one[1] < other[0] for one, other in pairwise(ends))
    assert ends[0][0] >= 0 and ends[-1][1] <= width


def test_along_a_timeline_members_are_ringed() -> None:
    graph = make_picture_graph()
    members = graph.nodes["id"][:3]
    figure = layered_figure(graph, ViewSpec(show_untested=True, show_unsupported=True), Groups.of([("g", members)]))
    ring = next(trace for trace in figure["data"] if trace["name"] == "in a group")
    assert 1 <= len(ring["x"]) <= 3 and len(ring["x"]) == len(ring["y"])


@pytest.mark.parametrize(
    "view",
    [ViewSpec(), ViewSpec(top_k=1), ViewSpec(max_edges=5), ViewSpec(min_effect=0.8), ViewSpec(max_nodes=9, top_k=2)],
)
def test_a_view_says_how_many_edges_each_filter_hides(view: ViewSpec) -> None:
    graph = make_graph(30, 20, 8, seed=5)
    shown = select(graph, view)
    assert len(shown.edges) + sum(shown.hidden.values()) == len(graph.edges)
    assert min(shown.hidden.values()) >= 0 and sum(shown.hidden.values()) > 0
    others = sum(verdict in {"unsupported", "untested"} for verdict in graph.edges["verdict"])
    assert shown.hidden["of other kinds"] == others and f"hidden edges: {others} of other kinds" in shown.said


def test_a_column_of_origins_keeps_what_a_file_said(tmp_path: Path) -> None:
    graph = make_graph(4, 3, 2)
    nodes = NodeTable.from_rows(
        [node.model_copy(update={"origin": {"layer": "E", "more": [1, None]}}) for node in graph.nodes]
    )
    made = ConceptGraph(graph.meta, nodes, graph.edges, graph.examples)
    assert ConceptGraph.load(made.save(tmp_path / "made")) == made
