"""The command line. Flags come from the configs; every job runs the same function the browser starts.

Exit codes: 0 done, 2 an error a person can mend (one sentence on stderr), 130 and 143 stopped by SIGINT
and SIGTERM after a checkpoint.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from app import composing, exporting, graph_compare, jobs, looking, trying
from app.config_flags import add_flags, as_flag, collect, is_list
from app.job_kinds import JobKind
from app.progress import printed, progress_line, summary
from app.settings import Settings
from app.several import is_first, processes, together
from app.worker import execute, stop_on_signals
from concept_graphs.exchange.registry import format_of
from probes.configs import merged
from probes.errors import WorkbenchError
from probes.files import read_json
from probes.runs import Run

SENTENCES = {
    "serve": "Open the workbench in a browser.",
    "steer": "Apply a concept as a lever to one prompt and show what changes.",
    "export": "Save a level of a probe as another tool's dictionary, or a graph for another tool.",
    "work": "Continue a run that has a folder already, from its last checkpoint.",
} | {name: kind.sentence for name, kind in jobs.JOBS.items()}
GRAPH_ACTIONS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "show": ("Print a graph.", looking.add_show_flags),
    "compose": ("Say which modules of a combination of concepts training showed.", composing.add_compose_flags),
    "compare": (
        "Match two graphs and say which concepts and edges are kept, lost and new.",
        graph_compare.add_compare_flags,
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["import"]:
        given = _of_its_kind(given)
    if given[:1] == ["graph"] and given[1:2] not in ([action] for action in (*GRAPH_ACTIONS, "extract")):
        given.insert(1, "extract")
    try:
        args = build_parser(given[0] if given else None, given).parse_args(given, argparse.Namespace(typed=given))
        return int(args.run_command(args))
    except WorkbenchError as error:
        if is_first():
            print(f"{args_name(given)}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe has gone: nothing is left to say, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _of_its_kind(given: list[str]) -> list[str]:
    """`import` of a graph as the job it is: told from the content of the file, as formats of dictionaries are."""
    for at, word in enumerate(given[1:], start=1):
        if not word.startswith("-") and format_of(Path(word)) is not None:
            before = given[1 : at - 1] if given[at - 1] == "--path" else given[1:at]
            return ["import-graph", *before, "--file", *given[at:]]
    return given


def args_name(given: Sequence[str]) -> str:
    return f"fulcrum {given[0]}" if given else "fulcrum"


def build_parser(chosen: str | None, given: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser. Only the chosen command is given its flags: importing every config would import torch.

    Which flags a job has may depend on what is `given`: a training recipe brings its own.
    """
    parser = argparse.ArgumentParser(prog="fulcrum", description="Concept graphs of generative models.")
    commands = parser.add_subparsers(metavar="command", required=True)
    for name in ("serve", *jobs.JOBS, "export", "steer", "work"):
        sentence = SENTENCES.get(name) or jobs.job(name).sentence
        command = commands.add_parser(name, help=sentence, description=sentence)
        if name == chosen:
            _fill(command, name, given)
    return parser


def _fill(command: argparse.ArgumentParser, name: str, given: Sequence[str]) -> None:
    if name == "serve":
        add_flags(command, Settings)
        command.set_defaults(run_command=_serve)
    elif name == "steer":
        trying.add_steer_flags(command)
    elif name == "export":
        exporting.add_export_flags(command, given)
    elif name == "work":
        command.add_argument("run", help="Name or folder of the run.")
        command.add_argument("--json", action="store_true", help="Print one JSON object.")
        command.add_argument("--background", action="store_true", help="Yield to other work, print no progress.")
        command.set_defaults(run_command=_work)
    elif name == "graph":
        actions = command.add_subparsers(metavar="action", required=True)
        for action, (sentence, add) in GRAPH_ACTIONS.items():
            add(actions.add_parser(action, help=sentence, description=sentence))
        _add_job_flags(
            actions.add_parser("extract", help=SENTENCES["graph"], description=SENTENCES["graph"]), name, given
        )
    else:
        _add_job_flags(command, name, given)


def _add_job_flags(command: argparse.ArgumentParser, kind: str, given: Sequence[str]) -> None:
    row = jobs.job(kind)
    chosen = _add_choice(command, row, given) if row.chosen_by else {}
    config = row.config_class(chosen)
    bare = f"config.json, or the {row.positional}" if row.positional else "config.json"
    several = row.positional is not None and is_list(config.model_fields[row.positional].annotation)
    shape: dict[str, Any] = {"nargs": "*", "default": []} if several else {"nargs": "?"}
    command.add_argument("given", metavar="config", help=f"{bare}; flags are laid over it.", **shape)
    if row.then:
        command.add_argument("then", metavar=row.then, nargs="?", help=config.model_fields[row.then].description)
    command.add_argument("--json", action="store_true", help="Print one JSON object.")
    command.add_argument("--detach", action="store_true", help="Start in a process of its own and return.")
    if "name" not in config.model_fields:
        command.add_argument("--name", default="", help="Title of the run.")
    presets = row.presets(chosen)
    if presets:
        command.add_argument("--preset", choices=presets, help="Start from these values.")
    add_flags(command, config)
    command.set_defaults(run_command=_job, kind=kind)


