"""A graph displays itself in a notebook."""

from __future__ import annotations

from tests.fixtures.graphs import make_graph


def test_a_graph_shows_itself_with_hostile_labels_inside_the_frame() -> None:
    graph = make_graph(8, 6, 4, seed=0, hostile=True)
    bundle = graph._repr_mimebundle_()
    assert bundle["application/vnd.plotly.v1+json"]["data"]
    page = bundle["text/html"]
    assert page.startswith("<iframe srcdoc=") and page == graph._repr_html_()
    assert page.count("<") == 2  # the frame's own tag and its end: everything else is escaped
