"""The report: one self-contained HTML file with the graph, its evidence and pinned steering, and a JSON twin."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from pydantic import Field

from app.static import plotly_file
from concept_graphs.figure import layered_figure
from concept_graphs.graph import ConceptGraph
from concept_graphs.tables import Edge, Node
from concept_graphs.text import visible_token
from concept_graphs.view import ViewSpec
from probes.artefacts import MANIFEST, artefact_path, home, parent_of, resolve, write_manifest
from probes.configs import Frozen
from probes.files import commit_directory, confined, read_json, sha256_of, write_json
from probes.provenance import commit, now, versions
from probes.runs import Run
from probes.sections import Section, Strip, Table

STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--line:#dde2e8;--paper:#fcfcfb;--card:#fff;--pos:31,119,180;--neg:200,90,20}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa5b4;--line:#333b46;--paper:#14171b;--card:#1b1f25}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;max-width:1080px;
padding:24px 16px}h1{font-size:26px;margin:0 0 4px}h2{margin:36px 0 8px;border-bottom:1px solid var(--line)}
h3{margin:24px 0 4px}p{margin:6px 0}.soft,.source,caption{color:var(--soft);font-size:13px;text-align:left}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:13px;width:100%}td,th{padding:4px 8px;
border-bottom:1px solid var(--line);text-align:left;vertical-align:top;font-variant-numeric:tabular-nums}
.strip{background:var(--card);border:1px solid var(--line);border-radius:4px;padding:6px 8px;margin:6px 0;
overflow-wrap:anywhere;white-space:pre-wrap}.plot{height:620px;max-width:100%;overflow:hidden}
h1,h2,h3,p{overflow-wrap:anywhere}
"""
DRAW = """
for (const box of document.querySelectorAll("[data-figure]")) {
  const figure = JSON.parse(document.getElementById(box.dataset.figure).textContent);
  const ink = getComputedStyle(document.body).color;
  const layout = {...figure.layout, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: {...(figure.layout.font || {}), color: ink}};
  Plotly.newPlot(box, figure.data, layout, {displaylogo: false, responsive: true});
}
"""


class ReportConfig(Frozen):
    """Write one self-contained HTML report of a concept graph and pinned steering runs."""

    name: str = Field(
        default="report", description="Name of the report to make.", min_length=1, max_length=64
    )
    graph: str = Field(default="bundled/text", description="Concept graph to report on.")
    title: str = Field(default="", description="Title; empty for the graph's own.", max_length=200)
    pins: tuple[str, ...] = Field(
        default=(), description="Pinned comparisons: names, or paths of JSON files."
    )
    concepts: int = Field(default=24, description="Concept cards, the best connected ones.", ge=0, le=500)
    edges: int = Field(default=200, description="Most edges in the evidence table.", ge=0, le=5000)


def work(config: ReportConfig, run: Run) -> Path:
    """Write the report and its JSON twin, replacing an earlier one of the same name."""
    run.begin(message="writing the report")
    graph = ConceptGraph.open(config.graph)
    pins = [read_json(_pin_path(name), limit=2**22) for name in config.pins]
    sections = report_sections(graph, pins, config)
    target = artefact_path("report", config.name)
    with commit_directory(target, replace=True) as folder:
        title = config.title or graph.meta.title
        (folder / "report.html").write_text(render(title, sections), encoding="utf-8")
        twin = {"graph": graph.as_json(), "comparisons": pins, "versions": versions(), "commit": commit()}
        write_json(folder / "report.json", twin)
        parents = {"graph": parent_of(config.graph, "graph")}
        write_manifest(folder, kind="report", name=config.name, command=run.record().command, parents=parents)
    return target


def available_pins() -> list[str]:
    """Names of pinned comparisons, newest last."""
    return sorted(path.stem for path in (home() / "pins").glob("*.json"))


