"""Capture from an image subject: prompts in, the activations of whole trajectories out, in the same store.

A frame is one step of one image at every hook point. Vectors are kept, not codes: there is no dictionary to
code them with before one is trained on them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from probes.activations.frames import sampled_cells
from probes.activations.prompts import Prompt, read_prompts
from probes.activations.registry import Capture
from probes.activations.shards import Planned, finish_store, stored, write_shards
from probes.activations.store import DocumentInfo, Split, StoreIndex
from probes.activations.trajectories import Image, ImageCaptureConfig, Setting, first_look, inputs_of, of_branch
from probes.artefacts import artefact_path
from probes.errors import WorkbenchError
from probes.files import ensure_space
from probes.hooks import Reader, Where, hooked
from probes.runs import Run
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.loading import load_subject

SHARD_FRAMES = 256


class Plan(NamedTuple):
    """What a capture will do, known before it starts."""

    prompts: list[Prompt]
    images: dict[Split, list[Image]]  # in a random order, so that any run of shards is a fair sample
    setting: Setting
    bytes: int

    @property
    def frames(self) -> int:
        return sum(map(len, self.images.values())) * len(self.setting.steps)


def plan_capture(config: ImageCaptureConfig, subject: ImageDiffusion) -> Plan:
    """Read the prompts, run a few images once, and estimate the store's bytes.

    Raises `WorkbenchError` for prompts or hook points that cannot be used, for bands that hold no step, and for
    a store over `max_gib`.
    """
    prompts = read_prompts(config.prompts, config.template, config.held_out)
    images: dict[Split, list[Image]] = {"train": [], "held_out": []}
    for number in range(len(prompts) * config.images):
        prompt = number // config.images
        images[prompts[prompt].split].append(Image(number, prompt, config.seed + number))
    # Corpora are sorted; what is read of a store is often its first rows, and thresholds come from its last.
    for split, some in images.items():
        random.Random(f"{config.seed} {split}").shuffle(some)
    setting = first_look(config, subject, prompts, images["train"][: config.batch])
    cells = [min(config.cells, info.grid[0] * info.grid[1]) for info in setting.points if info.grid]
    frame = sum(count * (info.d_model * 2 + 8) for count, info in zip(cells, setting.points, strict=True))
    count = sum(map(len, images.values()))
    size = count * (len(setting.steps) * frame + 3 * config.picture**2)
    if size > config.max_gib * 2**30:
        raise WorkbenchError(
            "over-budget",
            "The store would be too large",
            f"{count:,} images x {len(setting.steps)} steps x {sum(cells)} cells need {size / 2**30:,.1f} GiB, "
            f"max_gib is {config.max_gib:g}",
            "Lower cells, band_steps or images, name fewer points, or raise max_gib.",
        )
    return Plan(prompts, images, setting, size)


def work(config: ImageCaptureConfig, run: Run) -> Path | None:
    """Do the whole capture, resuming what an earlier try of the same run finished.

    Returns the store, or None when it was asked to stop.
    """
    target = artefact_path("store", config.name)
    if run.made(target):
        return target
    subject = load_subject(
        config.subject, of=ImageDiffusion, dtype=config.dtype, device=config.device, offline=config.offline
    )
    run.update(message="a first run, to see steps and hook points")
    plan = plan_capture(config, subject)
    folder = run.path / "store"
    folder.mkdir(exist_ok=True)
    ensure_space(folder, plan.bytes)
    run.rewind(None)
    run.begin(steps=plan.frames, message=f"{plan.frames:,} frames, {plan.bytes / 2**20:,.0f} MiB")
    shards = write_shards(_planned(config, subject, plan), folder, run)
    if shards is None:
        return None
    index = StoreIndex(
        subject=config.subject,
        corpus=config.prompts,
        context=max(min(config.cells, info.grid[0] * info.grid[1]) for info in plan.setting.points if info.grid),
        special_ids=(),
        points=plan.setting.points,
        shards=tuple(shards),
        documents=tuple(
            DocumentInfo(id=f"prompt-{n:06d}", split=one.split, labels={**one.labels, "prompt": one.text})
            for n, one in enumerate(plan.prompts)
        ),
        fed_with="images",
        bands=tuple(config.bands),
        made_by=subject.completed(inputs_of(config, (), ())).model_dump(mode="json", exclude={"prompts", "seeds"})
        | {"branch": config.branch, "noise": plan.setting.noise},
    )
    figures = {
        "frames": plan.frames,
        "images": sum(map(len, plan.images.values())),
        "prompts": len(plan.prompts),
        "bytes": plan.bytes,
    }
    return finish_store(folder, target, index, name=config.name, figures=figures, run=run)


def _planned(config: ImageCaptureConfig, subject: ImageDiffusion, plan: Plan) -> Iterator[Planned]:
    kept = len(plan.setting.steps)
    per_shard = max(config.batch, SHARD_FRAMES // kept)
    for split, images in plan.images.items():
        for number, at in enumerate(range(0, len(images), per_shard)):
            part = images[at : at + per_shard]
            frames = len(part) * kept
            yield Planned(split, number, frames, frames, partial(_shard, config, subject, plan, part))


def _shard(
    config: ImageCaptureConfig, subject: ImageDiffusion, plan: Plan, images: Sequence[Image]
) -> dict[str, Tensor]:
    batches = [
        _batch(config, subject, plan, images[at : at + config.batch]) for at in range(0, len(images), config.batch)
    ]
    return {name: torch.cat([batch[name] for batch in batches]).contiguous() for name in batches[0]}


def _batch(
    config: ImageCaptureConfig, subject: ImageDiffusion, plan: Plan, images: Sequence[Image]
) -> dict[str, Tensor]:
    """The frames of some images made together, image by image, each in the order of its steps."""
    steps, infos = plan.setting.steps, plan.setting.points
    coarsest = min((info.grid for info in infos if info.grid), key=lambda grid: grid[0] * grid[1])
    cells = [
        torch.stack([sampled_cells(info.grid, coarsest, config.cells, config.seed, one.number) for one in images])
        for info in infos
        if info.grid
    ]
    wanted = frozenset(steps)
    dtype = torch.bfloat16 if subject.root.dtype == torch.bfloat16 else torch.float16

    def reader(number: int) -> Reader:
        def read(x: Tensor, where: Where) -> tuple[int, Tensor] | None:
            own = of_branch(x, where, config.branch)
            if where.step not in wanted or not len(own):  # no row: a call of the other branch alone
                return None
            chosen = own.gather(1, cells[number].to(own.device)[..., None].expand(-1, -1, own.shape[-1]))
            return where.step, stored(chosen, None, infos[number].point, dtype)

        return read

    readers = {info.point: reader(number) for number, info in enumerate(infos)}
    inputs = inputs_of(config, plan.prompts, images)
    with torch.no_grad(), hooked(subject, readers) as tape:
        made = subject.generate(inputs, seeds=inputs.seeds)
    count, kept = len(images), len(steps)
    tensors: dict[str, Tensor] = {}
    for number, info in enumerate(infos):
        # A scheduler that visits a step twice leaves the first visit.
        by_step = dict(reversed([found for found in tape[info.point] if found is not None]))
        x = torch.stack([by_step[step] for step in steps], dim=1).flatten(0, 1)
        tensors[f"x.{number}"], tensors[f"norm.{number}"] = x, x.float().norm(dim=-1)
        tensors[f"cell.{number}"] = cells[number].repeat_interleave(kept, dim=0).int()
    prompt, seed, image = (
        torch.tensor(column) for column in zip(*((i.prompt, i.seed, i.number) for i in images), strict=True)
    )
    noise = torch.tensor([plan.setting.noise[step] for step in steps])
    return tensors | {
        "document": prompt.repeat_interleave(kept).int(),
        "start": torch.zeros(count * kept, dtype=torch.int32),
        "image": image.repeat_interleave(kept).int(),
        "seed": seed.repeat_interleave(kept),
        "step": torch.tensor(steps, dtype=torch.int32).repeat(count),
        "noise": noise.repeat(count),
        "picture": small_pictures(made.images, config.picture),
    }


def small_pictures(images: Tensor, longest: int) -> Tensor:
    """`image channel height width` in [0, 1] as bytes `image 3 h w`, the longer side at most `longest` pixels."""
    height, width = images.shape[2:]
    scale = min(1.0, longest / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = torch.nn.functional.interpolate(images.float(), size, mode="area") if scale < 1 else images.float()
    return (small.expand(-1, 3, -1, -1).clamp(0, 1) * 255).round().byte().cpu()


CAPTURE = Capture(ImageCaptureConfig, work)
