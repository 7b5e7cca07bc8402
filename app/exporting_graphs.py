"""`export` of a graph: one file that another tool opens, bounded, with what was left out in words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Annotated

from pydantic import Field

from app.config_flags import add_flags, as_flag, collect
from app.graphs import GraphLibrary
from concept_graphs.exchange.bounds import bounded
from concept_graphs.exchange.registry import GRAPH_FORMATS, graph_text
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import atomic_write


class GraphExportConfig(Frozen):
    """Save a concept graph for another tool."""

    graph: str = Field(description="Graph to save.", min_length=1)
    format: Annotated[str, GRAPH_FORMATS] = Field(default="neuronpedia", description="Tool that will open it.")
    out: str = Field(description="File to make.", min_length=1)
    most_concepts: int = Field(default=20_000, description="Most concepts in the file.", ge=1, le=50_000)
    most_edges: int = Field(default=200_000, description="Most edges in the file.", ge=0, le=1_000_000)


class GraphExported(Frozen):
    """What an export of a graph prints with `--json`."""

    file: str = Field(description="The file that was made.")
    format: str = Field(description="Tool that opens it.")
    concepts: int = Field(description="Number of concepts in the file.")
    edges: int = Field(description="Number of edges in the file.")
    groups: int = Field(description="Number of groups in the file.")
    hidden: str = Field(description="What was left out; empty when nothing was.")


def add_graph_export_flags(parser: argparse.ArgumentParser) -> None:
    """`export <graph> --format neuronpedia --out FILE`."""
    parser.add_argument("graph_given", nargs="?", metavar="graph", help="Name of the graph.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    add_flags(parser, GraphExportConfig)
    parser.set_defaults(run_command=_run)


def _run(args: argparse.Namespace) -> int:
    values = ({"graph": args.graph_given} if args.graph_given else {}) | collect(args, GraphExportConfig)
    done = export_graph(validated(GraphExportConfig, values, what="The export", called=as_flag))
    if args.json:
        print(done.model_dump_json())
    else:
        print(f"written to {done.file}: {done.concepts:,} concepts, {done.edges:,} edges, {done.groups:,} groups")
        if done.hidden:
            print(done.hidden)
    return 0


def export_graph(config: GraphExportConfig) -> GraphExported:
    """Save a graph with the labels and groups people gave. Raises `WorkbenchError` for a file that exists."""
    opened = GraphLibrary().open_anywhere(config.graph)
    target = Path(config.out).expanduser().absolute()
    if target.exists():
        raise WorkbenchError("exists", f"{target.name} exists already", "it would be overwritten", "Choose another.")
    graph, notes = bounded(opened.graph, config.most_concepts, config.most_edges)
    atomic_write(target, graph_text(graph, opened.groups, config.format))
    return GraphExported(
        file=str(target),
        format=config.format,
        concepts=len(graph.nodes),
        edges=len(graph.edges),
        groups=len(opened.groups.groups),
        hidden=" ".join(notes),
    )
