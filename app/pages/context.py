"""What every page is given: settings, graphs, the pool of subjects, and state shared between tabs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.graphs import GraphLibrary
from app.live import LiveWorks
from app.models import ModelPool
from app.settings import Settings

Compare = Callable[..., Any]


@dataclass
class PageContext:
    """Made once per page build.

    `graph_ref` is the component whose value is the open graph, `tab` the tab that is being built, `works` what
    runs inside the server for open pages.
    """

    settings: Settings
    graphs: GraphLibrary
    pool: ModelPool
    compare: Compare
    default_graph: str
    works: LiveWorks = field(default_factory=LiveWorks)
    graph_ref: Any = None
    rack: Any = None
    tabs: Any = None
    tab: Any = None
