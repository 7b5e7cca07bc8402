"""`graph compose`: what training showed of a combination of concepts, for people or as JSON."""

from __future__ import annotations

import argparse


def add_compose_flags(parser: argparse.ArgumentParser) -> None:
    """`graph compose <ref> <concept> <concept> … [--least N] [--proposed] [--json]`."""
    parser.add_argument("ref", help="Name of the graph, such as bundled/text, or its folder.")
    parser.add_argument("concepts", nargs="+", help="Two concepts or more, such as high/3 high/8.")
    parser.add_argument("--least", type=int, default=1, help="Examples that cover a module. Default: 1.")
    parser.add_argument("--proposed", action="store_true", help="Follow edges that are not confirmed too.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    parser.set_defaults(run_command=compose)


def compose(args: argparse.Namespace) -> int:
    """Look a combination up. Raises `WorkbenchError` where the graph's training support was not noted."""
    from concept_graphs.composability import composability, in_words
    from concept_graphs.graph import ConceptGraph
    from concept_graphs.support import support_of
    from probes.errors import WorkbenchError

    graph = ConceptGraph.open(args.ref)
    support = support_of(graph)
    if support is None:
        raise WorkbenchError(
            "no-support",
            f"Of {args.ref} it is not known what was on together",
            "its training support was not noted",
            f"Note it from its store first: fulcrum support {args.ref}",
        )
    only = False if args.proposed else None
    found = composability(graph, support, args.concepts, least=max(1, args.least), only_confirmed=only)
    if args.json:
        print(found.model_dump_json())
        return 0
    print(in_words(found))
    for module in found.modules:
        mark = "covered" if module.covered else "missing"
        count = f"{module.examples:,} examples, {module.expected:,.1f} by chance"
        print(f"  {mark}  {module.concept} {module.label!r}: {', '.join(module.parents)} on in {count}")
    return 0
