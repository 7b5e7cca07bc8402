"""The page that a server serves, built once."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def page(synthetic_graph: str) -> Any:
    """All tabs, without a server: a `gr.Blocks` whose parts and events can be looked through."""
    from app.comparing import compare_on_graph
    from app.graphs import GraphLibrary
    from app.pages.context import PageContext
    from app.server import build_page
    from app.settings import Settings

    library = GraphLibrary()
    return build_page(
        PageContext(Settings(), library, pool=None, compare=compare_on_graph, default_graph=library.names()[0])
    )
