"""Evidence for edges along a trajectory: ablate a latent, with its companions, where it is computed first, and see
what codes do that are computed later in the same image: at less noise, or in a later block of the same steps.

The edit goes to every step of the first level's band, in the branch that was captured, where the latents fire. The
prompt can put back in every step what is taken away; to activate a latent instead is to make the images again without
their prompts, and to give them what it writes where and as strongly as it fires with them. A run restarts from the
latents before the band's first step; one run of a source gives its effect on every target, and several sources share a
batch. Codes are averaged over the cells of an image and the captured steps of the band.

Between two steps everything passes through the sampler state, so there is no path beside the computation to be
held. What is measured instead, of a band that comes later, is what the state alone carries: the changed run goes on
with the noise predictions of the unchanged one, and the later band reads what is left of the change in the latents.
Of a later block of the same steps it is the opposite, what single passes of the denoiser carry: every step starts
from the state of the unchanged run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from concept_graphs.changes import choose_places, other_latents
from concept_graphs.companions import companions_of
from concept_graphs.evidence import EvidenceConfig, SourceEffects, grouped
from concept_graphs.image_codes import images_in, mean_codes
from concept_graphs.latent_sets import Change, LatentSets
from probes.activations.store import ActivationStore, Split
from probes.addresses import HookPoint
from probes.hierarchy.codes import encode_shard, encoded
from probes.hierarchy.probe import Level
from probes.hooks import Edit, Where, hooked
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs
from probes.subjects.trajectory import Checkpoint


class SplitImages:
    """The images of one part of a store, in its order: `prompts` and `seeds` to make each again."""

    def __init__(self, store: ActivationStore, split: Split = "held_out") -> None:
        self.store, self.split = store, split
        self.prompts: list[str] = []
        self.seeds: list[int] = []
        for shard in store.shards(split):
            (seed,), (document, _) = store.read(shard, "seed"), store.documents_of(shard)
            for at in images_in(store, shard)[1]:
                self.prompts.append(str(store.index.documents[int(document[at])].labels["prompt"]))
                self.seeds.append(int(seed[at]))

    def fires(self, level: Level, latents: Sequence[int]) -> Tensor:
        """`image latent` bool: in which images a latent is on in any cell and step of its band."""
        parts = []
        for shard in self.store.shards(self.split):
            own, first = images_in(self.store, shard)
            on = (encode_shard(self.store, shard, level).codes.only(latents).value > 0).any(dim=1).long()
            parts.append(torch.zeros(len(first), len(latents), dtype=torch.long).index_add_(0, own, on) > 0)
        return torch.cat(parts)

    def inputs(self, images: Sequence[int]) -> ImageInputs:
        """These images again, as the store's were made."""
        made = {name: value for name, value in self.store.index.made_by.items() if name in ImageInputs.model_fields}
        seeds, prompts = tuple(self.seeds[i] for i in images), tuple(self.prompts[i] for i in images)
        return ImageInputs(**made, prompts=prompts, seeds=seeds)


class Bands(NamedTuple):
    """Steps of a schedule: the first of the band that is edited, the first after it, and those that are read.
    `within`: read from the first edited step on, in a later block, and not only after the band."""

    start: int
    after: int
    read: frozenset[int]
    within: bool = False


def bands_of(store: ActivationStore, first: Level, then: Level, *, later: bool = False) -> Bands:
    """From the noise of every step. `later`: a pass of the denoiser computes `then` after `first`. No step is read
    where nothing of `then` is computed after the edit."""
    noise: list[float] = store.index.made_by["noise"]
    low, high = first.where.noise
    edited = [step for step, level in enumerate(noise) if low <= level <= high]
    captured = {round(level, 6) for level, _ in then.record.point.drift}
    low, high = then.where.noise
    read = {step for step, level in enumerate(noise) if low <= level <= high and round(level, 6) in captured}
    start, after = edited[0], edited[-1] + 1
    within = later and any(start <= step < after for step in read)
    return Bands(start, after, frozenset(step for step in read if step >= (start if within else after)), within)


