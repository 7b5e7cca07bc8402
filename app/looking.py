"""The two commands that make no run: `graph show` prints a graph, `steer` tries one lever on one prompt."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from app.settings import Settings

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph, Edge


def add_show_flags(parser: argparse.ArgumentParser) -> None:
    """`graph show <ref> [--concept ID] [--top N] [--json]`."""
    parser.add_argument("ref", help="Name of the graph, such as bundled/text, or its folder.")
    parser.add_argument("--concept", help="Show this concept only, such as middle/123.")
    parser.add_argument(
        "--top", type=int, default=20, help="How many edges to print, the strongest first. Default: 20."
    )
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    parser.set_defaults(run_command=show)


def show(args: argparse.Namespace) -> int:
    """Print a graph, or one concept of it."""
    from concept_graphs.graph import ConceptGraph

    graph = ConceptGraph.open(args.ref)
    shown = concept_of(graph, args.concept, args.top) if args.concept else overview(graph, args.top)
    if args.json:
        print(json.dumps(shown, allow_nan=False))
        return 0
    print(_concept_text(shown) if args.concept else _overview_text(graph, shown))
    return 0


def overview(graph: ConceptGraph, top: int) -> dict[str, Any]:
    """The graph's figures, levels, counts by verdict, warnings and strongest edges, as plain JSON."""
    meta = graph.meta.model_dump(mode="json")
    order = sorted(range(len(graph.edges)), key=lambda i: (not graph.confirmed[i], -graph.strength[i]))
    return meta | {
        "concepts": len(graph.nodes),
        "concepts_by_level": dict(Counter(graph.nodes["level"])),
        "edges": len(graph.edges),
        "confirmed": int(graph.confirmed.sum()),
        "verdicts": dict(Counter(graph.edges["verdict"])),
        "strongest": [_edge(graph, graph.edges.row(i)) for i in order[: max(0, top)]],
    }


def concept_of(graph: ConceptGraph, concept: str, top: int) -> dict[str, Any]:
    """One concept with its evidence, neighbours and examples, as plain JSON."""
    node = graph.node(concept)
    return node.model_dump(mode="json") | {
        "parents": [_edge(graph, edge) for edge in graph.parents(concept)[: max(0, top)]],
        "children": [_edge(graph, edge) for edge in graph.children(concept)[: max(0, top)]],
        "examples": [example.model_dump(mode="json") for example in graph.examples.get(concept, [])],
    }


def _edge(graph: ConceptGraph, edge: Edge) -> dict[str, Any]:
    labels = {"source_label": graph.node(edge.source).label, "target_label": graph.node(edge.target).label}
    return edge.model_dump(mode="json") | labels


def _overview_text(graph: ConceptGraph, shown: dict[str, Any]) -> str:
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in shown["verdicts"].items())
    lines = [shown["title"], f"  subject {shown['subject']}, probe {shown['probe']}"]
    for level in reversed(shown["levels"]):
        count = shown["concepts_by_level"].get(level["name"], 0)
        lines.append(
            f"  {level['name']:<8} {count:>5} concepts at {level['hook_point']}, a row is a {level['row']}"
        )
    lines.append(f"  {shown['edges']} edges: {verdicts}")
    lines += [f"  warning: {warning}" for warning in shown["warnings"]]
    lines.append(
        "Strongest edges (effect of removing the lower concept, in s.d. of the higher; 95 % interval):"
    )
    return "\n".join([*lines, *map(_edge_text, shown["strongest"])])


def _concept_text(shown: dict[str, Any]) -> str:
    lines = [f"{shown['id']}  {shown['label']}"]
    lines.append(f"  active in {shown['frequency']:.3%} of rows, typical size {shown['typical']:.3g}")
    if shown["detection"] is not None:
        low, high = shown["detection_low"], shown["detection_high"]
        interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
        lines.append(
            f"  the label finds it with AUC {shown['detection']:.2f}{interval}, n {shown['detection_n']}"
        )
    for side in ("promoted", "suppressed"):
        tokens = " ".join(repr(token) for token, _ in shown[side][:8])
        lines += [f"  {side}: {tokens}"] if tokens else []
    for side in ("parents", "children"):
        lines += [f"  {side}:", *map(_edge_text, shown[side])] if shown[side] else []
    lines += [f"  | {json.dumps(''.join(example['tokens']))}" for example in shown["examples"][:5]]
    return "\n".join(lines)


def _edge_text(edge: dict[str, Any]) -> str:
    ends = f"  {edge['source']} {edge['source_label']!r} -> {edge['target']} {edge['target_label']!r}"
    if edge["effect"] is None:
        return f"{ends}: {edge['verdict']}"
    low, high, null = edge["effect_low"], edge["effect_high"], edge["null95"]
    interval = "" if low is None or high is None else f" [{low:+.3f}, {high:+.3f}]"
    against = "" if null is None else f", null {null:.3f}"
    return f"{ends}: {edge['effect']:+.3f}{interval}, n {edge['n']}{against}, {edge['verdict']}"


def add_steer_flags(parser: argparse.ArgumentParser) -> None:
    """`steer <graph> --concept ID --strength S --prompt P --seed 0 [--json]`."""
    parser.add_argument("graph", help="Name of the graph, such as bundled/text.")
    parser.add_argument(
        "--concept", required=True, action="append", help="Concept id; may be given several times."
    )
    parser.add_argument("--strength", type=float, default=1.0, help="In typical activations. Default: 1.")
    parser.add_argument("--operation", default="add", help="What is done to the concept. Default: add.")
    parser.add_argument(
        "--where", default="", help="Selector, such as positions=generated. Default: everywhere."
    )
    parser.add_argument("--prompt", required=True, help="Text the subject continues.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of sampling. Default: 0.")
    parser.add_argument("--tokens", type=int, default=40, help="How many tokens to generate. Default: 40.")
    parser.add_argument(
        "--temperature", type=float, default=0.0, help="0 takes the likeliest token. Default: 0."
    )
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    parser.set_defaults(run_command=steer)


def steer(args: argparse.Namespace) -> int:
    """Generate with and without the lever, and print both with their controls."""
    from concept_graphs.graph import ConceptGraph
    from probes.hierarchy.probe import open_probe
    from probes.subjects.loading import load_subject
    from steering.contexts import contexts_of
    from steering.generate import compare
    from steering.levers import lever_of

    graph = ConceptGraph.open(args.graph)
    nodes = [graph.node(concept) for concept in args.concept]
    levers = [lever_of(node.id, args.strength, args.operation, args.where) for node in nodes]
    settings = Settings.load()
    probe = open_probe(graph.meta.probe)
    subject = load_subject(
        graph.meta.subject, dtype=settings.dtype, device=settings.device, offline=settings.offline
    )
    found = compare(
        subject,
        probe,
        levers,
        args.prompt,
        seed=args.seed,
        max_new_tokens=args.tokens,
        temperature=args.temperature,
        concept=nodes[0].label,
        contexts=contexts_of(subject, graph.examples.get(nodes[0].id, [])),
    )
    if args.json:
        print(found.model_dump_json())
        return 0
    rows = [found.unsteered, found.steered, *found.controls]
    for row in rows:
        damage = "" if row.damage is None else f"  [{row.damage:+.3f} nats per unsteered token]"
        print(f"{row.name}: {row.text!r}{damage}")
    for lever in found.levers:
        print(f"  lever {lever.lever.level}/{next(iter(lever.lever.weights))}: {lever.share:.0%} of the norm")
    for notice in found.notices:
        print(f"  {notice}")
    return 0
