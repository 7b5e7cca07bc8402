"""`graph compare`: what became of one graph in another, for people or as JSON."""

from __future__ import annotations

import argparse

from app.config_flags import add_flags, collect
from concept_graphs.compare import compare
from concept_graphs.comparison import CompareConfig
from concept_graphs.comparison_words import changes, summary
from concept_graphs.graph import ConceptGraph
from probes.configs import validated


def add_compare_flags(parser: argparse.ArgumentParser) -> None:
    """`graph compare <a> <b> [--by ...] [--least ...] [--edges ...] [--top N] [--json]`."""
    parser.add_argument("a", help="Name of the first graph, or its folder.")
    parser.add_argument("b", help="Name of the second graph, or its folder.")
    parser.add_argument("--top", type=int, default=20, help="How many changes to print. Default: 20.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object, with all changes.")
    add_flags(parser, CompareConfig)
    parser.set_defaults(run_command=show_changes)


def show_changes(args: argparse.Namespace) -> int:
    """Print a comparison."""
    config = validated(CompareConfig, collect(args, CompareConfig), what="The comparison")
    found = compare(ConceptGraph.open(args.a), ConceptGraph.open(args.b), config)
    if args.json:
        print(found.model_dump_json())
        return 0
    rows = changes(found)
    lines = [f"{found.a} and {found.b}", *(f"  {line}" for line in summary(found))]
    lines += [
        f"  {row.kind:<4} {row.what:<7} {' | '.join(part for part in row[2:] if part)}" for row in rows[: args.top]
    ]
    more = f"  and {len(rows) - args.top:,} more" if len(rows) > args.top else ""
    print("\n".join([*lines, more] if more else lines))
    return 0
