"""What a report says, chapter by chapter: sections made from a graph and the report's JSON twin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from app.facts import concept_facts
from concept_graphs.figure import layered_figure
from concept_graphs.graph import ConceptGraph, GraphMeta
from concept_graphs.tables import Edge, Node
from concept_graphs.text import number, visible_token
from concept_graphs.view import ViewSpec
from probes.sections import Cell, Fact, Figure, Link, Measure, Section, Strip, Table
from steering.comparison import Comparison, Continuation

if TYPE_CHECKING:
    from app.report import ReportTwin

CARD_EXAMPLES = 3
CARD_EDGES = 5
WIDE = ViewSpec(width=1000, max_nodes=180, max_edges=180, renderer="svg")
NARROW = ViewSpec(width=350, top_k=2, max_nodes=36, max_edges=36, renderer="svg")
MARKS = {"composed": "●", "carried": "◐", "unsupported": "○", "untested": "·"}
LEGEND = (
    "Each point is a concept, each line an edge that intervention confirmed: removing the lower concept where it "
    "fires changes the upper one. Its 95 % interval excludes zero and its effect is beyond the 95 % quantile of "
    "the null: the same places and the same size along a random decoder direction. Solid lines are composed: an "
    "effect is left when the direct residual path is held. Dashed lines are carried by that path alone.",
    "Choosing a point leads to its card, where it has one below.",
)
EDGES_NOTE = (
    "Effect: change of the upper code, in its standard deviations, when the lower concept is removed; negative "
    "means that the lower one supports the upper one. The dot is the effect, the line its 95 % interval over "
    "chunks of held-out text, the grey band the null. Held: the effect left with the direct residual path held. "
    "q: p after Benjamini-Hochberg over all tested edges; lower is better. n counts chunks."
)


def report_sections(graph: ConceptGraph, twin: ReportTwin, *, twin_hash: str) -> list[Section]:
    """All sections of the report, in order."""
    pinned = [_comparison(graph, found, at) for at, found in enumerate(twin.comparisons, start=1)]
    cards = [_card(graph, twin, key) for key in twin.concepts]
    kept = [f"{len(cards)} of {len(graph.nodes):,}: those on pinned levers, then the best connected of each level."]
    return [
        _summary(graph),
        _picture(graph),
        *([Section("Steering", "steering"), *pinned] if pinned else []),
        *([Section("Concepts", "concepts", paragraphs=kept), *cards] if cards else []),
        _edges(graph, twin),
        _provenance(graph.meta, twin, twin_hash),
    ]


def card_concepts(graph: ConceptGraph, comparisons: Sequence[Comparison], most: int) -> list[str]:
    """Ids of the concepts that get a card: those of pinned levers, then each level's best connected in turn.

    Listed from the highest level down; at most `most`.
    """
    pinned = (
        f"{row.lever.level}/{latent}" for found in comparisons for row in found.levers for latent in row.lever.weights
    )
    confirmed = dict.fromkeys(graph.nodes["id"], 0)
    for edge in graph.edges:
        if edge.confirmed:
            confirmed[edge.source] += 1
            confirmed[edge.target] += 1
    queues: dict[str, list[str]] = {level.name: [] for level in reversed(graph.meta.levels)}
    for node in sorted(graph.nodes, key=lambda node: (-confirmed[node.id], -(node.detection or 0))):
        queues[node.level].append(node.id)
    chosen = dict.fromkeys(key for key in pinned if key in graph)
    while len(chosen) < most and any(queues.values()):
        for queue in queues.values():
            if queue and len(chosen) < most:
                chosen.setdefault(queue.pop(0))
    order = {name: at for at, name in enumerate(queues)}
    return sorted(list(chosen)[:most], key=lambda key: order[key.partition("/")[0]])


def strongest_edges(graph: ConceptGraph, most: int) -> list[Edge]:
    """Confirmed edges before the rest, then by |effect| in units of the null, so that pairs of levels mix."""

    def rank(edge: Edge) -> tuple[bool, float]:
        return not edge.confirmed, -abs(edge.effect or 0.0) / (edge.null95 or 1.0)

    return sorted(graph.edges, key=rank)[:most]


def _summary(graph: ConceptGraph) -> Section:
    meta, verdicts = graph.meta, graph.edges["verdict"]
    tested = sum(verdict != "untested" for verdict in verdicts)
    facts = [
        Fact("concepts", f"{len(graph.nodes):,}", f"on {len(meta.levels)} levels"),
        Fact("edges tested", f"{tested:,}", f"of {len(verdicts):,} proposed"),
        Fact("confirmed", f"{int(graph.confirmed.sum()):,}", "by intervention"),
        *(
            Fact(kind, f"{verdicts.count(kind):,}", f"{MARKS[kind]} of the confirmed")
            for kind in ("composed", "carried")
        ),
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
        paragraphs=[f"Subject {meta.subject}. Probe {meta.probe}. Graph {meta.name}, extracted {meta.created[:10]}."],
        facts=facts,
        tables=[
            Table(
                ["level", "hook point", "row", "latents", "concepts"], levels, "Levels, the highest first", stacked=True
            ),
            *_figure_tables(meta),
        ],
    )


def _figure_tables(meta: GraphMeta) -> Iterator[Table]:
    """The graph's named figures, one column per level and per pair of levels; what fits neither in a list."""
    names = [level.name for level in meta.levels]
    pairs = [f"{low}-{high}" for low, high in pairwise(names)]
    figures = _with_intervals(meta.figures)
    rest = dict(figures)
    for columns, caption in ((names, "Measured on held-out text, by level"), (pairs, "By pair of levels")):
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
        told[key] = f"{_told(value)} [{_told(low)}, {_told(high)}]" if ends else _told(value)
    return told


