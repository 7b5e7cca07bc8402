"""Minimality in numbers: the trade-off of a probe whose edges are known, and text told by narrow levels and wide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.evaluate import EvaluateConfig
from app.report import PAGE_FILE
from app.suites import description
from app.worker import execute, run_job
from concept_graphs.graph import ConceptGraph
from concept_graphs.tradeoff_curve import tradeoff_of
from probes.activations import capture
from probes.activations.inputs import capture_inputs
from probes.activations.sampling import SamplingConfig
from probes.artefacts import artefact_path
from probes.errors import WorkbenchError
from probes.hierarchy.probe import save_probe
from tests.fixtures.graphs import make_graph
from tests.fixtures.suites import few_resamples, rows_of, run_of, spelling_subject
from tests.fixtures.worlds import inputs, true_probe, two_storeys

TRADEOFF = {
    "probe": "priced",
    "store": "priced",
    "prices": (0.001, 0.05),
    "folds": 3,
    "maps": {"minimum_rows": 5, "most_frequent": 0.99, "optimiser": {"steps": 60, "batch": 64, "learning_rate": 0.05}},
}


@pytest.fixture
def priced(data_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few_resamples(monkeypatch)
    subject, target = two_storeys(), artefact_path("probe", "priced")
    if not target.exists():
        capture_inputs(subject, inputs(8, 60), name="priced", held_out=0.25)
        save_probe(true_probe(subject), target, name="priced", command="", parents={}, figures={})


def test_a_trade_off_is_rows_a_file_and_a_chapter_of_the_report(priced: None) -> None:
    made = execute(run_of("priced", suite="tradeoff", tradeoff=TRADEOFF))
    rows = rows_of(made)
    found = tradeoff_of("priced")
    assert found is not None and rows["tradeoff.price"].value == found.chosen
    for price in (0.001, 0.05):
        bits = rows[f"tradeoff.low-high.price-{price:g}.bits"]
        assert bits.baseline is not None and bits.value is not None and bits.value < bits.baseline and bits.n == 360
    dear, cheap = (rows[f"tradeoff.low-high.price-{price:g}.edges"].value for price in (0.05, 0.001))
    assert dear is not None and cheap is not None and dear <= cheap
    graph = make_graph(5, 4, 2, seed=3)
    meta = graph.meta.model_copy(update={"probe": "priced"})
    folder = artefact_path("graph", "priced")
    folder.mkdir(parents=True)
    ConceptGraph(meta, graph.nodes, graph.edges, graph.examples).save(folder)
    page = (run_job("report", graph="priced", name="priced") / PAGE_FILE).read_text()
    assert "Edges against bits" in page and found.flag in page


def test_a_probe_of_another_subject_or_one_level_has_no_trade_off(priced: None) -> None:
    with pytest.raises(WorkbenchError, match="of another subject"):
        execute(run_of("wrong", suite="tradeoff", tradeoff=TRADEOFF | {"probe": "bundled/emoji"}))


@pytest.fixture
def tiny_text(data_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever opens a subject gets the tiny one; its documents are short."""
    few_resamples(monkeypatch)
    subject = spelling_subject()
    monkeypatch.setattr(capture, "load_subject", lambda *_, **__: subject)
    plain = description._capture
    short = {"sampling": SamplingConfig(document_tokens=48, batch=16), "held_out": 0.3, "context": 32}
    monkeypatch.setattr(description, "_capture", lambda config: plain(config).model_copy(update=short))


def test_levels_are_told_narrow_and_wide(tiny_text: None) -> None:
    asked: dict[str, Any] = {
        "subject": "tiny", "corpus": "sampled/4000", "tokens": 4000, "document_chunks": 8, "depths": (0.0, 1.0),
        "spans": (1, 8), "widths": (64, 32), "active": (4, 3), "steps": 20, "batch": 64, "rows": 500,
    }  # fmt: skip
    rows = rows_of(execute(run_of("told", suite="description-length", description_length=asked)))
    for level in (0, 1):
        for kind in ("compressed", "uncompressed"):
            name = f"description.level-{level}.{kind}"
            whole = rows[f"{name}.description_length"].value
            parts = [rows[f"{name}.{part}"].value for part in ("residual_bits", "code_bits")]
            assert whole == pytest.approx(sum(parts)) and rows[f"{name}.l0"].value > 0
    # The lowest level is the same one; the higher one is told by fewer latents.
    same = [rows[f"description.level-0.{kind}.description_length"].value for kind in ("compressed", "uncompressed")]
    assert same[0] == same[1]
    narrow, wide = (rows[f"description.level-1.{kind}.code_bits"] for kind in ("compressed", "uncompressed"))
    assert narrow.value != wide.value and narrow.baseline == wide.value and "32 latents" in narrow.note


def test_levels_of_unequal_description_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        EvaluateConfig.model_validate({"description_length": {"widths": (8, 4)}})
