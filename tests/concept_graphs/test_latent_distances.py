"""SHD and SID of a graph among latents: of a known class, of reversals, of open edges, of cycles."""

from __future__ import annotations

import numpy as np
import pytest

from concept_graphs.latent_distances import class_of, distance, pointed
from concept_graphs.latent_words import distance_words
from probes.worlds.world import Flags

pytest.importorskip("causallearn")
pytest.importorskip("gadjid")


def graph(size: int, *edges: tuple[int, int], unsure: tuple[tuple[int, int], ...] = ()) -> Flags:
    found = np.zeros((size, size), dtype=np.bool_)
    for a, b in (*edges, *unsure, *((b, a) for a, b in unsure)):
        found[a, b] = True
    return found


def test_a_collider_is_known_with_its_directions_and_a_chain_without() -> None:
    collider = graph(3, (0, 2), (1, 2))
    assert (class_of(collider) == collider).all()
    assert (class_of(graph(3, (0, 1), (1, 2))) == graph(3, unsure=((0, 1), (1, 2)))).all()


def test_the_class_of_the_known_graph_is_no_mistake() -> None:
    """Of a chain no rows tell a direction: all open is what discovery can find at best, and SID says what is left."""
    chain = graph(3, (0, 1), (1, 2))
    found = distance(chain, class_of(chain))
    assert found.shd == 0 and found.sid is not None and found.sid[0] == 0 < found.sid[1] and found.pairs == 6
    assert len([*pointed(class_of(chain))]) == 3, "four ways to point two edges, less the collider"


def test_values_of_the_page_hold_where_every_edge_points() -> None:
    """The graphs of task-constraint B3: SID 5 of six pairs, against no edge 4."""
    true, other = graph(3, (0, 1), (0, 2), (1, 2)), graph(3, (0, 1), (2, 0), (2, 1))
    assert distance(true, other).sid == (5, 5)
    assert distance(true, graph(3)).sid == (4, 4) and distance(true, graph(3)).shd == 3
    assert distance(true, true).sid == (0, 0)


def test_a_reversed_collider_and_a_missing_edge_each_cost_one_pair() -> None:
    collider = graph(3, (0, 2), (1, 2))
    assert distance(collider, graph(3, (2, 0), (1, 2))).shd == 1
    assert distance(collider, graph(3, (1, 2))).shd == 1


def test_without_an_acyclic_graph_or_with_many_open_edges_there_is_no_sid_but_a_reason() -> None:
    known = graph(3, (0, 1))
    assert "cycle" in distance(known, graph(3, (0, 1), (1, 2), (2, 0))).why
    every = ~np.eye(6, dtype=np.bool_)
    found = distance(graph(6, (0, 1)), every)
    assert found.sid is None and "15 of its edges are open" in found.why and found.shd == 14, "one pair is open in both"
    assert "No SID: 15 of its edges are open" in distance_words(graph(6, (0, 1)), every, [])


def test_words_name_the_null_beside() -> None:
    collider = graph(3, (0, 2), (1, 2))
    said = distance_words(collider, collider, [graph(3), graph(3, (0, 2))], collider)
    assert said == (
        "SHD from the known graph's class: 0 (on the factors 0; among shuffled latents 1.5). "
        f"SID: 0 of 6 effects wrong (on the factors 0; among shuffled latents {_mean_sid(collider)})."
    )


def _mean_sid(known: Flags) -> str:
    both = [distance(known, one).sid for one in (graph(3), graph(3, (0, 2)))]
    return f"{np.mean([ends[0] for ends in both if ends]):.3g}"
