"""A report of a graph on which nothing was tested claims neither a hierarchy nor a verdict, and shows what is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import jobs
from app.report import ReportConfig
from app.report_evidence import card_concepts, strongest_edges
from app.report_sections import report_sections
from app.worker import execute
from concept_graphs.graph import ConceptGraph
from concept_graphs.tables import Edge
from probes.artefacts import artefact_path
from probes.files import read_json
from probes.sections import Figure, Link, Section
from tests.fixtures.proposed import joined, latents

TESTED = ("confirmed", "composed", "carried", "unsupported", "units of their null", "ablated", "n counts")


@pytest.fixture
def kept() -> ConceptGraph:
    return latents(
        joined(0, 1, False, 0.5, 0.2), joined(2, 1, True, 1.0, -0.75), joined(1, 3, True, 0.9, 0.4),
        joined(1, 4, False, 0.8, 0.3),
    )  # fmt: skip


def sections_of(graph: ConceptGraph) -> list[Section]:
    from app.report import ReportTwin

    graph.save(artefact_path("graph", graph.meta.name))
    made = execute(jobs.new_run("report", ReportConfig(name=f"of-{graph.meta.name}", graph=graph.meta.name)))
    assert made is not None
    twin = ReportTwin.model_validate(read_json(made / "report.json"))
    return report_sections(graph, twin, twin_hash="0")


def words_in(sections: list[Section]) -> str:
    said = []
    for section in sections:
        said += [section.title, *section.paragraphs, *(f"{f.name} {f.value} {f.note}" for f in section.facts)]
        for table in section.tables:
            said += [table.caption, *table.headers, *(one.text if isinstance(one, Link) else str(one)
                     for row in table.rows for one in row)]  # fmt: skip
    return "\n".join(said)


def test_a_kept_cells_report_has_no_hierarchy_no_verdict_and_no_null(data_home: Path, kept: ConceptGraph) -> None:
    sections = sections_of(kept)
    said = words_in([one for one in sections if one.anchor != "provenance"])
    assert not [word for word in (*TESTED, "Part of", "Made of", "Probe ", "from\nto") if word in said]
    facts = {fact.name: (fact.value, fact.note) for fact in sections[0].facts}
    assert facts["edges proposed"] == ("4", "no intervention tested any")
    assert (
        facts["direction proposed"] == ("2", "of 4; of the others it is open") and facts["edges by chance"][0] == "1.5"
    )
    assert "Representation mine. Graph kept" in sections[0].paragraphs[0]
    (picture,) = (section for section in sections if section.anchor == "graph")
    (figure,) = picture.figures
    assert isinstance(figure, Figure)
    for drawn in figure.variants.values():
        assert any(trace["mode"] == "lines" for trace in drawn["data"]), "what was not tested is all there is to see"


def test_its_cards_list_edges_as_the_inspector_does(kept: ConceptGraph, data_home: Path) -> None:
    (card,) = (section for section in sections_of(kept) if section.anchor == "concept-latents-1")
    assert [table.caption.split(" (")[0] for table in card.tables] == ["Caused by", "Causes", "Joined with"]
    assert all(list(table.headers) == ["concept", "comes back on", "correlation"] for table in card.tables)
    cells = [[[row[0].text, *row[1:]] for row in table.rows] for table in card.tables]  # type: ignore[union-attr]
    assert cells == [
        [["latents/2 latent 2", "100% of resamples", "−0.75"]],
        [["latents/3 latent 3", "90% of resamples", "0.40"]],
        [["latents/4 latent 4", "80% of resamples", "0.30"], ["latents/0 latent 0", "50% of resamples", "0.20"]],
    ]
    assert card_concepts(kept, [], 1) == ["latents/1"], "the one with most proposed edges"


def test_its_table_has_the_best_supported_edges_first_and_says_which_are_open(
    kept: ConceptGraph, data_home: Path
) -> None:
    (section,) = (one for one in sections_of(kept) if one.anchor == "edges")
    (table,) = section.tables
    assert list(table.headers) == ["concept", "direction", "other concept", "comes back on", "correlation"]
    assert [row[1] for row in table.rows] == ["→ proposed", "→ proposed", "– open", "– open"]
    assert [row[3] for row in table.rows] == [f"{share} of resamples" for share in ("100%", "90%", "80%", "50%")]
    assert section.paragraphs[0].startswith("4 of 4 proposed edges, those that come back most often first")


def test_a_graph_from_elsewhere_shows_its_weights(data_home: Path) -> None:
    edges = [
        Edge(source="latents/0", target="latents/1", weight=0.25),
        Edge(source="latents/2", target="latents/1", weight=-2.0),
    ]
    graph = latents(*edges, joins="any", representation="")
    assert [edge.weight for edge in strongest_edges(graph, 5)] == [-2.0, 0.25]
    sections = sections_of(graph)
    said = words_in([one for one in sections if one.anchor != "provenance"])
    assert not [word for word in (*TESTED, "Probe ", "Representation ") if word in said]
    (section,) = (one for one in sections if one.anchor == "edges")
    assert list(section.tables[0].headers) == ["from", "to", "weight"]
    assert [row[2] for row in section.tables[0].rows] == ["−2.000", "0.250"]
    assert "the largest weights first" in section.paragraphs[0]


def test_one_tested_edge_brings_the_table_of_evidence_back(data_home: Path) -> None:
    from tests.fixtures.graphs import make_graph

    sections = sections_of(make_graph(6, 4, 2))
    assert "confirmed" in {fact.name for fact in sections[0].facts}
    (section,) = (one for one in sections if one.anchor == "edges")
    assert section.title == "Edges and their evidence" and "effect, s.d." in section.tables[0].headers
