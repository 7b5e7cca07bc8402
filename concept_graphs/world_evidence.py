"""Evidence on a world: the same interventions as on any subject, on rows in memory, for all pairs of two levels.

A level is a learned dictionary, or the world's own concepts (`true_level`), which is what a perfect training would
find: intervening on it is the bound for intervening on what was learned.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from concept_graphs.effects import edge_evidence
from concept_graphs.evidence import EvidenceConfig, HeldOut, SourceEffects, ablate_sources
from concept_graphs.tables import CONFIRMED
from probes.activations.rows import RowKind
from probes.activations.store import PointInfo
from probes.addresses import HookPoint
from probes.autoencoders.dictionary import Dictionary, unknown_table
from probes.hierarchy.probe import Level, LevelRecord
from probes.subjects.module import ModuleSubject
from probes.worlds.layers import Direction
from probes.worlds.world import Flags, Sample, View

Floats = NDArray[np.float64]
NOTHING_READ = 0.1  # what exact reading of a noisy view leaves of a concept that is off stays below this


class Placed(NamedTuple):
    """A level, and which view of the world it reads."""

    view: int
    level: Level


class Tested(NamedTuple):
    """Effects between all latents of two levels, each `high low`, in s.d. of the latent measured; NaN where a source
    fired too seldom. `low`, `high`: its 95 % interval. `confirmed`: the interval excludes zero and the effect exceeds
    that of random directions, which in a small world are concepts with edges of their own: a harsh null there."""

    effect: Floats
    low: Floats
    high: Floats
    confirmed: Flags

    @property
    def table(self) -> Floats:
        """|effect| as a ranking of pairs; −∞ where untested or where the interval holds zero."""
        supported = (self.low > 0) | (self.high < 0)
        return np.where(supported, np.abs(self.effect), -np.inf)


class WorldRows(HeldOut):
    """Rows of a sample as held-out chunks of one place, for two levels in the order they are computed."""

    def __init__(self, sample: Sample, first: Placed, then: Placed) -> None:
        rows = len(sample.inputs)
        self.low, self.high = first.level, then.level
        self.inputs = torch.from_numpy(sample.inputs)
        self.x = torch.from_numpy(sample.x[first.view])[:, None]
        self.valid = self.usable_low = self.usable_high = torch.ones(rows, 1, dtype=torch.bool)
        self.document = torch.arange(rows)


def true_level(view: View, read_above: float) -> Level:
    """A view's concepts as a level: read exactly where they fit its dimensions, else by matched filter."""
    rows = torch.from_numpy(view.directions)
    exact = view.n <= rows.shape[1]
    encoder = torch.linalg.pinv(rows).T.contiguous() if exact else rows
    threshold = torch.tensor(NOTHING_READ if exact else read_above)
    point, nothing = HookPoint(path=view.name), torch.zeros(rows.shape[1])
    space = Dictionary(
        encoder, torch.zeros(view.n), rows, nothing, threshold, None, unknown_table(view.n, view.name), point
    )
    info = PointInfo(point=point, d_model=rows.shape[1], median_norm=1.0, masks_outliers=False)
    record = LevelRecord(name=view.name, point=info, rows=RowKind(), n_latents=view.n, k=1)
    return Level(record, space, {})


def all_effects(
    subject: ModuleSubject,
    sample: Sample,
    low: Placed,
    high: Placed,
    direction: Direction,
    config: EvidenceConfig,
    *,
    deviation: Floats | None = None,
) -> Tested:
    """Ablate every latent of the level that is computed first, and measure every latent of the other.

    `deviation`: of the latents measured, the unit of effects; the sample's own when it is not given.
    """
    first, then = (low, high) if direction == "composes" else (high, low)
    effects, targets = _effects(subject, sample, first, then, config)
    sources = range(first.level.space.n_latents)
    source, target = (part.ravel().tolist() for part in np.meshgrid(sources, targets, indexing="ij"))
    unit = deviation_of(sample, then) if deviation is None else deviation
    columns = edge_evidence(effects, source, target, targets, unit).columns
    shape = (len(sources), len(targets))
    found = [columns[name].reshape(shape) for name in ("effect", "effect_low", "effect_high")]
    found.append(np.isin(columns["verdict"], list(CONFIRMED)).reshape(shape))
    return Tested(*(part.T if direction == "composes" else part for part in found))


def mean_effects(
    subject: ModuleSubject, sample: Sample, low: Placed, high: Placed, direction: Direction, *, deviation: Floats
) -> Floats:
    """Effects `high low` over every row of the sample in which a source fires, without intervals: what intervals from
    fewer rows should hold. NaN where a source does not fire."""
    first, then = (low, high) if direction == "composes" else (high, low)
    config = EvidenceConfig(chunks=len(sample.inputs), minimum_chunks=2, nulls=1, rows=len(sample.inputs))
    effects, targets = _effects(subject, sample, first, then, config)
    found = np.full((first.level.space.n_latents, len(targets)), np.nan)
    for source, one in effects.items():
        found[source] = one.change.sum(axis=0) / np.maximum(one.count.sum(axis=0), 1) / np.maximum(deviation, 1e-12)
    return found.T if direction == "composes" else found


def deviation_of(sample: Sample, placed: Placed) -> Floats:
    """s.d. of each latent of a level over the rows of a sample."""
    codes = placed.level.space.encode(torch.from_numpy(sample.x[placed.view])).dense()
    return np.asarray(codes.std(dim=0).double().numpy())


def _effects(
    subject: ModuleSubject, sample: Sample, first: Placed, then: Placed, config: EvidenceConfig
) -> tuple[dict[int, SourceEffects], range]:
    sources, targets = range(first.level.space.n_latents), range(then.level.space.n_latents)
    found = ablate_sources(subject, WorldRows(sample, first, then), sources, targets, config)
    return {one.source: one for one in found}, targets
