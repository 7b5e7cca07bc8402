"""What is had of a probe only says so of a graph that has none, and names no probe called nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from app.atlases import atlas_json
from app.components import atlas_panel, tradeoff_panel
from app.components.composability_panel import looked_up
from app.suites.measured import probed
from concept_graphs.graph import ConceptGraph
from concept_graphs.support import support_of
from probes.artefacts import artefact_path
from probes.errors import WorkbenchError
from tests.fixtures.proposed import latents

WHY = {"mine": "its latents are a representation's", "": "it came from another tool's file"}


@pytest.fixture(params=WHY, ids=["representation", "elsewhere"])
def graph(request: pytest.FixtureRequest, data_home: Any) -> ConceptGraph:
    return latents(representation=request.param)


def says(graph: ConceptGraph, refused: pytest.ExceptionInfo[WorkbenchError]) -> bool:
    return WHY[graph.meta.representation] in str(refused.value) and "''" not in str(refused.value)


def test_the_atlas_and_the_record_of_training_refuse(graph: ConceptGraph) -> None:
    opened: Any = SimpleNamespace(graph=graph, ref="kept")
    for asked in (lambda: atlas_json(opened, 800), lambda: support_of(graph)):
        with pytest.raises(WorkbenchError, match="The graph kept has no") as refused:
            asked()
        assert says(graph, refused)


@pytest.mark.parametrize(("module", "build"), [(atlas_panel, "atlas_panel"), (tradeoff_panel, "tradeoff_panel")])
def test_their_panels_say_why_and_start_nothing(
    graph: ConceptGraph, module: Any, build: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = MagicMock()
    monkeypatch.setattr(module, "MadePanel", made)
    context = SimpleNamespace(
        graphs=SimpleNamespace(open=lambda ref: SimpleNamespace(graph=graph, ref=ref, stamp=1)),
        graph_ref=None,
        settings=SimpleNamespace(threads=1),
    )
    getattr(module, build)(context, *([MagicMock()] if build == "atlas_panel" else []))
    for part in ("shown", "making"):
        with pytest.raises(WorkbenchError) as refused:
            made.call_args.kwargs[part]("kept")
        assert says(graph, refused)


def test_picking_concepts_leaves_the_reason_standing(graph: ConceptGraph) -> None:
    library: Any = SimpleNamespace(open=lambda ref: SimpleNamespace(graph=graph))
    for chosen in ([], ["latents/0", "latents/1"]):
        found = looked_up(library, "kept", chosen)
        assert found is not None and not found[0] and WHY[graph.meta.representation] in found[1]


def test_a_suite_says_which_kind_of_graph_it_is(graph: ConceptGraph) -> None:
    graph.save(artefact_path("graph", "kept"))
    with pytest.raises(WorkbenchError) as refused:
        probed("kept")
    assert says(graph, refused)
