"""What an image capture is asked for, and what a first short run of its subject shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from probes.activations.frames import Grid, kept_steps
from probes.activations.prompts import Prompt
from probes.activations.store import PointInfo
from probes.addresses import HookPoint
from probes.configs import AsText, Frozen
from probes.errors import WorkbenchError
from probes.hooks import Reader, Where, hooked
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs


class ImageCaptureConfig(Frozen):
    """Make images of prompts and keep the subject's activations at chosen hook points and noise bands."""

    name: str = Field(description="Name of the store to make.", min_length=1, max_length=64)
    subject: Annotated[str, AsText(offered="probes.subjects.open_diffusion:shipped")] = Field(
        description="Bundled pipeline, pipeline folder or hub id.", min_length=1
    )
    prompts: Annotated[str, AsText(lines=4)] = Field(
        description="Text file with one prompt per line, a captioned corpus (.jsonl with text and labels), or the "
        "prompts themselves, one per line.",
        min_length=1,
    )
    template: str = Field(
        default="",
        description="Prompt made of each entry of the corpus, such as: a photo of {text}. Empty: the text itself.",
        max_length=500,
    )
    images: int = Field(default=1, description="Images per prompt, each with a seed of its own.", ge=1, le=10_000)
    seed: int = Field(default=0, description="Seed of the first image; the others count up.", ge=0, le=2**31)
    steps: int = Field(default=20, description="Steps of the schedule.", ge=1, le=1000)
    guidance: float | None = Field(
        default=None, description="Guidance scale; none for the recorded or the pipeline's own.", ge=0
    )
    negative: str = Field(default="", description="What no image should show.", max_length=500)
    height: int | None = Field(default=None, description="Rows of pixels; none for the pipeline's own.", ge=1)
    width: int | None = Field(default=None, description="Columns of pixels; none for the pipeline's own.", ge=1)
    extra: dict[str, Any] = Field(
        default_factory=dict, description="More arguments of the pipeline as JSON, such as use_resolution_binning."
    )
    points: tuple[str, ...] = Field(
        default=(),
        description="Hook points, such as up_blocks.1.attentions.1:update; none for the block half-way through.",
    )
    bands: tuple[tuple[float, float], ...] = Field(
        default=((0.0, 0.33), (0.33, 0.67), (0.67, 1.0)),
        description="Noise intervals to read in, the least noise first; 1 is pure noise.",
        min_length=1,
        max_length=16,
    )
    band_steps: int = Field(default=4, description="Most steps kept of each band, spread evenly.", ge=1, le=1000)
    cells: int = Field(default=64, description="Most cells kept of each image and step, drawn at random.", ge=1)
    branch: Literal["cond", "uncond"] = Field(default="cond", description="Guidance branch that is read.")
    held_out: float = Field(default=0.125, description="Share of prompts kept from training.", gt=0, lt=0.9)
    batch: int = Field(default=4, description="Images made at once.", ge=1, le=1024)
    picture: int = Field(default=64, description="Pixels along the longer side of the kept pictures.", ge=8, le=512)
    max_gib: float = Field(default=16, description="Refuse to make a store larger than this.", gt=0)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="The subject's number type."
    )
    device: str = Field(default="cpu", description="Where the subject runs.")
    offline: bool = Field(default=True, description="Never fetch a pipeline from a hub.")


class Image(NamedTuple):
    """One image to make: its number, its prompt's number, and its seed."""

    number: int
    prompt: int
    seed: int


class Setting(NamedTuple):
    """What a first short run of the subject showed: the noise of every step, and each point's place."""

    noise: tuple[float, ...]
    steps: list[int]
    points: tuple[PointInfo, ...]


def inputs_of(config: ImageCaptureConfig, prompts: Sequence[Prompt], images: Sequence[Image]) -> ImageInputs:
    """A batch in the subject's own terms, one prompt and one seed per image."""
    return ImageInputs(
        prompts=tuple(prompts[image.prompt].text for image in images),
        negative=config.negative,
        steps=config.steps,
        guidance=config.guidance,
        height=config.height,
        width=config.width,
        seeds=tuple(image.seed for image in images) or (0,),
        extra=config.extra,
    )


def _points(config: ImageCaptureConfig, subject: ImageDiffusion) -> list[HookPoint]:
    suggested = subject.points.suggested
    points = [HookPoint.parse(text) for text in config.points] or list(suggested[len(suggested) // 2 :][:1])
    if not points:
        raise WorkbenchError(
            "no-points", f"No block of {subject.name} is known", "its denoiser is of a new kind", "Name points."
        )
    if len(set(points)) < len(points):
        raise WorkbenchError("duplicate-level", "A hook point is named twice", "once is enough", "Name it once.")
    return points


def first_look(
    config: ImageCaptureConfig, subject: ImageDiffusion, prompts: Sequence[Prompt], images: Sequence[Image]
) -> Setting:
    """What whole trajectories of the first images show."""
    points = _points(config, subject)
    norms: dict[HookPoint, dict[int, float]] = {point: {} for point in points}
    seen: dict[HookPoint, tuple[int, Grid]] = {}
    noise: dict[int, float] = {}

    def reader(point: HookPoint) -> Reader:
        def read(x: Tensor, where: Where) -> None:
            step, grid = placed(where, point)
            noise[step] = float(where.noise if where.noise is not None else 0.0)
            seen[point] = (x.shape[-1], grid)
            own = of_branch(x, where, config.branch)
            if len(own):
                norms[point].setdefault(step, float(own.float().norm(dim=-1).median()))

        return read

    with torch.no_grad(), hooked(subject, {point: reader(point) for point in points}):
        subject.run(inputs_of(config, prompts, images))
    if not all(norms.values()):
        raise WorkbenchError(
            "no-branch",
            f"The subject has no branch {config.branch}",
            "it runs without guidance here",
            "Read cond, or set a guidance scale above 1.",
        )
    trajectory = tuple(noise[step] for step in sorted(noise))
    steps = kept_steps(trajectory, config.bands, config.band_steps)
    for low, high in config.bands:
        if not any(low <= trajectory[step] <= high for step in steps):
            raise WorkbenchError(
                "empty-band",
                f"No step lies in the band {low:g}-{high:g}",
                f"{config.steps} steps have noise {', '.join(f'{level:.2f}' for level in trajectory)}",
                "Widen the band, or ask for more steps.",
            )
    infos = tuple(
        PointInfo(
            point=point,
            d_model=seen[point][0],
            fraction=(number + 0.5) / len(points),
            median_norm=float(torch.tensor([norms[point][step] for step in steps]).median()),
            masks_outliers=False,
            grid=seen[point][1],
            drift=tuple((trajectory[step], norms[point][step]) for step in steps),
        )
        for number, point in enumerate(points)
    )
    return Setting(trajectory, steps, infos)


def placed(where: Where, point: HookPoint) -> tuple[int, Grid]:
    """Step and grid of an activation. Raises `WorkbenchError` at a point that has no cells."""
    if where.step is None or where.grid is None:
        raise WorkbenchError(
            "no-cells",
            f"{point} has no cells of an image",
            "its places are no grid, or no step of a trajectory passes it",
            "Choose a block of the denoiser.",
        )
    return where.step, where.grid


def of_branch(x: Tensor, where: Where, branch: str) -> Tensor:
    """The rows of a guidance branch, in the order of the images (none, in a call of the other branch); all rows
    of a subject without branches."""
    if not where.branches:
        return x
    return x[[row for row, name in enumerate(where.branches) if name == branch]]
