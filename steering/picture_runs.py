"""Making pictures one run after another: same inputs, other edits or prompts, with progress over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from probes.addresses import HookPoint
from probes.errors import WorkbenchError
from probes.hooks import Edit, Reader, Where, hooked
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs

Progress = Callable[[int, int, str], None]


def quiet(done: int, total: int, what: str) -> None:
    """Nobody is told."""


def never() -> bool:
    """Nobody asks to stop."""
    return False


@dataclass
class Made:
    """One run: `images` `picture channel h w` in [0, 1]; `last` is what the last hook point gave on the cond
    rows at the last step, `picture pos d`; `noise` by step; `on_the_way` the latents kept, by noise."""

    images: Tensor = field(default_factory=lambda: torch.empty(0))
    latents: Tensor = field(default_factory=lambda: torch.empty(0))
    last: Tensor | None = None
    noise: dict[int, float] = field(default_factory=dict)
    branches: set[str] = field(default_factory=set)
    on_the_way: dict[float, Tensor] = field(default_factory=dict)

    def drift(self, plain: Made) -> list[float]:
        """Per picture, |difference| / |activation| at the last hook point; empty where none is known."""
        if self.last is None or plain.last is None:
            return []
        size = plain.last.flatten(1).norm(dim=1).clamp_min(1e-9)
        found: list[float] = ((self.last - plain.last).flatten(1).norm(dim=1) / size).tolist()
        return found


class Studio:
    """Runs of one subject on one set of inputs; `runs` is how many there will be, for the progress.

    `stop` is asked before every call of the denoiser and ends the work by `Stopped`; `progress` is told of
    steps over all runs.
    """

    def __init__(
        self,
        subject: ImageDiffusion,
        inputs: ImageInputs,
        *,
        runs: int,
        progress: Progress = quiet,
        stop: Callable[[], bool] = never,
    ) -> None:
        self.subject, self.inputs, self.runs = subject, inputs, runs
        self._progress, self._stop, self._done = progress, stop, 0
        suggested = subject.points.suggested
        self._last = HookPoint(path=suggested[-1].path, tap="out") if suggested else None

    @torch.no_grad()
    def make(
        self,
        name: str,
        edits: Sequence[Edit] = (),
        *,
        prompt: str | None = None,
        read: Mapping[HookPoint, Reader] | None = None,
        keep: Sequence[int] = (),
    ) -> Made:
        """One run under edits, or of another prompt. Raises `WorkbenchError` for pictures that are no numbers."""
        made = Made()
        inputs = self.inputs if prompt is None else self.inputs.model_copy(update={"prompts": (prompt,)})
        readers: dict[HookPoint, Reader] = dict(read or {})
        if self._last is not None:
            readers[self._last] = _both(_note_last(made), readers.get(self._last))

        def told(done: int, total: int) -> None:
            self._progress(self._done * total + done, self.runs * total, name)

        # The inner session comes later at each module, so that it reads what was edited.
        with hooked(self.subject, write=edits), hooked(self.subject, readers):
            found = self.subject.sampled(inputs, keep=keep, decode=True, progress=told, stop=self._stop)
        self._done += 1
        made.images, made.latents = _as_pictures(found.images, self.subject.name), found.latents.detach().float()
        made.on_the_way = {point.moment.noise: point.latents for point in found.checkpoints.values()}
        return made

    def guidance(self, made: Made) -> float | None:
        """The guidance scale in use; None where one branch runs alone."""
        return self.subject.guidance_of(self.inputs) if "uncond" in made.branches else None


def _note_last(made: Made) -> Reader:
    def read(x: Tensor, where: Where) -> None:
        made.branches.update(where.branches)
        if where.step is not None and where.noise is not None:
            made.noise.setdefault(where.step, where.noise)
        branches = where.branches or ("cond",) * len(x)
        rows = [row for row in range(len(x)) if branches[row * len(branches) // len(x)] == "cond"]
        if rows:
            made.last = x[rows].float()

    return read


def _both(first: Reader, second: Reader | None) -> Reader:
    def read(x: Tensor, where: Where) -> None:
        first(x, where)
        if second is not None:
            second(x, where)

    return read


def _as_pictures(images: object, subject: str) -> Tensor:
    """`picture channel h w` float32 in [0, 1]; of a video the first frame."""
    made = torch.as_tensor(images).float().cpu()
    made = made[:, 0] if made.ndim == 5 else made
    if not bool(torch.isfinite(made).all()):
        raise WorkbenchError(
            "not-finite",
            f"The pictures of {subject} are not finite",
            "its decoder overflows",
            "Load the pipeline in float32 or bfloat16, or turn the levers down.",
        )
    return made.clamp(0, 1)
