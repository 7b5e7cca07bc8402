"""Subject: any diffusers pipeline. It runs by its own code; nothing of a particular pipeline is repeated here.

What differs between families is small and stands elsewhere: where to hook and what a call is about
(`denoiser.py`), whose rows are whose (`guidance.py`), and where a run is (`noise_clock.py`).
"""

from __future__ import annotations

import contextlib
import inspect
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from probes.addresses import HookPoint
from probes.errors import WorkbenchError
from probes.hooks import Reader, Reads, hooked
from probes.subjects.denoiser import denoisers_of, picture_member, suggested_points
from probes.subjects.image_inputs import ImageInputs
from probes.subjects.pipeline_arguments import arguments_for, refused_inputs, seeds_of
from probes.subjects.pipeline_checks import module_tree, refuse_cached, refuse_exchanged, refuse_fused
from probes.subjects.restarting import RestartsAnywhere
from probes.subjects.subject import Call, EarlyStop, PointTable, Where
from probes.subjects.trajectory import Checkpoint, Finished, Trajectory

Progress = Callable[[int, int], None]

_LOCKS: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()


class Pictures(NamedTuple):
    """`images` are `picture channel height width` (videos `picture frame channel height width`), float32 in
    [0, 1]; `blocked` says which of them the pipeline's safety checker has blacked out."""

    images: Tensor
    blocked: tuple[bool, ...]
    seeds: tuple[int, ...]


class Sampled(NamedTuple):
    """A run of the sampling loop: the latents it ended with (`picture ...`, with their graph where gradients
    are on), the checkpoints that were asked for by step, the pictures where they were, and what the scheduler was
    given at the steps that were to be recorded, by its position (`picture ...`, guidance applied)."""

    latents: Tensor
    checkpoints: dict[int, Checkpoint]
    images: Tensor | None
    outputs: dict[int, Tensor]


