"""The report: one self-contained HTML file of a concept graph and pinned steering, and a JSON twin.

The twin is made first and the page from it, so that the two cannot say different things.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from app.graphs import labelled
from app.pins import read_pin
from app.report_evidence import CARD_EXAMPLES, card_concepts, strongest_edges
from app.report_html import render
from app.report_sections import report_sections
from concept_graphs.graph import ConceptGraph, Example
from concept_graphs.schema import GraphFile
from concept_graphs.tables import ConceptId, Picture
from concept_graphs.tradeoff_curve import Tradeoff, tradeoff_of
from probes.artefacts import (
    MANIFEST,
    Parent,
    artefact_path,
    home,
    parent_of,
    read_manifest,
    resolve,
    write_manifest,
)
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.files import commit_directory, sha256_of, write_json
from probes.provenance import commit, now, versions
from probes.runs import Run
from steering.comparison import Pinned

PAGE_FILE, TWIN_FILE = "report.html", "report.json"


class ReportConfig(Frozen):
    """Write one self-contained HTML report of a concept graph and pinned steering runs."""

    name: str = Field(default="report", description="Name of the report to make.", min_length=1, max_length=64)
    graph: str = Field(default="bundled/text", description="Concept graph to report on.")
    title: str = Field(default="", description="Title; empty for the graph's own.", max_length=200)
    pins: tuple[str, ...] = Field(default=(), description="Pinned comparisons: names, or paths of JSON files.")
    concepts: int = Field(default=24, description="Concept cards, the best connected ones.", ge=0, le=500)
    edges: int = Field(default=120, description="Most edges in the evidence table.", ge=0, le=5000)


class ReportTwin(Frozen):
    """Everything a report shows, for programs: the file report.json."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    kind: Literal["report"] = Field(default="report", description="Always report.")
    title: str = Field(description="Title of the report.")
    written: str = Field(description="When it was written, UTC.")
    command: str = Field(description="The command line that writes it again.")
    commit: str | None = Field(description="Commit of the code; + marks uncommitted changes.")
    versions: dict[str, str] = Field(description="Versions of the packages used.")
    settings: ReportConfig = Field(description="What the report was asked to show.")
    graph: GraphFile = Field(description="The concept graph in its own format, with edited labels.")
    original_labels: dict[ConceptId, str] = Field(description="The workbench's own labels of edited concepts.")
    hashes: dict[str, str] = Field(description="SHA-256 of the graph's files.")
    parents: dict[str, Parent] = Field(description="What the graph was made from.")
    concepts: tuple[ConceptId, ...] = Field(description="Concepts shown as cards, in order.")
    examples: dict[ConceptId, list[Example]] = Field(description="The examples the cards show.")
    pictures: dict[ConceptId, list[Picture]] = Field(default={}, description="The pictures the cards show.")
    edges: tuple[tuple[ConceptId, ConceptId], ...] = Field(description="Edges in the evidence table, in order.")
    comparisons: list[Pinned] = Field(description="The pinned steering runs.")
    tradeoff: Tradeoff | None = Field(default=None, description="Edges against held-out bits, where it was measured.")


def work(config: ReportConfig, run: Run) -> Path:
    """Write the report and its JSON twin, replacing an earlier one of the same name and graph."""
    run.begin(steps=3, message="reading the graph")
    folder = resolve(config.graph, "graph")
    graph, originals = labelled(ConceptGraph.load(folder), folder)
    comparisons = [read_pin(name) for name in config.pins]
    command = run.record().command
    twin = twin_of(graph, originals, comparisons, config, command=command, folder=folder)
    run.progress(1, message="making the sections", force=True)
    target = _place(config)
    with commit_directory(target, replace=True) as made:
        write_json(made / TWIN_FILE, twin.model_dump(mode="json"))
        sections = report_sections(graph, twin, twin_hash=sha256_of(made / TWIN_FILE))
        run.progress(2, message="writing the page", force=True)
        (made / PAGE_FILE).write_text(render(twin.title, _byline(twin), sections), encoding="utf-8")
        parents = {"graph": parent_of(config.graph, "graph")}
        write_manifest(made, kind="report", name=config.name, command=command, parents=parents)
    run.progress(3, force=True)
    return target


def check(config: ReportConfig) -> None:
    """Raise `WorkbenchError` where another graph's report has this name."""
    _place(config)


def _place(config: ReportConfig) -> Path:
    target = artefact_path("report", config.name)
    if (target / MANIFEST).is_file():
        graph = read_manifest(target).parents.get("graph")
        if graph is not None and graph.ref != config.graph:
            raise WorkbenchError(
                "name-taken",
                f"reports/{target.name} exists",
                f"it is a report of {graph.ref}, and is not replaced by one of {config.graph[:80]}",
                "Choose another name.",
            )
    return target


def twin_of(
    graph: ConceptGraph,
    originals: dict[str, str],
    comparisons: Sequence[Pinned],
    config: ReportConfig,
    *,
    command: str,
    folder: Path,
) -> ReportTwin:
    """What a report of `graph`, which lies in `folder`, shows."""
    manifest = read_manifest(folder)
    concepts = card_concepts(graph, comparisons, config.concepts)
    kept = {key: graph.examples.get(key, [])[:CARD_EXAMPLES] for key in concepts}
    return ReportTwin(
        title=config.title or graph.meta.title,
        written=now(),
        command=command,
        commit=commit(),
        versions=versions(),
        settings=config,
        graph=GraphFile.model_validate(graph.as_json()),
        original_labels=originals,
        hashes={name: entry.sha256 for name, entry in manifest.files.items()},
        parents=manifest.parents,
        concepts=tuple(concepts),
        examples={key: rows for key, rows in kept.items() if rows},
        pictures={key: graph.pictures[key][:CARD_EXAMPLES] for key in concepts if graph.pictures.get(key)},
        edges=tuple((edge.source, edge.target) for edge in strongest_edges(graph, config.edges)),
        comparisons=list(comparisons),
        tradeoff=_tradeoff(graph),
    )


def _tradeoff(graph: ConceptGraph) -> Tradeoff | None:
    """The trade-off of the graph's probe; none where the probe is not here."""
    try:
        return tradeoff_of(graph.meta.probe)
    except WorkbenchError:
        return None


def available_pins() -> list[str]:
    """Names of pinned comparisons, newest last."""
    return sorted(path.stem for path in (home() / "pins").glob("*.json"))


def _byline(twin: ReportTwin) -> str:
    return f"Fulcrum report, written {twin.written[:16].replace('T', ' ')} UTC"
