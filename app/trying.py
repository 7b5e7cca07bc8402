"""`steer`: levers, or a file of them, on one prompt; steered and unsteered output with its controls."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from app.settings import Settings
from app.trying_pictures import add_picture_flags, picture_flags_given, selector_flags, steer_pictures, typed
from app.trying_rows import RowSource, add_row_flags, row_source, steer_row
from probes.configs import validated
from probes.errors import WorkbenchError
from steering.levers import Lever, LeverSet, OperationParams, lever_of

if TYPE_CHECKING:
    from steering.comparison import Comparison
    from steering.sources import Source

TOKENS = 40


def add_steer_flags(parser: argparse.ArgumentParser) -> None:
    """`steer <graph or probe> --concept ID --strength S --prompt P --seed 0 [--json]`, or `--levers FILE`."""
    add = parser.add_argument
    add("source", help="Name of the graph, such as bundled/text, or of a probe.")
    add("--concept", action="append", default=[], help="Concept id, such as middle/12; may be given several times.")
    add("--levers", type=Path, help="A lever set saved on the Steer page, instead of --concept.")
    add(
        "--strength",
        type=float,
        default=1.0,
        help="In typical activations, or standard deviations of a latent. Default: 1.",
    )
    add("--operation", default="add", help="What is done to the concept. Default: add.")
    add("--to-level", type=float, default=1.0, help="What set and cap aim at, in typical activations. Default: 1.")
    add("--target", help="Concept that a swap moves the activation to, of the same level.")
    add("--donor", default="", help="Text, or prompt of pictures, whose activations a patch copies.")
    add("--parts", type=int, default=0, help="Also move so many of its confirmed parts, the strongest first.")
    add("--where", default="", help="Selector, such as positions=generated. Default: everywhere.")
    add("--prompt", help="Text the subject continues, or what a picture shows; a representation takes none.")
    add("--seed", type=int, nargs="+", default=[0], help="Seed of sampling; several make several pictures. Default: 0.")
    add("--tokens", type=int, help=f"Text: how many tokens to generate. Default: {TOKENS}.")
    add("--temperature", type=float, help="Text: 0 takes the likeliest token. Default: 0.")
    add_picture_flags(parser)
    add_row_flags(parser)
    add("--controls", action=argparse.BooleanOptionalAction, default=True, help="Also run the controls. Default: yes.")
    add("--json", action="store_true", help="Print one JSON object.")
    parser.set_defaults(run_command=steer)


def steer(args: argparse.Namespace) -> int:
    """Generate with and without the levers, and print both with their controls."""
    from steering.sources import open_source

    if (rows := row_source(args.source)) is not None:
        return steer_row(args, rows, levers_asked(args, rows))
    source = open_source(args.source)
    levers = levers_asked(args, source)
    _refuse(["row"] if args.row is not None else [], "representations")
    if args.prompt is None:
        raise WorkbenchError(
            "no-prompt", "Nothing can be steered", "there is no prompt", "Say with --prompt what is to be continued."
        )
    from probes.subjects.image_diffusion import ImageDiffusion
    from probes.subjects.loading import load_subject
    from probes.subjects.text_autoregressive import TextAutoregressive

    settings = Settings.load()
    subject = load_subject(source.subject, dtype=settings.dtype, device=settings.device, offline=settings.offline)
    if isinstance(subject, ImageDiffusion):
        _refuse([name for name in ("tokens", "temperature") if getattr(args, name) is not None], "text")
        return steer_pictures(args, subject, source, levers)
    if not isinstance(subject, TextAutoregressive):
        raise WorkbenchError(
            "wrong-kind-of-subject", f"{source.subject} cannot be steered here", "it makes no text and no pictures",
            "Choose another probe.",
        )  # fmt: skip
    _refuse(picture_flags_given(args), "pictures")
    found = _compared(args, subject, source, levers).model_copy(update={"command": typed(args)})
    print(found.model_dump_json() if args.json else _text(found))
    return 0


def _refuse(flags: list[str], what: str) -> None:
    if flags:
        named = ", ".join(f"--{flag.replace('_', '-')}" for flag in flags)
        raise WorkbenchError(
            "wrong-flag", f"{named} cannot be used here", f"only {what} can be steered by it", "Leave it out."
        )


def _compared(args: argparse.Namespace, subject: object, source: Source, levers: list[Lever]) -> Comparison:
    from probes.subjects.text_autoregressive import TextAutoregressive
    from steering.generate import compare
    from steering.on_graph import compare_on_graph

    assert isinstance(subject, TextAutoregressive)
    if len(args.seed) > 1:
        raise WorkbenchError("many-seeds", "One text is written at a time", "several seeds were given", "Give one.")
    seed, tokens, temperature = args.seed[0], TOKENS if args.tokens is None else args.tokens, args.temperature or 0.0
    if source.graph is None:
        return compare(
            subject, source.probe, levers, args.prompt, seed=seed, max_new_tokens=tokens, temperature=temperature,
            controls=args.controls,
        )  # fmt: skip
    return compare_on_graph(
        subject,
        source.graph,
        levers,
        args.prompt,
        seed=seed,
        max_new_tokens=tokens,
        temperature=temperature,
        controls=args.controls,
        concept=main_concept(levers[0]),
    )


def levers_asked(args: argparse.Namespace, source: Source | RowSource) -> list[Lever]:
    """The levers of the flags. Raises `WorkbenchError` for none, or a concept the graph or probe does not have."""
    if (args.levers is None) == (not args.concept):
        raise WorkbenchError(
            "bad-lever", "Nothing can be steered", "give either --concept or --levers", "Name one of them."
        )
    if args.levers is not None:
        levers = list(LeverSet.load(args.levers).levers)
        if not levers:
            raise WorkbenchError("no-lever", "There is no lever", f"{args.levers} is empty", "Save levers first.")
        return levers
    params = {"level": args.to_level, "target": _target(args, source), "donor": args.donor}
    extra = {"params": validated(OperationParams, params, what="The lever")}
    where = selector_flags(args)
    levers = []
    for concept in map(source.concept, args.concept):
        moved = {concept: 1.0} | source.parts(concept, args.parts)
        levers += [lever_of(key, args.strength * share, args.operation, where) for key, share in moved.items()]
    given = {**extra, "limit": args.limit}
    return [validated(Lever, {**lever.model_dump(), **given}, what="The lever") for lever in levers]


def _target(args: argparse.Namespace, source: Source | RowSource) -> int | None:
    if args.target is None:
        return None
    level, _, latent = source.concept(args.target).partition("/")
    if any(concept.partition("/")[0] != level for concept in args.concept):
        raise WorkbenchError(
            "bad-lever", "A swap stays on one level", f"{args.target} is on another", "Choose a target beside it."
        )
    return int(latent)


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
