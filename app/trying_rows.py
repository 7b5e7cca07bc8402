"""`steer` on a representation: its own flags, the graph that names its latents, and what it prints."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.row_figures import row_said
from app.trying_pictures import picture_flags_given, typed
from probes.artefacts import resolve
from probes.errors import WorkbenchError
from probes.files import atomic_write

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph
    from steering.levers import Lever
    from steering.row_comparison import RowComparison


@dataclass(frozen=True)
class RowSource:
    """The graph of a representation, as a source of levers."""

    graph: ConceptGraph

    def concept(self, concept: str) -> str:
        """A concept's id, checked."""
        return self.graph.node(concept).id

    def parts(self, concept: str, most: int) -> dict[str, float]:
        """No edge among latents was confirmed, so none has parts."""
        return {}


def add_row_flags(parser: argparse.ArgumentParser) -> None:
    """The flag that only representations know."""
    parser.add_argument_group("representations").add_argument(
        "--row", type=int, help="Held-out row of its world. Default: 0."
    )


def row_source(ref: str) -> RowSource | None:
    """The graph of that name, where its concepts are of a representation; None for everything else."""
    from concept_graphs.graph import GRAPH_FILE, ConceptGraph

    try:
        path = resolve(ref, "graph")
    except WorkbenchError:  # a probe, or nothing: others say which
        return None
    if not (path / GRAPH_FILE).is_file():
        return None
    graph = ConceptGraph.load(path)
    return RowSource(graph) if graph.meta.representation else None


def steer_row(args: argparse.Namespace, source: RowSource, levers: list[Lever]) -> int:
    """Decode a row with and without the levers, and print or keep what comes out."""
    from steering.rows import compare_row

    flags = [*(name for name in picture_flags_given(args) if name != "out"), *_of_text(args)]
    if flags:
        named = ", ".join(f"--{flag}" for flag in flags)
        raise WorkbenchError(
            "wrong-flag", f"{named} cannot be used here", "a row of a world has none of it", "Leave it out."
        )
    if len(args.seed) > 1:
        raise WorkbenchError("many-seeds", "One row is decoded at a time", "several seeds were given", "Give one.")
    found = compare_row(
        source.graph.meta.representation, levers, args.row or 0, seed=args.seed[0], controls=args.controls
    ).model_copy(update={"command": typed(args)})
    kept = "" if args.out is None else _keep(found, args.out)
    print(found.model_dump_json() if args.json else "\n".join(filter(None, [row_said(found), kept])))
    return 0


def _of_text(args: argparse.Namespace) -> list[str]:
    return [name for name in ("prompt", "tokens", "temperature") if getattr(args, name) is not None]


def _keep(found: RowComparison, folder: Path) -> str:
    """Pictures as files of a folder. Raises `WorkbenchError` where rows are no pictures."""
    if not found.picture:
        raise WorkbenchError(
            "no-pictures", "Nothing can be kept as pictures", "rows of this world are numbers", "Use --json."
        )
    import torch

    from steering.picture_files import png_bytes

    ways = {"seen": found.seen, "unsteered": found.unsteered, "steered": found.steered, "control": found.control}
    folder.mkdir(parents=True, exist_ok=True)
    for name, way in ways.items():
        if way is not None:
            atomic_write(folder / f"{name}.png", png_bytes(torch.tensor(way.x).reshape(found.shape)))
    return f"Pictures are in {folder}: steered.png and others."
