"""Steered and unsteered pictures from the same seeds, with what each lever did, what it damaged, and controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from probes.errors import WorkbenchError
from probes.hierarchy.probe import Probe
from probes.hooks import Edit, HookPoint, Reader, Where
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs
from steering.comparison import LeverReport, PictureComparison, Preview, Shots
from steering.controls import Means, norm_of, random_lever
from steering.edits import compile_levers, direction_edit, lever_report, selector_of
from steering.levers import Lever
from steering.picture_files import as_address
from steering.picture_measures import Keep, brightened, colours_of, distance, pixel_weights
from steering.picture_runs import Made, Progress, Studio, never, quiet

PREVIEWS = 6
OFTEN = 0.05
# Half a step of eight bits: below it a screen shows the same.
VISIBLE = 0.5 / 255


def compare_pictures(
    subject: ImageDiffusion,
    probe: Probe,
    levers: Sequence[Lever],
    inputs: ImageInputs,
    *,
    controls: bool = True,
    asking: str = "",
    previews: bool = False,
    keep: Keep = as_address,
    progress: Progress = quiet,
    stop: Callable[[], bool] = never,
) -> PictureComparison:
    """Make the pictures of one prompt, one per seed of the inputs, with and without levers.

    With `controls` also: random latents of equal norm and, where `asking` is a prompt that asks for what the
    lever should bring, that prompt alone and the difference of means between both prompts, at equal norm.
    `keep` takes a picture's name and values and says how to refer to it. Raises `WorkbenchError` for no
    lever, several prompts, levers the probe does not carry and masks that do not fit, `Stopped` when asked to.
    """
    if not levers:
        raise WorkbenchError("no-lever", "There is no lever", "nothing would be changed", "Add a lever first.")
    if len(inputs.prompts) > 1:
        raise WorkbenchError("many-prompts", "Steer one prompt at a time", "several were given", "Give one.")
    with subject.lock:
        run = _Run(subject, probe, levers, inputs, asking if controls else "", controls, progress, stop)
        return run.compared(keep, previews)


class _Run:
    def __init__(
        self,
        subject: ImageDiffusion,
        probe: Probe,
        levers: Sequence[Lever],
        inputs: ImageInputs,
        asking: str,
        controls: bool,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> None:
        self.subject, self.probe, self.levers, self.inputs = subject, probe, list(levers), inputs
        self.asking, self.controls = asking.strip(), controls
        self.level = probe.level(self.levers[0].level)
        self.means = self.asking and self.level.record.writes is None
        runs = 2 + int(controls) + (1 + int(bool(self.means)) if self.asking else 0)
        self.studio = Studio(subject, inputs, runs=runs, progress=progress, stop=stop)

    def compared(self, keep: Keep, previews: bool) -> PictureComparison:
        edits, effects = compile_levers(self.levers, self.probe, self.subject, inputs=self.inputs)
        sums = Means(self.level.space.w_dec.shape[1])
        kept = _spread(self.inputs.steps, PREVIEWS) if previews else []
        plain = self.studio.make("unsteered", read=self._reading(sums, on=False), keep=kept)
        weights = pixel_weights(self.levers, (plain.images.shape[2], plain.images.shape[3]))
        steered = self.studio.make("steered", edits)
        guidance = self.studio.guidance(plain)
        reports = [
            lever_report(lever, effect, self._placed(lever).effective(guidance))
            for lever, effect in zip(self.levers, effects, strict=True)
        ]

        def shots(name: str, made: Made, prompt: str = "") -> Shots:
            return _shots(name, made, plain, weights, prompt or self._prompt, self.inputs.seeds, keep)

        arms = [shots(*arm) for arm in (self._controls(sums) if self.controls else [])]
        found = shots("steered", steered)
        shown, gain = brightened(steered.images, plain.images)
        seeds = self.inputs.seeds
        return PictureComparison(
            subject=self.subject.name,
            probe=self.probe.ref,
            prompt=self._prompt,
            negative=self.inputs.negative,
            seeds=list(seeds),
            steps=self.inputs.steps,
            guidance=guidance,
            noise=[round(plain.noise[step], 4) for step in sorted(plain.noise)],
            unsteered=shots("unsteered", plain).model_copy(update={"rmse": [], "rmse_inside": [], "rmse_outside": []}),
            steered=found,
            difference=[keep(f"difference-{seed}", one) for seed, one in zip(seeds, shown, strict=True)],
            gain=round(gain, 3),
            controls=arms,
            levers=reports,
            previews=_previews(plain, keep) if previews else [],
            notices=[*self._outside_levels(plain), *_notices(reports, found, arms, plain)],
        )

    def _placed(self, lever: Lever) -> Lever:
        """The lever with the place it acts at spelled out."""
        return lever.model_copy(update={"where": str(selector_of(lever, self.probe.level(lever.level)))})

    @property
    def _prompt(self) -> str:
        return self.inputs.prompts[0] if self.inputs.prompts else ""

    def _reading(self, sums: Means, *, on: bool) -> dict[HookPoint, Reader]:
        """Sums what the level's point gives where the first lever acts, for the difference of means."""
        if not self.means:
            return {}
        selector = selector_of(self.levers[0], self.level).model_copy(update={"branch": "cond"})

        def read(x: Tensor, where: Where) -> None:
            sums.add(on, x[where.selected(selector, x.shape, x.device)].float())

        return {self.level.point: read}

    def _controls(self, sums: Means) -> list[tuple[str, Made] | tuple[str, Made, str]]:
        lever, level = self.levers[0], self.level
        other = random_lever(lever, level, self.inputs.seeds[0])
        arms: list[tuple[str, Made] | tuple[str, Made, str]] = []
        edits = compile_levers([other], self.probe, self.subject, inputs=self.inputs)[0]
        arms.append(("random latents of equal norm", self.studio.make("random latents", edits)))
        if self.asking:
            asked = self.studio.make("asking", prompt=self.asking, read=self._reading(sums, on=True))
            if self.means:
                edit: Edit = direction_edit(level, sums.difference(), norm_of(lever, level), lever)
                made = self.studio.make("difference of means", [edit])
                arms.append(("difference of means, equal norm", made))
            arms.append(("a prompt that asks for it", asked, self.asking))
        return arms

    def _outside_levels(self, plain: Made) -> list[str]:
        """Levers that act where their level's dictionary was not trained, or nowhere at all."""
        notices = []
        for at, lever in enumerate(self.levers, start=1):
            level = self.probe.level(lever.level)
            low, high = selector_of(lever, level).noise
            own = level.where.noise
            steps = [noise for noise in plain.noise.values() if low <= noise <= high]
            if plain.noise and not steps:
                near = ", ".join(f"{noise:.2f}" for noise in plain.noise.values())
                notices.append(
                    f"Lever {at} acts at no step: none lies at noise {low:g} to {high:g}; steps are at {near}."
                )
            elif any(not own[0] <= noise <= own[1] for noise in steps):
                notices.append(
                    f"Lever {at} also acts at noise where its level was not trained ({own[0]:g} to {own[1]:g})."
                )
        return notices