def _told(value: Any) -> str:
    """One value of a figure or a setting in words."""
    if isinstance(value, list) and len(value) == 4 and all(type(part) in (int, float) for part in value):
        return f"{_short(value[0])} [{_short(value[1])}, {_short(value[2])}], n {int(value[3]):,}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else _short(value)
    if isinstance(value, dict):
        return "; ".join(f"{name} {_told(part)}" for name, part in value.items())
    return (", ".join(map(_told, value)) if isinstance(value, list) else value) or "–"


def _short(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


def _picture(graph: ConceptGraph) -> Section:
    alt = f"Layered picture of {len(graph.nodes)} concepts; the table of edges below says the same in words."
    figure = Figure(layered_figure(graph, WIDE), layered_figure(graph, NARROW), alt)
    return Section("Concept graph", "graph", paragraphs=LEGEND, figures=[figure])


def _comparison(graph: ConceptGraph, found: Comparison, at: int) -> Section:
    """One pinned run: both texts side by side, the levers, the controls."""
    plain, steered = found.unsteered, found.steered
    damage = steered.damage_per_token
    strips = [
        Strip(plain.tokens, damage, _shading(damage), "Unsteered", found.prompt),
        Strip(steered.tokens, (), _damage(steered), "Steered", found.prompt),
    ]
    levers: list[list[Cell]] = []
    for row in found.levers:
        latents = [
            _link(graph, f"{row.lever.level}/{latent}", "" if weight == 1 else f" × {weight:g}")
            for latent, weight in row.lever.weights.items()
        ]
        share = f"{row.share:.1%} (largest {row.largest_share:.1%})"
        moved = f"{row.moved:,} of {row.places:,}"
        facts = [row.lever.operation, f"{row.lever.strength:g}", row.lever.where or "everywhere", share, moved]
        levers += [[latent, *(facts if first else [""] * 5)] for first, latent in _flagged(latents)]
    texts = [[row.name, _prefix(row, found), row.text, _damage_number(row)] for row in (steered, *found.controls)]
    return Section(
        f"“{found.prompt}”",
        f"steering-{at}",
        level=3,
        tag=f"run {at}",
        notices=found.notices,
        paragraphs=[
            f"Seed {found.seed}, temperature {found.temperature:g}, subject {found.subject}, probe {found.probe}."
        ],
        strips=strips,
        beside=True,
        tables=[
            Table(
                ["lever", "operation", "strength", "where", "share of the residual norm", "places moved"],
                levers,
                "Levers; strength counts typical activations",
                stacked=True,
            ),
            Table(
                ["", "prompt begins with", "continuation", "damage, nats per token"],
                texts,
                "Against controls at the same places and norm; damage is the mean change of the unsteered text's "
                "log-probability, closer to zero is better",
                stacked=True,
            ),
        ],
    )


def _flagged(rows: Sequence[Cell]) -> Iterator[tuple[bool, Cell]]:
    return ((at == 0, row) for at, row in enumerate(rows))


def _shading(damage: Sequence[float]) -> str:
    return "Colour: change of each token's log-probability under the levers, nats" if damage else ""


def _damage(row: Continuation) -> str:
    return "" if row.damage is None else f"Damage {_damage_number(row)} nats per unsteered token"


def _damage_number(row: Continuation) -> str:
    return "–" if row.damage is None else number(row.damage, 3)


def _prefix(row: Continuation, found: Comparison) -> str:
    """What a control put before the prompt."""
    return "" if row.prompt == found.prompt else row.prompt.removesuffix(found.prompt).strip()


def _card(graph: ConceptGraph, twin: ReportTwin, key: str) -> Section:
    node = graph.node(key)
    examples = twin.examples.get(key, [])
    facts = [
        Fact(row["name"], row["value"], row["note"]) for row in concept_facts(node, len(graph.examples.get(key, [])))
    ]
    original = twin.original_labels.get(key)
    tables = [
        *_neighbours(graph, "Part of", graph.parents(key), "target"),
        *_neighbours(graph, "Made of", graph.children(key), "source"),
    ]
    return Section(
        node.label,
        anchor_of(key),
        level=3,
        tag=node.id,
        group=graph.level_of(node.level),
        paragraphs=[f"Label given by a person; the workbench's own is {original}."] if original else (),
        facts=facts,
        words=_words(node),
        strips=[Strip(e.tokens, e.values, f"{e.document}, token {e.position:,}") for e in examples],
        tables=tables,
    )


def _words(node: Node) -> dict[str, list[str]]:
    pairs = (("makes likelier", node.promoted), ("makes less likely", node.suppressed))
    return {name: [visible_token(token) for token, _ in tokens] for name, tokens in pairs if tokens}


def _neighbours(graph: ConceptGraph, title: str, edges: Sequence[Edge], end: str) -> Iterator[Table]:
    if not edges:
        return
    rows: list[list[Cell]] = [
        [_link(graph, getattr(edge, end)), _effect(edge), _verdict(edge)] for edge in edges[:CARD_EDGES]
    ]
    more = f"; {len(edges) - CARD_EDGES} weaker ones are in the JSON twin" if len(edges) > CARD_EDGES else ""
    yield Table(["concept", "effect, s.d.", "verdict"], rows, f"{title}{more}", stacked=True)


def _edges(graph: ConceptGraph, twin: ReportTwin) -> Section:
    rows = [_edge_row(graph, graph.edge(source, target)) for source, target in twin.edges]
    said = f"The {len(rows):,} strongest of {len(graph.edges):,} edges in units of their null, confirmed ones first."
    headers = ["from", "to", "effect, s.d.", "held, s.d.", "q", "n", "verdict"]
    return Section(
        "Edges and their evidence",
        "edges",
        paragraphs=[said, EDGES_NOTE],
        tables=[Table(headers, rows, stacked=True)] if rows else (),
    )


def _edge_row(graph: ConceptGraph, edge: Edge) -> list[Cell]:
    held = Measure(edge.held, edge.held_low, edge.held_high)
    q = "–" if edge.q is None else f"{edge.q:.2g}"
    ends = [_link(graph, edge.source), _link(graph, edge.target)]
    return [*ends, _effect(edge), held, q, f"{edge.n}", _verdict(edge)]


def _effect(edge: Edge) -> Measure:
    return Measure(edge.effect, edge.effect_low, edge.effect_high, edge.null95)


def _verdict(edge: Edge) -> str:
    return f"{MARKS[edge.verdict]} {edge.verdict}"


def _link(graph: ConceptGraph, key: str, more: str = "") -> Link:
    label = f" {graph.node(key).label}" if key in graph else ""
    return Link(f"{key}{label}{more}", anchor_of(key))


def anchor_of(concept: str) -> str:
    """The address of a concept's card in the page."""
    return f"concept-{concept.replace('/', '-')}"


def _provenance(meta: GraphMeta, twin: ReportTwin, twin_hash: str) -> Section:
    hashes = [["report.json, the twin of this page", twin_hash], *map(list, twin.hashes.items())]
    hashes += [[f"{role}: {parent.ref}", parent.sha256 or "–"] for role, parent in twin.parents.items()]
    settings = [[name, _told(value)] for name, value in meta.settings.items()]
    asked = [[name, _told(value)] for name, value in twin.settings.model_dump(mode="json").items()]
    nulls = [[pair, _told(null)] for pair, null in meta.nulls.items()]
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