def computed_later(subject: ImageDiffusion, images: SplitImages, first: HookPoint, then: HookPoint) -> bool:
    """Whether one pass of the denoiser computes `then` after `first`: seen in a step of the first image."""
    if first == then:
        return False
    seen: list[HookPoint] = []
    readers = {point: lambda x, where, point=point: seen.append(point) for point in (first, then)}
    with torch.no_grad(), hooked(subject, readers):
        subject.sampled(images.inputs([0]), until=1)
    return seen.index(first) < seen.index(then)


def ablate_in_images(
    subject: ImageDiffusion,
    images: SplitImages,
    levels: tuple[Level, Level],
    sources: Sequence[int],
    targets: Sequence[int],
    config: EvidenceConfig,
    *,
    report: Callable[[int, int], None] = lambda done, of: None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[SourceEffects]:
    """Ablate each latent of the first of `levels`, with its companions, where they fire and yield its effects on
    all targets of the other.

    A place is an image. Sources that fire in too few are skipped. Stops early, between batches, when `stop` says
    so.
    """
    places = choose_places(images.fires(levels[0], sources), sources, config)
    waiting = sorted(places)
    sets = dict(zip(waiting, companions_of(images.store, levels[0], waiting, count=config.companions), strict=True))
    later = computed_later(subject, images, *(level.point for level in levels))
    bands = bands_of(images.store, *levels, later=later)
    work = _Batches(subject, images, levels, targets, bands, config, {one: tuple(sets[one]) for one in waiting})
    done = 0
    for group in grouped(waiting, {s: len(places[s]) for s in waiting}, config.rows):
        if stop():
            return
        owner = [source for source in group for _ in range(len(places[source]))]
        yield from work.effects(owner, torch.cat([places[s] for s in group]).tolist())
        done += len(group)
        report(done, len(waiting))


@dataclass(frozen=True)
class _Batches:
    subject: ImageDiffusion
    images: SplitImages
    levels: tuple[Level, Level]
    targets: Sequence[int]
    bands: Bands
    config: EvidenceConfig
    sets: Mapping[int, tuple[int, ...]]

    def effects(self, owner: Sequence[int], images: Sequence[int]) -> Iterator[SourceEffects]:
        """One batch: each row is an image with the source that is ablated in it. `held` of what is yielded is the
        effect that the sampler state alone carries, or single passes of the denoiser alone; of the null it is not
        measured (NaN)."""
        unique, back = np.unique(images, return_inverse=True)
        own, row_own = self.images.inputs(list(unique)), self.images.inputs(images)
        members = pad_sequence([torch.tensor(self.sets[one]) for one in owner], batch_first=True, padding_value=-1)
        sets = LatentSets(self.levels[0], members)
        if self.config.intervention == "activate":
            self._watch(own, row_own, back, sets)
            own, row_own = (made.model_copy(update={"prompts": ("",) * len(made.seeds)}) for made in (own, row_own))
            sign, change, alone = 1, sets.given, sets.given
        else:
            sign, change = -1, sets.taken
            alone = LatentSets(self.levels[0], members).taken
        base, checkpoint, outputs = self._base(own)
        start = checkpoint.rows(back.tolist())
        outputs = {step: output[torch.from_numpy(back)] for step, output in outputs.items()}
        before = base[torch.from_numpy(back)]
        changed = self._both(row_own, start, change, alone, outputs, before)
        space, source = self.levels[0].space, torch.tensor(owner)
        drawn = []
        for draw in range(self.config.nulls):
            own_rows = zip(members, owner, strict=True)
            other = torch.stack([other_latents(space.n_latents, s, self.config, draw, one) for s, one in own_rows])
            random = partial(sets.elsewhere, space.w_dec[other], sign)
            drawn.append(self._whole(row_own, start, random)[0] - before)
        for one in dict.fromkeys(owner):
            mine = source == one
            on = (before[mine] > 0).double()
            null = torch.stack(drawn)[:, mine]
            yield SourceEffects(
                one,
                change=changed[0][mine].double().numpy(),
                held=changed[1][mine].double().numpy(),
                null=null.double().numpy(),
                null_held=np.full(null.shape, np.nan),
                count=np.ones(before[mine].shape),
                base_active=before[mine].double().numpy(),
                change_active=(changed[0][mine].double() * on).numpy(),
                count_active=on.numpy(),
            )

    def _watch(self, own: ImageInputs, row_own: ImageInputs, back: np.ndarray, sets: LatentSets) -> None:
        """How strongly the latents of each row fire in its own image, in every step of the band."""
        _, seen = self._read(own, keep=(self.bands.start,), until=self.bands.start + 1)
        start = seen[0][self.bands.start].rows(back.tolist())
        edit = Edit(self.levels[0].point, self.levels[0].where, lambda x, where: 0 * sets.read(x, where).to(x))
        self._read(row_own, start=start, until=self.bands.after, edits=[edit])

    def _base(self, inputs: ImageInputs) -> tuple[Tensor, Checkpoint, dict[int, Tensor]]:
        """Target codes `image target`, where to restart, and the noise predictions from the band's end on, or from
        its start where reading starts there."""
        last = max(self.bands.read)
        wanted = range(self.bands.start if self.bands.within else self.bands.after, last + 1)
        codes, seen = self._read(inputs, keep=(self.bands.start,), until=last + 1, record=wanted)
        return codes, seen[0][self.bands.start], seen[1]

    def _both(
        self,
        inputs: ImageInputs,
        start: Checkpoint,
        change: Change,
        alone: Change,
        outputs: Mapping[int, Tensor],
        before: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Change of the target codes `row target`: of the whole run, and of its part (see `effects`)."""
        full, kept = self._whole(inputs, start, change)
        if self.bands.within:
            part, _ = self._whole(inputs, start, alone, outputs)
        else:
            until = max(self.bands.read) + 1
            part, _ = self._read(inputs, start=kept[self.bands.after], until=until, outputs=outputs)
        return full - before, part - before

    def _whole(
        self,
        inputs: ImageInputs,
        start: Checkpoint,
        change: Change,
        outputs: Mapping[int, Tensor] | None = None,
    ) -> tuple[Tensor, dict[int, Checkpoint]]:
        """Target codes `row target` of a run with the edit, and where it stood after the band."""
        edit = Edit(self.levels[0].point, self.levels[0].where, change)
        keep = () if self.bands.within else (self.bands.after,)
        until = max(self.bands.read) + 1
        codes, seen = self._read(inputs, start=start, keep=keep, until=until, edits=[edit], outputs=outputs)
        return codes, seen[0]

    def _read(
        self,
        inputs: ImageInputs,
        *,
        start: Checkpoint | None = None,
        keep: Sequence[int] = (),
        until: int,
        edits: Sequence[Edit] = (),
        record: Sequence[int] = (),
        outputs: Mapping[int, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[dict[int, Checkpoint], dict[int, Tensor]]]:
        """Mean target codes `row target` over cells and read steps of one run, and what else it left."""
        level = self.levels[1]
        total = torch.zeros(len(inputs.seeds), len(self.targets))
        calls = 0

        def reader(x: Tensor, where: Where) -> None:
            nonlocal calls
            rows = [row for row, branch in enumerate(where.branches) if branch == level.where.branch]
            if where.step not in self.bands.read or not rows:
                return
            codes = level.space.encode(x[rows].cpu(), self.targets).value.mean(dim=1)
            total.index_add_(0, torch.tensor([where.items[row] for row in rows]), codes)
            calls += 1

        with torch.no_grad(), hooked(self.subject, {level.point: reader}, edits):
            made = self.subject.sampled(inputs, start=start, keep=keep, until=until, record=record, outputs=outputs)
        return total / max(calls, 1), (made.checkpoints, made.outputs)


def image_deviation(store: ActivationStore, level: Level) -> np.ndarray:
    """s.d. over training images of each latent's mean code in an image, `n_latents`: the unit of effects."""
    sums, squares, count = np.zeros(level.space.n_latents), np.zeros(level.space.n_latents), 0
    for found in encoded(store, "train", level):
        mean = mean_codes(store, found)
        sums, squares, count = sums + mean.sum(axis=0), squares + (mean**2).sum(axis=0), count + len(mean)
    return np.asarray(np.sqrt(np.maximum(squares / count - (sums / count) ** 2, 0)))
