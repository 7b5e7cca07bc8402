"""`export`: one level of a probe as a dictionary, or a graph, that another tool opens."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from app.config_flags import add_flags, as_flag, collect
from app.exporting_graphs import add_graph_export_flags
from concept_graphs.exchange.registry import GRAPH_FORMATS
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.formats.registry import EXPORTS

if TYPE_CHECKING:
    from probes.formats.export import Change
    from probes.hierarchy.probe import Level, Probe


class ExportConfig(Frozen):
    """Save one level of a probe for another tool."""

    probe: str = Field(description="Probe to take the level from.", min_length=1)
    level: str = Field(description="Level to save.", min_length=1)
    format: Annotated[str, EXPORTS] = Field(default="saelens", description="Tool that will open it.")
    out: str = Field(description="Folder to make.", min_length=1)
    rule: Literal["auto", "topk", "jumprelu"] = Field(
        default="auto", description="Which rule stays where a largest number and a threshold both hold."
    )
    store: str = Field(default="", description="Store to measure what that changes; empty for the probe's own.")


class Exported(Frozen):
    """What an export prints with `--json`."""

    folder: str = Field(description="The folder that was made.")
    format: str = Field(description="Tool that opens it.")
    architecture: str = Field(description="Name of the rule in that tool.")
    approximation: str = Field(description="What was dropped and what that changes; empty when nothing was.")


def add_export_flags(parser: argparse.ArgumentParser, given: Sequence[str] = ()) -> None:
    """`export <probe> --level NAME --format saelens --out FOLDER`, or that of a graph where its format is `given`."""
    asked = _format_of(given)
    if asked in GRAPH_FORMATS:
        add_graph_export_flags(parser)
        return
    if asked and asked not in EXPORTS:
        known = f"{', '.join(GRAPH_FORMATS)} for a graph, {', '.join(EXPORTS)} for a level of a probe"
        raise WorkbenchError("no-format", f"Nothing is saved as {asked[:40]!r}", f"known: {known}", "Use one of these.")
    graphs = " ".join(f"{name}: {entry.sentence}" for name, entry in GRAPH_FORMATS.items())
    parser.epilog = f"A graph is saved with --format {' or '.join(GRAPH_FORMATS)}. {graphs}"
    parser.add_argument("probe_given", nargs="?", metavar="probe", help="Name of the probe.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    add_flags(parser, ExportConfig)
    parser.set_defaults(run_command=_run)


def _format_of(given: Sequence[str]) -> str:
    """The format that was given, before the rest is read: it decides which flags there are."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--format", default="")
    return str(first.parse_known_args(list(given))[0].format)


def _run(args: argparse.Namespace) -> int:
    values = ({"probe": args.probe_given} if args.probe_given else {}) | collect(args, ExportConfig)
    done = export(validated(ExportConfig, values, what="The export", called=as_flag))
    if args.json:
        print(done.model_dump_json())
    else:
        print(f"written to {done.folder} as {done.architecture} of {done.format}")
        if done.approximation:
            print(done.approximation)
    return 0


def export(config: ExportConfig) -> Exported:
    """Save the level. Raises `WorkbenchError` for what the tool cannot represent and for a folder that exists."""
    from probes.formats.export import needs_approximation
    from probes.hierarchy.probe import open_probe

    probe = open_probe(config.probe)
    level = probe.level(config.level)
    if level.rows.span != 1:
        raise _not_exportable(level, f"its rows are means over {level.rows.span} tokens", "token rows")
    if level.record.beside:
        raise _not_exportable(level, f"its rows are of {len(level.places.read)} hook points at once", "one hook point")
    change = _change(probe, level, config) if needs_approximation(level.space) else None
    l0 = level.record.figures.get("l0", level.record.k) if change is None else change.l0[1]
    said = {"model_name": probe.record.subject, "l0": l0}
    target = Path(config.out).expanduser().absolute()
    EXPORTS.load(config.format)(level.space, target, said=said, change=change)
    architecture = json.loads((target / "cfg.json").read_text())["architecture"]
    return Exported(
        folder=str(target),
        format=config.format,
        architecture=architecture,
        approximation="" if change is None else change.sentence(),
    )


def _not_exportable(level: Level, why: str, wanted: str) -> WorkbenchError:
    return WorkbenchError(
        "not-exportable",
        f"Level {level.name} cannot be saved for another tool",
        f"{why}, which other tools do not know",
        f"Choose a level of {wanted}.",
    )


def _change(probe: Probe, level: Level, config: ExportConfig) -> Change:
    """The approximation, chosen on rows kept from training and judged on held-out ones."""
    from probes.activations.rows import calibration_rows, shard_pairs
    from probes.activations.store import ActivationStore
    from probes.artefacts import resolve
    from probes.formats.export import approximated, change_of

    try:
        store = ActivationStore(resolve(config.store or probe.record.store, "store"))
    except WorkbenchError as error:
        raise WorkbenchError(
            "no-store",
            f"Level {level.name} keeps both a largest number of latents and a threshold",
            f"another tool has one of them, and what dropping the other changes cannot be measured ({error.why})",
            "Name a store of the same subject with --store.",
        ) from error
    x, meant, usable = shard_pairs(store, store.shards("held_out")[0], level.places, level.rows)
    judging, target = x[usable].float(), meant[usable].float()
    if config.rule != "auto":
        return change_of(level.space, config.rule, judging, target)
    return approximated(level.space, calibration_rows(store, level.places, level.rows, 8192), judging, target)