def _shots(
    name: str, made: Made, plain: Made, weights: Tensor | None, prompt: str, seeds: Sequence[int], keep: Keep
) -> Shots:
    found = distance(made.images, plain.images, weights)
    return Shots(
        name=name,
        prompt=prompt,
        pictures=[keep(f"{name}-{seed}", one) for seed, one in zip(seeds, made.images, strict=True)],
        rmse=_rounded(found.whole),
        rmse_inside=_rounded(found.inside),
        rmse_outside=_rounded(found.outside),
        drift=_rounded(made.drift(plain)),
    )


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 6) for value in values]


def _spread(count: int, most: int) -> list[int]:
    """At most so many whole numbers below `count`, evenly spread, the first of them 0."""
    return sorted({round(at * (count - 1) / max(1, most - 1)) for at in range(most)})


def _previews(plain: Made, keep: Keep) -> list[Preview]:
    """The first picture on its way; none where the latents are no picture of cells."""
    noises = sorted(plain.on_the_way, reverse=True)
    stack = [_celled(plain.on_the_way[noise][0], plain.images) for noise in noises]
    last = _celled(plain.latents[0], plain.images) if len(plain.latents) else None
    if last is None or any(one is None for one in stack):
        return []
    made = colours_of(torch.stack([one.float().cpu() for one in stack if one is not None]), last.cpu(), plain.images[0])
    shown = [Preview(noise=round(n, 4), picture=keep(f"preview-{n:.2f}", p)) for n, p in zip(noises, made, strict=True)]
    return [*shown, Preview(noise=0.0, picture=keep("preview-0", plain.images[0]))]


def _celled(latents: Tensor, images: Tensor) -> Tensor | None:
    """Latents as `channel h w`; packed tokens `pos channel` are laid out in the picture's proportions."""
    if latents.ndim == 3:
        return latents
    if latents.ndim != 2:
        return None
    rows = round((len(latents) * images.shape[2] / images.shape[3]) ** 0.5)
    return latents.T.reshape(latents.shape[1], rows, -1) if rows and len(latents) % rows == 0 else None


def _notices(reports: Sequence[LeverReport], steered: Shots, arms: Sequence[Shots], plain: Made) -> list[str]:
    notices = []
    for at, found in enumerate(reports, start=1):
        if found.moved == 0:
            notices.append(f"Lever {at} moved nothing: it changed no activation at any of {found.places} places.")
            continue
        if found.clipped:
            notices.append(
                f"Lever {at} was held to its limit at {found.clipped / found.places:.0%} of its places: "
                "a larger change leaves what the subject knows."
            )
        if found.beyond / found.moved > OFTEN:
            notices.append(
                f"Lever {at} drives its latents beyond anything seen in training at {found.beyond / found.moved:.0%} "
                "of the places it moves: the picture may break instead of changing."
            )
    size = _mean(steered.rmse_inside)
    if size == 0:
        notices.append("The pictures did not change: they are the same, bit for bit.")
    by_chance = max((_mean(arm.rmse_inside) for arm in arms if arm.name.startswith("random")), default=0.0)
    if 0 < size < VISIBLE:
        notices.append(f"The pictures hardly changed: by {size:.5f}, less than a screen shows.")
    elif 0 < size <= by_chance:
        notices.append(
            f"Random latents of equal norm change the pictures as much ({by_chance:.3f} against {size:.3f}): "
            "the size of the change says nothing about the concept."
        )
    if any(float(one.max()) == 0 for one in plain.images):
        notices.append("An unsteered picture is black all over: a safety checker may have blocked it.")
    return notices


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
