"""`steer` on a subject that makes pictures: its own flags, the files it writes, and what it prints."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.addresses import Selector
from probes.configs import validated
from probes.errors import WorkbenchError
from probes.subjects.image_inputs import ImageInputs
from steering.levers import Lever

if TYPE_CHECKING:
    from probes.subjects.image_diffusion import ImageDiffusion
    from steering.comparison import PictureComparison, Shots
    from steering.sources import Source

FOLDER = "steered"
MOST_PICTURES = 16
# Flags of pictures alone: their names, so that text can refuse them.
FLAGS = (
    "noise",
    "mask",
    "branch",
    "limit",
    "negative",
    "asking",
    "steps",
    "guidance",
    "height",
    "width",
    "sweep",
    "out",
)


def add_picture_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that only pictures know."""
    add = parser.add_argument_group("pictures").add_argument
    add("--noise", help="Noise interval the levers act in, such as 0.3-0.8; 1 is pure noise. Default: their level's.")
    add("--mask", type=Path, help="Picture file: white where the levers act. Any size of the same proportions.")
    add("--branch", choices=("cond", "uncond", "both"), help="Guidance branch the levers act on. Default: cond.")
    add("--limit", type=float, help="Largest change of an activation, as a share of it. Default: 0.5.")
    add("--negative", help="What no picture should show.")
    add("--asking", help="A prompt that asks for what the levers bring: two more controls.")
    add("--steps", type=int, help="Steps of the schedule. Default: 20.")
    add("--guidance", type=float, help="Guidance scale. Default: the recorded one, or the pipeline's own.")
    add("--height", type=int, help="Rows of pixels. Default: the pipeline's own.")
    add("--width", type=int, help="Columns of pixels. Default: the pipeline's own.")
    add("--sweep", action="store_true", default=None, help="Find where the first lever works instead: point and noise.")
    add("--out", type=Path, help=f"Folder for the pictures. Default: {FOLDER}, or inside what --json prints.")


def typed(args: argparse.Namespace) -> str:
    """The command line as it was given."""
    return shlex.join(["python", "-m", "app", *args.typed])


def picture_flags_given(args: argparse.Namespace) -> list[str]:
    """The names of those flags that were given."""
    return [name for name in FLAGS if getattr(args, name) is not None]


def selector_flags(args: argparse.Namespace) -> str:
    """The selector of `--where`, `--noise`, `--mask` and `--branch` together.

    Raises `WorkbenchError` for an interval outside 0 to 1, and for a mask that cannot be read.
    """
    given: dict[str, Any] = {}
    if args.noise is not None:
        given["noise"] = interval_of(args.noise)
    if args.branch is not None:
        given["branch"] = args.branch
    if args.mask is not None:
        from steering.picture_files import mask_from_file

        given["cells"] = mask_from_file(args.mask)
    selector = Selector.parse(args.where)
    return str(validated(Selector, {**dict(selector), **given}, what="The selector"))


def interval_of(text: str) -> tuple[float, float]:
    """A noise interval such as `0.3-0.8`, either end first."""
    low, dash, high = text.replace("–", "-").partition("-")
    try:
        ends = sorted((float(low), float(high)))
        if not dash or not 0 <= ends[0] <= ends[1] <= 1:
            raise ValueError
    except ValueError:
        raise WorkbenchError(
            "bad-noise",
            f"{text[:40]!r} is no noise interval",
            "both ends lie between 0 and 1",
            "Write it like 0.3-0.8.",
        ) from None
    return ends[0], ends[1]


def inputs_asked(args: argparse.Namespace) -> ImageInputs:
    """What the pictures are made from."""
    names = ("negative", "steps", "guidance", "height", "width")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if len(args.seed) > MOST_PICTURES:
        raise WorkbenchError(
            "many-seeds", f"{len(args.seed)} pictures are too many", f"at most {MOST_PICTURES} are made at once",
            "Give fewer seeds.",
        )  # fmt: skip
    return validated(ImageInputs, {"prompts": (args.prompt,), "seeds": tuple(args.seed), **given}, what="The pictures")


def steer_pictures(args: argparse.Namespace, subject: ImageDiffusion, source: Source, levers: list[Lever]) -> int:
    """Make the pictures, write them, and print what was found."""
    if args.sweep:
        return _sweep(args, subject, source, levers[0])
    from steering.picture_files import as_address, into_folder
    from steering.pictures import compare_pictures

    inside = args.json and args.out is None
    folder = args.out or Path(FOLDER)
    found = compare_pictures(
        subject,
        source.probe,
        levers,
        inputs_asked(args),
        controls=args.controls,
        asking=args.asking or "",
        previews=True,
        keep=as_address if inside else into_folder(folder),
        progress=_told if sys.stderr.isatty() else _untold,
    ).model_copy(update={"command": typed(args)})
    print(found.model_dump_json() if args.json else _printed(found, folder))
    return 0


def _sweep(args: argparse.Namespace, subject: ImageDiffusion, source: Source, lever: Lever) -> int:
    from steering.picture_sweep import SweepConfig, plan_sweep, sweep_lever

    inputs, asking = inputs_asked(args), args.asking or ""
    cost = plan_sweep(subject, source.probe, lever, inputs, asking, SweepConfig()).cost
    print(f"{cost.runs} runs, {cost.calls:,} calls of the denoiser", file=sys.stderr)
    told = _told if sys.stderr.isatty() else _untold
    found = sweep_lever(subject, source.probe, lever, inputs, asking=asking, progress=told)
    if args.json:
        print(found.model_dump_json())
        return 0
    for row in found.rows:
        noise = f"noise {row.noise[1]:g} to {row.noise[0]:g}"
        print(f"{row.point:<36} {noise:<18} {row.effect:+.4f}  by chance {row.chance:+.4f}  {row.by}")
    print(found.works_at)
    return 0


def _told(done: int, total: int, what: str) -> None:
    print(f"\r{what}: step {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _untold(done: int, total: int, what: str) -> None:
    return None


def _printed(found: PictureComparison, folder: Path) -> str:
    lines = [_row(row) for row in (found.steered, *found.controls)]
    for at, report in enumerate(found.levers, start=1):
        effective = "" if report.effective is None else f", effective strength {report.effective:g}"
        lines.append(
            f"  lever {at}: {report.share:.0%} of the activation (largest {report.largest_share:.0%}){effective}"
        )
    lines += [f"  {notice}" for notice in found.notices]
    return "\n".join([*lines, f"Pictures are in {folder}: {', '.join(found.steered.pictures)} and others."])


def _row(row: Shots) -> str:
    outside = f", outside the mask {_mean(row.rmse_outside):.3f}" if row.rmse_outside else ""
    drift = f", drift {_mean(row.drift):.0%}" if row.drift else ""
    return f"{row.name}: changed by {_mean(row.rmse_inside):.3f}{outside}{drift} (n {len(row.pictures)})"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