def _add_choice(command: argparse.ArgumentParser, row: JobKind, given: Sequence[str]) -> dict[str, Any]:
    """The flag that decides the row of the job's registry, and what was given for it, before the rest is read."""
    flag = f"--{row.chosen_by}"
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument(flag, dest="chosen")
    name = first.parse_known_args(list(given))[0].chosen
    if row.choose:  # a flag of the config itself, as is whether a hub may be asked what it means
        return {row.chosen_by: name, "offline": "--no-offline" not in given} if name else {}
    table = row.choices()
    sentences = " ".join(f"{known}: {entry.sentence}" for known, entry in table.items())
    command.add_argument(
        flag,
        choices=list(table),
        default=argparse.SUPPRESS,
        dest=f"config:{row.chosen_by}",
        help=f"{sentences} Default: {table.first}.".replace("%", "%%"),
    )
    return {row.chosen_by: name} if name in table else {}


def _serve(args: argparse.Namespace) -> int:
    settings = Settings.load(collect(args, Settings))
    from app.server import serve

    serve(settings)
    return 0


def config_of(given: Sequence[str]) -> BaseModel:
    """The config that the command line of a job asks for. Raises `WorkbenchError` for one it cannot have."""
    return _asked(build_parser(given[0], given).parse_args(given, argparse.Namespace(typed=given)))


def _asked(args: argparse.Namespace) -> BaseModel:
    row = jobs.job(args.kind)
    given = _given(args, row)
    flagged = {name: vars(args)[f"config:{name}"] for name in (row.chosen_by, "offline") if f"config:{name}" in args}
    config_class = row.config_class(given | flagged)
    in_file = given.pop("preset", None) if "preset" not in config_class.model_fields else None
    named = {row.then: args.then} if row.then and args.then else {}
    values = merged(given | named, collect(args, config_class))
    return jobs.config_for(args.kind, values, getattr(args, "preset", None) or in_file, called=as_flag)


def _job(args: argparse.Namespace) -> int:
    config = _asked(args)
    if args.detach:
        run = jobs.new_run(args.kind, config, getattr(args, "name", ""))
        jobs.start(run)
        print(summary(run).model_dump_json() if args.json else f"{args.kind} {run.slug} started in {run.path}")
        return 0
    if processes() > 1:
        jobs.check_several(args.kind, config.model_dump())
    with together(lambda: jobs.new_run(args.kind, config, getattr(args, "name", ""), processes())) as run:
        return _foreground(run, as_json=args.json)


def _given(args: argparse.Namespace, row: JobKind) -> dict[str, Any]:
    """Values of the positional argument: a config file, a run's config.json, or the bare value (or values)."""
    if not args.given:
        return {}
    given = args.given[0] if args.given == args.given[:1] and isinstance(args.given, list) else args.given
    if row.positional and (isinstance(given, list) or not given.endswith(".json")):
        return {row.positional: args.given}
    content = read_json(Path(given), limit=16 * 2**20)
    if isinstance(content, dict) and {"kind", "config", "schema_version"} <= content.keys():
        if content["kind"] != args.kind:
            raise WorkbenchError(
                "wrong-kind",
                f"{given} is not for {args.kind}",
                f"it is for {content['kind']}",
                f"Use: fulcrum {content['kind']} {given}",
            )
        content = content["config"]
    if not isinstance(content, dict):
        raise WorkbenchError("bad-config", f"{given} is no config", "it is not a JSON object", "Correct it.")
    return content


def _work(args: argparse.Namespace) -> int:
    if not args.background:
        with together(lambda: _reopened(args.run)) as run:
            return _foreground(run, as_json=args.json)
    with contextlib.suppress(OSError):
        os.nice(10)
    return _foreground(Run.open(args.run), as_json=args.json, quiet=True)


def _reopened(ref: str) -> Run:
    run = Run.open(ref)
    if processes() > 1:
        jobs.check_several(run.record().kind, run.record().config)
    jobs.prepare(run)
    return run


def _foreground(run: Run, *, as_json: bool, quiet: bool = False) -> int:
    """Work on a run here, with a progress line, and print what it came to."""
    if run.follows:
        with stop_on_signals(run):
            execute(run)
        return 0
    if not quiet:
        print(f"run {run.slug} in {run.path}", file=sys.stderr)
    with stop_on_signals(run) as received:
        try:
            with contextlib.nullcontext() if quiet else progress_line(run):
                artefact = execute(run)
        except KeyboardInterrupt:
            return 128 + (received or [2])[-1]
        except WorkbenchError as error:
            if as_json and error.code != "run-gone":
                print(summary(run).model_dump_json())
            raise
    result = summary(run)
    if as_json and artefact is not None and artefact.suffix == ".json":
        print(json.dumps(read_json(artefact)))
    else:
        print(result.model_dump_json() if as_json else printed(result))
    return 128 + received[0] if received and result.state == "stopped" else 0
