"""What a report says, chapter by chapter: sections made from a graph and the report's JSON twin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from app.evidence_words import words_of
from app.report_evidence import MARKS, concept_card, edge_table
from app.report_pins import pinned_run
from app.report_proposed import proposed_facts
from app.report_tradeoff import tradeoff_section
from concept_graphs.figure import layered_figure
from concept_graphs.graph import ConceptGraph, GraphMeta
from concept_graphs.text import in_words
from concept_graphs.view import ViewSpec
from probes.sections import Fact, Figure, Section, Table

if TYPE_CHECKING:
    from app.report import ReportTwin

# How much of the graph is readable at which width; the page takes the widest that fits.
VIEWS = (
    ViewSpec(width=350, top_k=2, max_nodes=36, renderer="svg"),
    ViewSpec(width=680, top_k=4, max_nodes=90, renderer="svg"),
    ViewSpec(width=1000, max_nodes=180, renderer="svg"),
)
CHOOSE = "Choosing a point leads to its card, where it has one below."


def report_sections(graph: ConceptGraph, twin: ReportTwin, *, twin_hash: str) -> list[Section]:
    """All sections of the report, in order."""
    pinned = [pinned_run(graph, found, at) for at, found in enumerate(twin.comparisons, start=1)]
    cards = [concept_card(graph, twin, key) for key in twin.concepts]
    kept = [f"{len(cards)} of {len(graph.nodes):,}: those on pinned levers, then the best connected of each level."]
    return [
        _summary(graph),
        _picture(graph),
        *([Section("Steering", "steering"), *pinned] if pinned else []),
        *([Section("Concepts", "concepts", paragraphs=kept), *cards] if cards else []),
        edge_table(graph, twin),
        *([tradeoff_section(twin.tradeoff)] if twin.tradeoff else []),
        _provenance(graph.meta, twin, twin_hash),
    ]


def _summary(graph: ConceptGraph) -> Section:
    meta = graph.meta
    facts = [
        Fact("concepts", f"{len(graph.nodes):,}", f"on {len(meta.levels)} level{'s' if len(meta.levels) != 1 else ''}"),
        *(proposed_facts(graph) if graph.only_proposed else _tested_facts(graph)),
    ]
    counts = {level.name: graph.nodes["level"].count(level.name) for level in meta.levels}
    levels = [
        [level.name, level.hook_point, level.row, f"{level.n_latents:,}", f"{counts[level.name]:,}"]
        for level in reversed(meta.levels)
    ]
    return Section(
        "Summary",
        "summary",
        notices=meta.warnings,
        paragraphs=[f"Subject {meta.subject}. {_made_of(meta)}Graph {meta.name}, extracted {meta.created[:10]}."],
        facts=facts,
        tables=[
            Table(
                ["level", "hook point", "row", "latents", "concepts"],
                levels,
                "Levels, the highest first" if len(levels) > 1 else "Its one level",
                stacked=True,
            ),
            *_figure_tables(meta),
        ],
    )


def _tested_facts(graph: ConceptGraph) -> list[Fact]:
    verdicts = graph.edges["verdict"]
    tested = sum(verdict != "untested" for verdict in verdicts)
    kinds = ("composed", "carried") if graph.meta.direction == "composes" else ("generated",)
    return [
        Fact("edges tested", f"{tested:,}", f"of {len(verdicts):,} proposed"),
        Fact("confirmed", f"{int(graph.confirmed.sum()):,}", "by intervention"),
        *(Fact(kind, f"{verdicts.count(kind):,}", f"{MARKS[kind]} of the confirmed") for kind in kinds),
    ]


def _made_of(meta: GraphMeta) -> str:
    """What the concepts are latents of; a graph from elsewhere does not say."""
    if meta.representation:
        return f"Representation {meta.representation}. "
    return f"Probe {meta.probe}. " if meta.probe else ""


def _figure_tables(meta: GraphMeta) -> Iterator[Table]:
    """The graph's named figures, one column per level and per pair of levels; what fits neither in a list."""
    names = [level.name for level in meta.levels]
    pairs = [f"{low}-{high}" for low, high in pairwise(names)]
    figures = _with_intervals(meta.figures)
    rest = dict(figures)
    where = "Measured on held-out " + ("images" if meta.direction == "generates" else "text")
    for columns, caption in ((names, f"{where}, by level"), (pairs, "By pair of levels")):
        rows: dict[str, dict[str, str]] = {}
        for key, value in figures.items():
            first, _, last = key.partition(".")
            column, what = (first, last) if first in columns else (last, first)
            if column in columns and what:
                rows.setdefault(what.replace("_", " "), {})[column] = value
                rest.pop(key, None)
        if rows:
            yield Table(
                ["", *columns], [[what, *(row.get(c, "–") for c in columns)] for what, row in rows.items()], caption
            )
    if rest:
        yield Table(["figure", "value"], [list(row) for row in rest.items()], "Further figures")


def _with_intervals(figures: Mapping[str, Any]) -> dict[str, str]:
    """Figures in words; `x_low` and `x_high` join `x` as its interval."""
    told = {}
    for key, value in figures.items():
        low, high = figures.get(f"{key}_low"), figures.get(f"{key}_high")
        ends = isinstance(low, int | float) and isinstance(high, int | float)
        if key.endswith(("_low", "_high")) and key.rpartition("_")[0] in figures:
            continue
        told[key] = f"{in_words(value)} [{in_words(low)}, {in_words(high)}]" if ends else in_words(value)
    return told


def _picture(graph: ConceptGraph) -> Section:
    alt = f"Layered picture of {len(graph.nodes)} concepts; the table of edges below says the same in words."
    # Where no intervention tested anything, what was not tested is all there is to see.
    views = [view.model_copy(update={"show_untested": graph.only_proposed}) for view in VIEWS]
    figure = Figure({view.width: layered_figure(graph, view) for view in views}, alt)
    return Section("Concept graph", "graph", paragraphs=[words_of(graph).legend, CHOOSE], figures=[figure])


def _provenance(meta: GraphMeta, twin: ReportTwin, twin_hash: str) -> Section:
    hashes = [["report.json, the twin of this page", twin_hash], *map(list, twin.hashes.items())]
    hashes += [[f"{role}: {parent.ref}", parent.sha256 or "–"] for role, parent in twin.parents.items()]
    settings = [[name, in_words(value)] for name, value in meta.settings.items()]
    asked = [[name, in_words(value)] for name, value in twin.settings.model_dump(mode="json").items()]
    nulls = [[pair, in_words(null)] for pair, null in meta.nulls.items()]
    said = [f"Written {twin.written}, commit {twin.commit or 'unknown'}.", f"The same again: {twin.command}"]
    return Section(
        "Settings, versions, hashes",
        "provenance",
        paragraphs=said,
        tables=[
            Table(["file", "SHA-256"], hashes, "Hashes"),
            Table(["setting", "value"], settings, "Settings of the graph"),
            *([Table(["levels", "null"], nulls, "Nulls of the edges")] if nulls else []),
            Table(["setting", "value"], asked, "Settings of this report"),
            Table(["package", "version"], [list(row) for row in twin.versions.items()], "Versions"),
        ],
    )
