"""GraphML that is larger than a graph may be is refused, however its elements are written."""

from __future__ import annotations

from pathlib import Path

import networkx
import pytest

from concept_graphs.exchange import graphml
from concept_graphs.exchange.registry import read_graph
from probes.errors import WorkbenchError

GRAPHML = "http://graphml.graphdrawing.org/xmlns"


def _prefixed(nodes: int, edges: int, prefix: str) -> str:
    """Nodes and edges with a prefix of their namespace, or none; edges among the nodes, each between another two."""
    mark, colon = (f":{prefix}", f"{prefix}:") if prefix else ("", "")
    pairs = [(source, target) for source in range(nodes) for target in range(nodes) if source != target][:edges]
    inner = "".join(f'<{colon}node id="n{at}"/>' for at in range(nodes))
    inner += "".join(f'<{colon}edge source="n{source}" target="n{target}"/>' for source, target in pairs)
    graph = f'<{colon}graph edgedefault="directed">{inner}</{colon}graph>'
    return f'<{colon}graphml xmlns{mark}="{GRAPHML}">{graph}</{colon}graphml>'


@pytest.mark.parametrize("prefix", ["", "g", "node", "ns0"])
def test_nodes_and_edges_are_counted_by_what_they_are_whatever_their_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """A prefix is a writer's choice; as many as allowed are read, one more is refused before networkx has a graph."""
    monkeypatch.setattr(graphml, "MOST", {"node": 6, "edge": 4})
    path = tmp_path / "theirs.graphml"
    path.write_text(_prefixed(6, 4, prefix))
    graph, _, _ = read_graph(path, "theirs")
    assert (len(graph.nodes), len(graph.edges)) == (6, 4)
    monkeypatch.setattr(networkx, "parse_graphml", lambda *_, **__: pytest.fail("it was read whole"))
    for nodes, edges, noun, most in ((7, 0, "nodes", 6), (6, 5, "edges", 4)):
        path.write_text(_prefixed(nodes, edges, prefix))
        with pytest.raises(WorkbenchError, match=f"it has more than {most} {noun}"):
            read_graph(path, "theirs")


def test_elements_that_only_begin_like_nodes_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Editors write a nodeStyle, an edgeLabel and comments beside what is one."""
    monkeypatch.setattr(graphml, "MOST", {"node": 2, "edge": 1})
    path = tmp_path / "theirs.graphml"
    more = "<!-- <node/><edge/> -->" + "<nodeStyle/><edgeLabel/>" * 3
    path.write_text(_prefixed(2, 1, "").replace("<graph ", f"{more}<graph "))
    assert len(read_graph(path, "theirs").graph.nodes) == 2


def test_nodes_that_only_edges_name_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphml, "MOST", {"node": 3, "edge": 4})
    path = tmp_path / "theirs.graphml"
    for ends, refused in ((range(3), False), (range(4), True)):
        inner = "".join(f'<edge source="a" target="b{at}"/>' for at in list(ends)[1:])
        path.write_text(f'<graphml xmlns="{GRAPHML}"><graph edgedefault="directed">{inner}</graph></graphml>')
        if refused:
            with pytest.raises(WorkbenchError, match="it has more than 3 nodes"):
                read_graph(path, "theirs")
        else:
            assert len(read_graph(path, "theirs").graph.nodes) == 3