def _pin_path(name: str) -> Path:
    path = Path(name)
    return path if path.suffix == ".json" and path.is_file() else confined(home() / "pins", f"{name}.json")


def report_sections(
    graph: ConceptGraph, pins: Sequence[dict[str, Any]], config: ReportConfig
) -> list[Section]:
    """All sections of the report, in order."""
    connected = sorted(graph.nodes, key=lambda node: -_confirmed(graph, node.id))
    return [
        _summary(graph),
        Section("Concept graph", [_LEGEND], figures=[layered_figure(graph, ViewSpec(width=1000))]),
        *(_comparison(pin) for pin in pins),
        Section("Concepts", [f"The {min(config.concepts, len(connected))} best connected concepts."]),
        *(_card(graph, node) for node in connected[: config.concepts]),
        _edges(graph, config.edges),
        _provenance(graph, config),
    ]


_LEGEND = (
    "Solid edges are composed: an effect is left when the direct residual path is held. Dashed edges are carried "
    "by that path alone. Every drawn edge has a 95 % interval without zero and an effect beyond the 95 % quantile "
    "of its null: the same places and the same size along a random decoder direction."
)


def _confirmed(graph: ConceptGraph, concept: str) -> int:
    return sum(edge.confirmed for edge in (*graph.parents(concept), *graph.children(concept)))


def _summary(graph: ConceptGraph) -> Section:
    meta = graph.meta
    said = f"{len(graph.nodes)} concepts, {len(graph.edges)} edges, {int(graph.confirmed.sum())} confirmed."
    levels = [[level.name, level.hook_point, level.row, f"{level.n_latents:,}"] for level in meta.levels]
    figures = [[name, _shown(value)] for name, value in meta.figures.items()]
    return Section(
        "Summary",
        [f"Subject {meta.subject}; probe {meta.probe}; made {meta.created}.", said, *meta.warnings],
        [
            Table(["level", "hook point", "row", "latents"], levels),
            Table(["figure", "value [95 % interval], n"], figures, "Figures, measured on held-out text"),
        ],
    )


def _comparison(pin: dict[str, Any]) -> Section:
    rows = [
        [row["name"], row["text"], _number(row.get("damage"))]
        for row in (pin["unsteered"], pin["steered"], *pin["controls"])
    ]
    levers = [
        [
            f"{row['lever']['level']}/{', '.join(map(str, row['lever']['weights']))}",
            row["lever"]["operation"],
            _number(row["lever"]["strength"]),
            f"{row['share']:.1%}",
        ]
        for row in pin["levers"]
    ]
    return Section(
        "Steering",
        [
            f"Prompt: {pin['prompt']}",
            f"Seed {pin['seed']}, temperature {pin['temperature']}.",
            *pin["notices"],
        ],
        [
            Table(["lever", "operation", "strength", "share of the residual norm"], levers),
            Table(["", "continuation", "damage, nats per unsteered token"], rows),
        ],
    )


def _card(graph: ConceptGraph, node: Node) -> Section:
    detection = _interval(node.detection, node.detection_low, node.detection_high)
    facts = (
        f"{node.id}. Active in {node.frequency:.2%} of rows; typical size {node.typical:.3g} (95 % quantile). "
        f"Label detection AUROC {detection}, n {node.detection_n}, held-out; higher is better."
    )
    words = [
        f"{name}: " + "  ".join(visible_token(token) for token, _ in tokens)
        for name, tokens in (("Promotes", node.promoted), ("Suppresses", node.suppressed))
        if tokens
    ]
    strips = [
        Strip(e.tokens, e.values, f"{e.document}, token {e.position}")
        for e in graph.examples.get(node.id, [])
    ]
    return Section(node.label, [facts, *words], strips=strips[:4], level=3)


