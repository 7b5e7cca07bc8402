"""Evidence for edges: change the lower latent in the subject, and see what the higher code does.

One run per source gives its effect on every target. Runs restart from stored activations and use only
the blocks between the two levels. The null is the same places and the same size along a random decoder
direction. Holding the direct residual path (subtracting the edit where the higher level is read) leaves
what the blocks in between compute.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from concept_graphs.changes import change_of, choose_places, other_latents
from probes.activations.rows import pool_max, pool_mean
from probes.activations.store import ActivationStore, Split
from probes.configs import Frozen
from probes.files import atomic_write
from probes.hierarchy.probe import Level
from probes.hooks import Edit, Selector, Where, hooked
from probes.subjects.subject import Subject


class EvidenceConfig(Frozen):
    """How interventions test edges."""

    chunks: int = Field(
        default=16, description="Held-out chunks, or images, per source, drawn among those where it fires.", ge=2
    )
    minimum_chunks: int = Field(
        default=5, description="Sources that fire in fewer held-out chunks or images are not tested.", ge=2
    )
    companions: int = Field(
        default=0,
        description="Companions that are ablated with a source, each where it fires: the latents of its level that "
        "rise most where it is on. Of images only.",
        ge=0,
        le=64,
    )
    intervention: Literal["ablate", "mean", "activate"] = Field(
        default="ablate",
        description="ablate: take a source away where it fires; mean: leave its mean over all places there (texts "
        "only); activate: give it, where and as strongly as it fires, to chunks in which it fires nowhere, or to the "
        "same images made without a prompt.",
    )
    trials: int = Field(
        default=0,
        description="Training images in which each source is ablated first, to choose the targets it is tested on; 0 "
        "leaves the choice to the proposal. Of images only.",
        ge=0,
    )
    nulls: int = Field(
        default=4,
        description="Random directions per source, at the same places and size; few of them confirm few edges.",
        ge=1,
    )
    rows: int = Field(default=32, description="Chunks or images per pass, of several sources together.", ge=1)
    seed: int = Field(default=0, description="Seed of chunk choice and random directions.", ge=0)


@dataclass
class SourceEffects:
    """Per chunk sums over ablated places of one source, each `chunk target`.

    `change`: of the target codes; `held`: with the direct path held; `null`, `null_held`: `draw chunk
    target`; `base_active`, `change_active`: restricted to places where the target was on; `count`,
    `count_active`: places.
    """

    source: int
    change: np.ndarray
    held: np.ndarray
    null: np.ndarray
    null_held: np.ndarray
    count: np.ndarray
    base_active: np.ndarray
    change_active: np.ndarray
    count_active: np.ndarray

    def save(self, path: Path) -> None:
        """One `.npz`, written in one step."""
        held = io.BytesIO()
        np.savez(held, allow_pickle=False, **{k: np.asarray(v) for k, v in vars(self).items()})
        atomic_write(path, held.getvalue())

    @classmethod
    def load(cls, path: Path) -> SourceEffects:
        with np.load(path, allow_pickle=False) as held:
            return cls(int(held["source"]), *(held[name] for name in list(cls.__dataclass_fields__)[1:]))


class HeldOut:
    """Chunks of a store that nothing was fitted on: inputs, activations at the lower level, both levels' masks.

    `split` reads another part, up to the shard in which `most` chunks are reached.
    """

    def __init__(
        self, store: ActivationStore, low: Level, high: Level, *, split: Split = "held_out", most: int | None = None
    ) -> None:
        self.store, self.low, self.high = store, low, high
        point = low.point
        shards = store.shards(split)
        if most is not None:
            before = np.cumsum([0, *(store.index.shards[s].chunks for s in shards[:-1])])
            shards = [s for s, count in zip(shards, before, strict=True) if count < most]
        self.shards = shards
        self.inputs = torch.cat([store.inputs(s) for s in shards])
        self.valid = torch.cat([store.read(s, "valid")[0] for s in shards])
        self.x = torch.cat([store.activations(s, point) for s in shards])
        self.usable_low = torch.cat([store.usable(s, point) for s in shards])
        self.usable_high = torch.cat([store.usable(s, high.point) for s in shards])
        self.document = torch.cat([store.documents_of(s)[0] for s in shards])

    def codes_of(self, sources: Sequence[int], block: int = 32) -> Tensor:
        """The lower codes of some latents over all chunks, `chunk pos source` float16."""
        parts = []
        for at in range(0, len(self.x), block):
            codes = self.low.space.encode(self.x[at : at + block], sources)
            parts.append((codes.value * self.usable_low[at : at + block, :, None]).half())
        return torch.cat(parts)


def ablate_sources(
    subject: Subject,
    held_out: HeldOut,
    sources: Sequence[int],
    targets: Sequence[int],
    config: EvidenceConfig,
    *,
    report: Callable[[int, int], None] = lambda done, of: None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[SourceEffects]:
    """Change each source (see `change_of`) and yield its effects on all targets, several sources per pass.

    Sources that fire in too few chunks are skipped. Stops early, between passes, when `stop` says so.
    """
    codes = held_out.codes_of(sources)
    places = choose_places((codes > 0).any(dim=1), sources, config)
    column, usable = {source: at for at, source in enumerate(sources)}, held_out.usable_low
    found = {s: change_of(s, codes[..., column[s]], usable, chosen, config) for s, chosen in places.items()}
    waiting = sorted(s for s, change in found.items() if len(change.chunk) >= config.minimum_chunks)
    groups = grouped(waiting, {s: len(found[s].chunk) for s in waiting}, config.rows)
    done = 0
    for group in groups:
        if stop():
            return
        chunk, step = (torch.cat(parts) for parts in zip(*(found[s] for s in group), strict=True))
        owner = torch.cat([torch.full((len(found[s].chunk),), s) for s in group])
        yield from _split(_effects_of(subject, held_out, chunk, owner, step, targets, config), group, owner)
        done += len(group)
        report(done, len(waiting))


@dataclass(frozen=True)
class _Batch:
    """Per row of a pass (a chunk of one source): sums over places, `row target`; nulls `draw row target`."""

    change: Tensor
    held: Tensor
    null: Tensor
    null_held: Tensor
    count: Tensor
    base_active: Tensor
    change_active: Tensor
    count_active: Tensor


def _effects_of(
    subject: Subject,
    held_out: HeldOut,
    chunk: Tensor,
    owner: Tensor,
    step: Tensor,
    targets: Sequence[int],
    config: EvidenceConfig,
) -> _Batch:
    """Run the blocks between the levels: unedited, with the source's code changed by `step`, `row pos`, and with the
    same changes along random directions."""
    high, span = held_out.high, held_out.high.rows.span // held_out.low.rows.span
    usable = held_out.usable_high[chunk]
    fires = pool_max((step != 0).float(), span) > 0
    places = fires & pool_mean(usable[..., None].float(), usable, high.rows.span)[1]  # row place
    decoder = held_out.low.space.w_dec

    def read(delta: Tensor | None) -> tuple[Tensor, Tensor]:
        return _target_codes(subject, held_out, chunk, delta, usable, places, targets)

    base, _ = read(None)
    changed, held = read(step[..., None] * decoder[owner][:, None])
    drawn = []
    for draw in range(config.nulls):
        other = torch.stack([other_latents(len(decoder), s, config, draw, int(s)) for s in owner])
        drawn.append(read(step[..., None] * decoder[other][:, None]))
    row = places.nonzero()[:, 0]

    def total(x: Tensor) -> Tensor:
        return torch.zeros(len(chunk), len(targets)).index_add_(0, row, x)

    on = (base > 0).float()
    return _Batch(
        total(changed - base),
        total(held - base),
        torch.stack([total(full - base) for full, _ in drawn]),
        torch.stack([total(kept - base) for _, kept in drawn]),
        total(torch.ones_like(base)),
        total(base),
        total((changed - base) * on),
        total(on),
    )


def _target_codes(
    subject: Subject,
    held_out: HeldOut,
    chunk: Tensor,
    delta: Tensor | None,
    usable: Tensor,
    places: Tensor,
    targets: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """(codes of the targets, the same with the direct residual path held) at the places, `place target`.

    `delta`: `row pos d` added at the lower level, or None for the unedited run; `places`: `row place` bool.
    """
    low, high = held_out.low.point, held_out.high.point
    inputs, padding = held_out.inputs[chunk], ~held_out.valid[chunk]
    edits = [] if delta is None else [Edit(low, Selector(), lambda x, where: delta)]

    def encode(x: Tensor) -> Tensor:
        rows, _ = pool_mean(x, usable, held_out.high.rows.span)
        return held_out.high.space.encode(rows[places], targets).value

    def reader(x: Tensor, where: Where) -> tuple[Tensor, Tensor]:
        full = encode(x)
        return full, full if delta is None else encode(x.float() - delta)

    with subject.restarted(low, held_out.x[chunk]), hooked(subject, {high: reader}, edits, stop=True) as tape:
        subject.run(inputs, padding if bool(padding.any()) else None)
    codes: tuple[Tensor, Tensor] = tape.last(high)
    return codes


def grouped(sources: Sequence[int], sizes: dict[int, int], rows: int) -> Iterator[list[int]]:
    """Consecutive sources whose chunks together fill a pass."""
    group: list[int] = []
    held = 0
    for source in sources:
        if group and held + sizes[source] > rows:
            yield group
            group, held = [], 0
        group.append(source)
        held += sizes[source]
    if group:
        yield group


def _split(batch: _Batch, group: Sequence[int], owner: Tensor) -> Iterator[SourceEffects]:
    for source in group:
        mine = owner == source
        yield SourceEffects(
            source,
            *(
                (part[:, mine] if name.startswith("null") else part[mine]).double().numpy()
                for name, part in vars(batch).items()
            ),
        )