class ImageDiffusion(Reads, RestartsAnywhere):
    """A frozen diffusers pipeline: make pictures, read and edit what its denoiser computes, restart it midway."""

    kind = "image_diffusion"

    def __init__(self, pipeline: Any, *, name: str, revision: str = "", guidance: float | None = None) -> None:
        for part in pipeline.components.values():
            if isinstance(part, nn.Module):
                part.eval().requires_grad_(False)
        pipeline.set_progress_bar_config(disable=True)
        self.pipeline: Any = pipeline
        self.name, self.revision, self._guidance = name, revision, guidance
        self.root = denoisers_of(pipeline)[0]
        self.points = PointTable(self.root, suggested_points(self.root), picture_member)
        self.lock = _LOCKS.setdefault(self.root, threading.RLock())
        self._trajectory: Trajectory | None = None

    # -- addresses ---------------------------------------------------------------------------------

    def known_points(self) -> tuple[HookPoint, ...]:
        """The hook points suggested for this family, in the order of the computation. Raises `WorkbenchError`
        with the denoiser's module tree where none is known."""
        if not self.points.suggested:
            raise WorkbenchError(
                "no-known-points",
                f"No hook points are known for {type(self.root).__name__}",
                f"its modules are {module_tree(self.root)}",
                "Name one yourself, such as its blocks with :update.",
            )
        return self.points.suggested

    def fraction_of(self, point: HookPoint) -> float:
        """Where a point lies in the order of the computation, from 0 to 1: that of the known point it is at or
        inside of; 1 for any other."""
        known = [other.path for other in self.points.suggested]
        inside = (at for at, path in enumerate(known) if f"{point.path}.".startswith(f"{path}."))
        return next(((at + 0.5) / len(known) for at in inside), 1.0)

    def preflight(self, points: Sequence[HookPoint]) -> None:
        """Refuses a denoiser that was compiled or exchanged, a block cache, and fused projections."""
        refuse_exchanged(self.pipeline, self.root, denoisers_of(self.pipeline)[0])
        refuse_cached(self.root)
        refuse_fused(self.root, points)

    # -- the adapter: what a call says about its places ----------------------------------------------

    def where(self, call: Call) -> Where:
        """Noise, step, branches, pictures and canvas, from the run in progress."""
        run = self._trajectory
        if run is None or run.moment is None:
            raise WorkbenchError(
                "outside-trajectory",
                "The denoiser was called outside a run of its pipeline",
                "nothing says at which noise it is and whose rows it was given",
                "Use the subject's generate, run or sampled.",
            )
        return Where(
            call=call.index,
            branches=run.branches,
            noise=run.moment.noise,
            step=run.moment.step,
            items=run.items,
            canvas=run.canvas,
        )

    def completed(self, inputs: ImageInputs) -> ImageInputs:
        """The inputs with the guidance that its makers recorded for this pipeline, where none was asked for."""
        if self._guidance is None or inputs.guidance is not None or "guidance_scale" in inputs.extra:
            return inputs
        return ImageInputs(**{**dict(inputs), "guidance": self._guidance})

    def guidance_of(self, inputs: ImageInputs) -> float | None:
        """The guidance scale that these inputs are run with: asked for, recorded, or the pipeline's own."""
        asked = inputs.extra.get("guidance_scale", self.completed(inputs).guidance)
        if asked is None:
            taken = inspect.signature(type(self.pipeline).__call__).parameters
            asked = taken["guidance_scale"].default if "guidance_scale" in taken else None
        return float(asked) if isinstance(asked, (int, float)) else None

    # -- running -------------------------------------------------------------------------------------

    @torch.no_grad()
    def generate(
        self,
        inputs: ImageInputs,
        *,
        seeds: Sequence[int] | None = None,
        progress: Progress | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Pictures:
        """One picture per seed, each a function of its inputs and its seed alone.

        `progress(done, total)` is called after every step; where `stop()` says so the run ends before the next
        call of the denoiser, by `Stopped`. Raises `WorkbenchError` for inputs the pipeline does not take, rows
        whose branch is unknown, and numbers that are not finite.
        """
        chosen = seeds_of(inputs, seeds)
        with self._running(Trajectory(self.pipeline, chosen, stop=stop, progress=progress)) as run:
            made = self.pipeline(
                **arguments_for(self.pipeline, self.completed(inputs), run.generators, name=self.name), output_type="np"
            )
        images = _as_pictures(getattr(made, "images", None), getattr(made, "frames", None))
        if not bool(torch.isfinite(images).all()):
            raise WorkbenchError(
                "not-finite",
                "The decoded pictures are not finite",
                "the last latents are, so it is the decoder that overflows",
                "Load the pipeline in float32 or bfloat16.",
            )
        blocked = getattr(made, "nsfw_content_detected", None) or [False] * len(chosen)
        return Pictures(images, tuple(map(bool, blocked)), chosen)

    def run(self, inputs: ImageInputs, padding: Tensor | None = None, *, gradients: bool = False) -> None:
        """One whole trajectory for what hooks see; nothing is decoded."""
        with torch.set_grad_enabled(gradients):
            self.sampled(inputs)

    def activations(
        self,
        inputs: ImageInputs,
        read: Mapping[HookPoint, Reader],
        padding: Tensor | None = None,
    ) -> dict[HookPoint, Any]:
        """Per point the list of what its reader returned, one value per call of the denoiser."""
        with hooked(self, read) as tape:
            self.run(inputs)
        return {point: tape[point] for point in read}

    def sampled(
        self,
        inputs: ImageInputs,
        *,
        seeds: Sequence[int] | None = None,
        start: Checkpoint | None = None,
        until: int | None = None,
        keep: Collection[int] = (),
        decode: bool = False,
        progress: Progress | None = None,
        stop: Callable[[], bool] | None = None,
        record: Collection[int] = (),
        outputs: Mapping[int, Tensor] | None = None,
    ) -> Sampled:
        """The pipeline's own sampling loop, differentiable where gradients are on.

        `start` is a checkpoint of an earlier run (see `keep`: the steps before which to take one): the run goes
        on from there, bit for bit as the earlier one did, and `until` ends it after so many whole steps. Edits
        for single rows are those of the session around it. With `decode` the pictures come too, `picture
        channel height width`. `record` names steps whose noise predictions are kept as `outputs`; `outputs` of
        another run are what the scheduler is given in place of this run's own, whose hooks fire all the same.
        """
        chosen = seeds_of(inputs, seeds) if start is None else (0,) * len(start.latents)
        run = Trajectory(
            self.pipeline,
            chosen,
            start=start,
            keep=keep,
            until=until,
            decode=decode,
            stop=stop,
            progress=progress,
            record=record,
            outputs=outputs,
        )
        call = getattr(type(self.pipeline).__call__, "__wrapped__", type(self.pipeline).__call__)
        made: Any = None
        with self._running(run), contextlib.suppress(Finished, EarlyStop):
            made = call(
                self.pipeline,
                **arguments_for(self.pipeline, self.completed(inputs), run.generators, name=self.name),
                output_type="pt",
            )
        images = None if made is None else getattr(made, "images", getattr(made, "frames", None))
        return Sampled(torch.empty(0) if run.latents is None else run.latents, run.checkpoints, images, run.outputs)

    @property
    def device(self) -> torch.device:
        return torch.device(self.pipeline.device)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.root.parameters()).dtype

    @contextlib.contextmanager
    def _running(self, run: Trajectory) -> Iterator[Trajectory]:
        """One run at a time, with draws that follow from its seeds where a pipeline draws without being told."""
        with self.lock, torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(run.generators[0].initial_seed())
            before, self._trajectory = self._trajectory, run
            try:
                with run.running():
                    yield run
            except ValueError as error:
                if run.moment is not None:  # from inside a call: not what the pipeline was given
                    raise
                raise refused_inputs(self.name, error) from error
            finally:
                self._trajectory = before


def _as_pictures(images: Any, frames: Any) -> Tensor:
    """`picture channel height width` (or with frames before channels) from the pipeline's channels-last arrays."""
    made = torch.from_numpy(np.asarray(images if images is not None else frames)).float()
    return made.movedim(-1, -3).contiguous()