def _edges(graph: ConceptGraph, most: int) -> Section:
    rows = sorted(graph.edges, key=lambda edge: (not edge.confirmed, -abs(edge.effect or 0)))
    headers = ["from", "to", "effect, s.d.", "n", "null 95 %", "q", "held", "verdict"]
    shown = [_edge_row(graph, edge) for edge in rows[:most]]
    said = f"The strongest {len(shown)} of {len(rows)} tested edges; n counts held-out chunks."
    return Section("Edges and their evidence", [said], [Table(headers, shown)])


def _edge_row(graph: ConceptGraph, edge: Edge) -> list[str]:
    return [
        f"{edge.source} {graph.node(edge.source).label}",
        f"{edge.target} {graph.node(edge.target).label}",
        _interval(edge.effect, edge.effect_low, edge.effect_high),
        str(edge.n),
        _number(edge.null95),
        _number(edge.q),
        _interval(edge.held, edge.held_low, edge.held_high),
        edge.verdict,
    ]


def _provenance(graph: ConceptGraph, config: ReportConfig) -> Section:
    path = resolve(config.graph, "graph")
    hashes = [[name, sha256_of(path / name)] for name in ("graph.json", MANIFEST) if (path / name).is_file()]
    settings = [[name, _shown(value)] for name, value in graph.meta.settings.items()]
    packages = [[name, version] for name, version in versions().items()]
    return Section(
        "Settings, versions, hashes",
        [f"Written {now()}, commit {commit() or 'unknown'}."],
        [
            Table(["file", "SHA-256"], hashes),
            Table(["setting", "value"], settings),
            Table(["package", "version"], packages),
        ],
    )


def render(title: str, sections: Sequence[Section]) -> str:
    """The whole HTML document. Every string passes `escape` here; no request is ever made by it."""
    plotly = plotly_file().read_text(encoding="utf-8")
    allowed = " ".join(f"'sha256-{_digest(text)}'" for text in (plotly, DRAW))
    policy = f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"
    figures: list[str] = []
    body = "".join(_section(section, figures) for section in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f'<p class="soft">Fulcrum report</p>{body}{"".join(figures)}'
        f"<script>{plotly}</script><script>{DRAW}</script></body></html>"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _section(section: Section, figures: list[str]) -> str:
    parts = [f"<h{section.level}>{escape(visible_token(section.title))}</h{section.level}>"]
    parts += [f"<p>{escape(text)}</p>" for text in section.paragraphs]
    parts += [_table(table) for table in section.tables]
    parts += [_strip(strip) for strip in section.strips]
    for figure in section.figures:
        name = f"figure-{len(figures)}"
        data = json.dumps(figure, allow_nan=False).replace("<", "\\u003c").replace("&", "\\u0026")
        figures.append(f'<script type="application/json" id="{name}">{data}</script>')
        parts.append(f'<div class="plot" data-figure="{name}"></div>')
    return "".join(parts)


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in table.headers)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    return f'<div class="scroll"><table>{caption}<tr>{head}</tr>{rows}</table></div>'


def _strip(strip: Strip) -> str:
    largest = max((abs(value) for value in strip.values), default=0.0) or 1.0
    cells = []
    for at, token in enumerate(strip.tokens):
        value = strip.values[at] if at < len(strip.values) else 0.0
        shade = f"rgba(var(--{'pos' if value >= 0 else 'neg'}),{abs(value) / largest * 0.6:.2f})"
        shown = visible_token(token)
        text = shown.replace("␣", " ") if "␣" not in token else shown
        cells.append(f'<span style="background:{shade}" title="{value:.3g}">{escape(text)}</span>')
    return f'<div class="strip">{"".join(cells)}<div class="source">{escape(strip.source)}</div></div>'


def _shown(value: Any) -> str:
    if isinstance(value, list) and len(value) == 4 and all(isinstance(part, int | float) for part in value):
        return f"{value[0]:.4g} [{value[1]:.4g}, {value[2]:.4g}], n {int(value[3])}"
    return _number(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    return "–" if value is None else f"{value:.3g} [{_number(low)}, {_number(high)}]"
