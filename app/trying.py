"""`steer`: one lever, or a file of them, on one prompt; both texts with their controls."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from app.settings import Settings
from probes.configs import validated
from probes.errors import WorkbenchError
from steering.levers import Lever, LeverSet, OperationParams, lever_of

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph
    from steering.comparison import Comparison


def add_steer_flags(parser: argparse.ArgumentParser) -> None:
    """`steer <graph> --concept ID --strength S --prompt P --seed 0 [--json]`, or `--levers FILE`."""
    add = parser.add_argument
    add("graph", help="Name of the graph, such as bundled/text.")
    add("--concept", action="append", default=[], help="Concept id; may be given several times.")
    add("--levers", type=Path, help="A lever set saved on the Steer page, instead of --concept.")
    add("--strength", type=float, default=1.0, help="In typical activations. Default: 1.")
    add("--operation", default="add", help="What is done to the concept. Default: add.")
    add("--to-level", type=float, default=1.0, help="What set and cap aim at, in typical activations. Default: 1.")
    add("--target", help="Concept that a swap moves the activation to, of the same level.")
    add("--donor", default="", help="Text whose activations a patch copies.")
    add("--where", default="", help="Selector, such as positions=generated. Default: everywhere.")
    add("--prompt", required=True, help="Text the subject continues.")
    add("--seed", type=int, default=0, help="Seed of sampling. Default: 0.")
    add("--tokens", type=int, default=40, help="How many tokens to generate. Default: 40.")
    add("--temperature", type=float, default=0.0, help="0 takes the likeliest token. Default: 0.")
    add("--controls", action=argparse.BooleanOptionalAction, default=True, help="Also run the controls. Default: yes.")
    add("--json", action="store_true", help="Print one JSON object.")
    parser.set_defaults(run_command=steer)


def steer(args: argparse.Namespace) -> int:
    """Generate with and without the levers, and print both with their controls."""
    from concept_graphs.graph import ConceptGraph

    graph = ConceptGraph.open(args.graph)
    levers = levers_asked(args, graph)
    from probes.subjects.loading import load_subject
    from probes.subjects.text_autoregressive import TextAutoregressive
    from steering.on_graph import compare_on_graph

    settings = Settings.load()
    subject = load_subject(
        graph.meta.subject,
        of=TextAutoregressive,
        dtype=settings.dtype,
        device=settings.device,
        offline=settings.offline,
    )
    found = compare_on_graph(
        subject,
        graph,
        levers,
        args.prompt,
        seed=args.seed,
        max_new_tokens=args.tokens,
        temperature=args.temperature,
        controls=args.controls,
        concept=main_concept(levers[0]),
    )
    print(found.model_dump_json() if args.json else _text(found))
    return 0


def levers_asked(args: argparse.Namespace, graph: ConceptGraph) -> list[Lever]:
    """The levers of the flags. Raises `WorkbenchError` for none, or a concept the graph does not have."""
    if (args.levers is None) == (not args.concept):
        raise WorkbenchError(
            "bad-lever", "Nothing can be steered", "give either --concept or --levers", "Name one of them."
        )
    if args.levers is not None:
        levers = list(LeverSet.load(args.levers).levers)
        if not levers:
            raise WorkbenchError("no-lever", "There is no lever", f"{args.levers} is empty", "Save levers first.")
        return levers
    params = {"level": args.to_level, "target": _target(args, graph), "donor": args.donor}
    extra = {"params": validated(OperationParams, params, what="The lever")}
    nodes = [graph.node(concept) for concept in args.concept]
    levers = [lever_of(node.id, args.strength, args.operation, args.where) for node in nodes]
    return [lever.model_copy(update=extra) for lever in levers]


def _target(args: argparse.Namespace, graph: ConceptGraph) -> int | None:
    if args.target is None:
        return None
    target = graph.node(args.target)
    if any(graph.node(concept).level != target.level for concept in args.concept):
        raise WorkbenchError(
            "bad-lever", "A swap stays on one level", f"{target.id} is on another", "Choose a target beside it."
        )
    return target.index


def main_concept(lever: Lever) -> str:
    """Id of the concept with the largest weight: the one controls are about."""
    return f"{lever.level}/{max(lever.weights, key=lambda latent: abs(lever.weights[latent]))}"


def _text(found: Comparison) -> str:
    lines = []
    for row in (found.unsteered, found.steered, *found.controls):
        damage = "" if row.damage is None else f"  [{row.damage:+.3f} nats per unsteered token]"
        lines.append(f"{row.name}: {row.text!r}{damage}")
    lines += [f"  lever {main_concept(report.lever)}: {report.share:.0%} of the norm" for report in found.levers]
    return "\n".join([*lines, *(f"  {notice}" for notice in found.notices)])
