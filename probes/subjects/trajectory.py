"""One run of a pipeline, watched from outside: the pipeline's own denoising loop is never copied.

What happens between the steps is reached through two doors every pipeline goes through: its denoiser (a
hook on the root module) and a copy of its scheduler (whose `set_timesteps` and `step` are wrapped).
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from probes.errors import Stopped, WorkbenchError
from probes.subjects.denoiser import arguments_of, canvas_of, denoisers_of, sample_name, timestep_in
from probes.subjects.guidance import branches_of
from probes.subjects.noise_clock import Clock, Moment, whole_steps

_WRAPPED = ("set_timesteps", "step")


class Finished(BaseException):
    """Raised inside a pipeline when the last step that was asked for is done."""


@dataclass(frozen=True)
class Checkpoint:
    """A run as it stands before one step: `latents` (`picture ...`), and all that the scheduler and the
    generators of later noise remember."""

    moment: Moment
    latents: Tensor
    scheduler: dict[str, Any]
    generators: tuple[Tensor, ...]

    def rows(self, chosen: Sequence[int]) -> Checkpoint:
        """The same moment with these pictures, each as often as it is named."""
        index = torch.tensor(list(chosen), device=self.latents.device)
        count = self.latents.shape[0]
        state = {name: _of_rows(value, index, count) for name, value in self.scheduler.items()}
        kept = tuple(self.generators[row] for row in chosen)
        return Checkpoint(self.moment, self.latents[index], state, kept)


class Trajectory:
    """What a run in progress knows: where it is, whose rows are whose, and when to end."""

    def __init__(
        self,
        pipeline: Any,
        seeds: Sequence[int],
        *,
        start: Checkpoint | None = None,
        keep: Collection[int] = (),
        until: int | None = None,
        decode: bool = True,
        stop: Callable[[], bool] | None = None,
        progress: Callable[[int, int], None] | None = None,
        record: Collection[int] = (),
        outputs: Mapping[int, Tensor] | None = None,
    ) -> None:
        self.outputs: dict[int, Tensor] = {}
        self._record, self._instead = frozenset(record), outputs or {}
        self.pipeline, self.denoisers, self.pictures = pipeline, denoisers_of(pipeline), len(seeds)
        self.generators = [torch.Generator().manual_seed(seed % 2**63) for seed in seeds]
        self.checkpoints: dict[int, Checkpoint] = {}
        self.latents: Tensor | None = None
        self.moment: Moment | None = None
        self.branches: tuple[str, ...] = ()
        self.canvas: tuple[int, int, int] | None = None
        self._start, self._keep, self._until, self._decode = start, frozenset(keep), until, decode
        self._stop, self._progress = stop, progress
        self._clock = Clock()
        self._context: str | None = None

    @property
    def items(self) -> tuple[int, ...]:
        """Which picture each row of the call at hand belongs to."""
        return tuple(row % self.pictures for row in range(len(self.branches)))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The pipeline with a scheduler of its own and watched; afterwards as it was."""
        before = self.pipeline.scheduler
        self.scheduler = copy.deepcopy(before)
        for name in _WRAPPED:
            original = getattr(self.scheduler, name)
            setattr(self.scheduler, name, functools.wraps(original)(functools.partial(getattr(self, name), original)))
        handles = []
        try:
            for module in self.denoisers:
                handles.append(module.register_forward_pre_hook(self._before_call, with_kwargs=True, prepend=True))
                handles.append(module.register_forward_hook(self._after_call, with_kwargs=True))
                named: Any = getattr(module, "cache_context", None)
                if named is not None:
                    vars(module)["cache_context"] = functools.partial(self._named, named)
            self.pipeline.scheduler = self.scheduler
            yield
        finally:
            self.pipeline.scheduler = before
            for module in self.denoisers:
                vars(module).pop("cache_context", None)
            for handle in handles:
                handle.remove()

    # -- the denoiser --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _named(self, original: Callable[..., Any], name: str, **more: Any) -> Iterator[None]:
        """The pipeline says which branch the next call is."""
        self._context = name
        try:
            with original(name, **more):
                yield
        finally:
            self._context = None

    def _before_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._stop is not None and self._stop():
            raise Stopped
        given = arguments_of(module, args, kwargs)
        if self._start is not None:
            self._restore(self._start)
        self.moment = self._clock.read(self.scheduler, timestep_in(given))
        name = sample_name(module)
        sample = given[name]
        self.branches = branches_of(self.pipeline, len(sample), self.pictures, self._context)
        self.canvas = canvas_of(module, given)
        if self._start is None:
            return None
        scaled = self._start.latents
        if hasattr(self.scheduler, "scale_model_input"):
            scaled = self.scheduler.scale_model_input(scaled, self.scheduler.timesteps[self.moment.position])
        given_again = _first_channels(sample, _tiled(scaled, len(sample)))
        return (args, {**kwargs, name: given_again}) if name in kwargs else ((given_again, *args[1:]), kwargs)

    def _after_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        made = output if isinstance(output, Tensor) else output[0]
        if isinstance(made, Tensor) and not bool(torch.isfinite(made).all()):
            assert self.moment is not None
            site = _first_broken(module, args, kwargs)
            raise WorkbenchError(
                "not-finite",
                "The denoiser gave numbers that are not finite",
                f"first at {site}, step {self.moment.step} (noise {self.moment.noise:.2f})",
                "Load the pipeline in float32 or bfloat16, or turn the levers down.",
            )

    # -- the scheduler -------------------------------------------------------------------------------

    def set_timesteps(self, original: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """The pipeline sets its schedule; a run that starts later is given the rest of it."""
        original(*args, **kwargs)
        if self._start is not None:
            full = self._start.scheduler["timesteps"]
            self.scheduler.timesteps = full[self._start.moment.position :].to(self.scheduler.timesteps)

    def step(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """One step of the scheduler, with one generator per picture, remembered where that was asked for."""
        given = inspect.signature(original).bind(*args, **kwargs)
        sample: Tensor = given.arguments["sample"]
        if self._start is not None:
            sample = _tiled(self._start.latents, len(sample))
            given.arguments["sample"], self._start = sample, None
        if "generator" in inspect.signature(original).parameters and given.arguments.get("generator") is None:
            given.arguments["generator"] = self.generators * (len(sample) // self.pictures)
        moment = self._clock.read(self.scheduler, timestep_in(given.arguments))
        if moment.step in self._keep and moment.step not in self.checkpoints:
            self.checkpoints[moment.step] = self._checkpoint(moment, sample)
        if moment.step in self._record:
            self.outputs[moment.position] = given.arguments["model_output"][: self.pictures].detach().clone()
        if moment.position in self._instead:
            own = given.arguments["model_output"]
            given.arguments["model_output"] = _tiled(self._instead[moment.position], len(own)).to(own)
        stepped = original(*given.args, **given.kwargs)
        made = stepped[0] if isinstance(stepped, tuple) else stepped.prev_sample
        self.latents = made[: self.pictures]
        self._report(moment)
        return stepped

    def _report(self, moment: Moment) -> None:
        """Says that a whole step is done, where it is, and ends the run after the last one asked for."""
        last = moment.position + 1 == len(self.scheduler.timesteps)
        if not last and (moment.position + 1) % int(getattr(self.scheduler, "order", 1)):
            return
        if self._progress is not None:
            self._progress(moment.step + 1, whole_steps(self.scheduler))
        if (last and not self._decode) or (self._until is not None and moment.step + 1 >= self._until):
            raise Finished

    def _checkpoint(self, moment: Moment, sample: Tensor) -> Checkpoint:
        own = {name: value for name, value in vars(self.scheduler).items() if name not in _WRAPPED}
        states = tuple(generator.get_state() for generator in self.generators)
        return Checkpoint(moment, sample[: self.pictures].detach().clone(), _detached(own), states)

    def _restore(self, start: Checkpoint) -> None:
        """Scheduler and generators as they were, once the pipeline has set up (and drawn) everything else."""
        vars(self.scheduler).update(copy.deepcopy(start.scheduler))
        for generator, state in zip(self.generators, start.generators, strict=True):
            generator.set_state(state)


def _tiled(latents: Tensor, rows: int) -> Tensor:
    return latents.repeat(rows // len(latents), *[1] * (latents.ndim - 1))


def _first_channels(sample: Tensor, latents: Tensor) -> Tensor:
    """`latents` in the place of the noisy part of a denoiser's input; what is appended to it stays."""
    latents = latents.to(sample)
    if sample.ndim < 4 or sample.shape[1] == latents.shape[1]:
        return latents
    return torch.cat([latents, sample[:, latents.shape[1] :]], dim=1)


def _of_rows(value: Any, index: Tensor, count: int) -> Any:
    """Latents that a scheduler remembers, for some of the pictures; everything else as it is."""
    if isinstance(value, Tensor) and value.ndim >= 3 and value.shape[0] % count == 0:
        chunks = value.reshape(-1, count, *value.shape[1:])
        return chunks[:, index].flatten(0, 1)
    if isinstance(value, (list, tuple)):
        return type(value)(_of_rows(part, index, count) for part in value)
    return value


def _detached(value: Any) -> Any:
    """A copy that shares no memory and no graph with what the run goes on to use."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if type(value) in (list, tuple):
        return type(value)(map(_detached, value))
    if type(value) is dict:
        return {name: _detached(part) for name, part in value.items()}
    return copy.deepcopy(value)


def _first_broken(root: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The path of the first module that gives a number that is not finite, found by computing again."""
    found: list[str] = []

    def note(path: str) -> Callable[..., None]:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            parts = output if isinstance(output, (tuple, list)) else [output]
            if any(isinstance(part, Tensor) and not bool(torch.isfinite(part).all()) for part in parts):
                found.append(path)

        return look

    handles = [module.register_forward_hook(note(path)) for path, module in root.named_modules() if path]
    try:
        root.forward(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "its own output"
