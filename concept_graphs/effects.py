"""From per-chunk sums to edges with effect, interval, null, and whether they are composed or carried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from concept_graphs.chance import moved_on_edges
from concept_graphs.evidence import SourceEffects
from probes.metrics.intervals import bootstrap_means

ACTIVE_PLACES = 5
FALSE_SHARE = 0.05


@dataclass(frozen=True)
class EdgeEvidence:
    """What interventions say of a set of edges, all `edge`; effects in s.d. of the target over all rows."""

    columns: Mapping[str, np.ndarray]
    null: Mapping[str, Any]


def edge_evidence(
    effects: Mapping[int, SourceEffects],
    sources: Sequence[int],
    targets: Sequence[int],
    tested_targets: Sequence[int],
    deviation: np.ndarray,
    *,
    placebo: bool = True,
) -> EdgeEvidence:
    """Evidence for the edges (sources[e], targets[e]) from the runs of their sources.

    `tested_targets`: the target of each column of the effects; `deviation`: s.d. of each latent of the upper level over
    all rows. The null: the same places and the same size along random decoder directions, on the target of each edge,
    in the unit of each target and pooled over all edges (see `chance`): a target that everything moves needs a larger
    effect.

    An edge counts as confirmed when its 95 % interval over chunks excludes zero, |effect| exceeds the 95 % quantile of
    the null, it passes as one of many (q at most 0.05), and it goes beyond the random directions of its own source in
    the same chunks: the interval of the difference excludes zero on the side of the effect. It is composed when what is
    left with the direct residual path held keeps the sign and also exceeds its null, with an interval that excludes
    zero; else carried.
    """
    column = {target: at for at, target in enumerate(tested_targets)}
    means = {source: _SourceMeans.of(effects[source]) for source in set(sources) & set(effects)}
    ends = zip(sources, targets, strict=True)
    rows = [_one(effects.get(s), means.get(s), column[t], deviation[t]) for s, t in ends]
    columns = {name: np.array([row[name] for row in rows]) for name in _EMPTY}
    units = deviation[np.asarray(tested_targets, dtype=int)]
    edges = [(s, column[t]) for s, t in zip(sources, targets, strict=True) if s in effects]
    moved, held = (moved_on_edges(effects, edges, units, null) for null in ("null", "null_held"))
    at = np.array([column[t] for t in targets], dtype=int)
    unit = moved.unit[at]
    tested = columns["n"] > 0
    for name, quantile in (("null95", 0.95), ("null995", 0.995)):
        columns[name] = np.where(tested, moved.quantile(quantile) * unit, np.nan)
    magnitude = np.abs(columns["effect"]) / unit
    larger = len(moved.pooled) - np.searchsorted(moved.pooled, magnitude, side="left")
    columns["p"] = np.where(tested, (1 + larger) / (1 + len(moved.pooled)), np.nan)
    columns["q"] = _false_discovery(columns["p"])
    confirmed = tested & _excludes_zero(columns, "effect") & (magnitude > moved.quantile(0.95))
    confirmed &= _excludes_zero(columns, "beyond") & _same_side(columns, "beyond") & (columns["q"] <= FALSE_SHARE)
    composed = confirmed & _excludes_zero(columns, "held") & _same_side(columns, "held")
    composed &= np.abs(columns["held"]) / held.unit[at] > held.quantile(0.95)
    columns["verdict"] = np.select(
        [composed, confirmed, tested], ["composed", "carried", "unsupported"], default="untested"
    )
    summary = {
        "kind": "same places, same size, a random decoder direction",
        "draws": len(moved.pooled),
        "null95": moved.quantile(0.95),
        "null995": moved.quantile(0.995),
        "held_null95": held.quantile(0.95),
    }
    if placebo and (found := _confirmed_placebos(effects, sources, targets, tested_targets, deviation)):
        summary["placebos"], summary["placebos_confirmed"] = found
    return EdgeEvidence(columns, summary)


def _confirmed_placebos(
    effects: Mapping[int, SourceEffects],
    sources: Sequence[int],
    targets: Sequence[int],
    tested_targets: Sequence[int],
    deviation: np.ndarray,
) -> tuple[int, int] | None:
    """(edges tested, edges confirmed) when a random direction of each source takes its place, judged against the other
    random ones: over all draws. What the rule lets through by chance. None where there is one draw alone."""
    draws = min((len(one.null) for one in effects.values()), default=0)
    if draws < 2:
        return None
    tested = confirmed = 0
    for draw in range(draws):
        instead = {source: _placebo(one, draw) for source, one in effects.items()}
        found = edge_evidence(instead, sources, targets, tested_targets, deviation, placebo=False).columns["verdict"]
        tested += int((found != "untested").sum())
        confirmed += int(np.isin(found, ["composed", "carried"]).sum())
    return tested, confirmed


def _placebo(one: SourceEffects, draw: int) -> SourceEffects:
    left = {name: np.delete(getattr(one, name), draw, axis=0) for name in ("null", "null_held")}
    return replace(one, change=one.null[draw], held=one.null_held[draw], **left)


_EMPTY: dict[str, Any] = {
    "effect": np.nan,
    "effect_low": np.nan,
    "effect_high": np.nan,
    "held": np.nan,
    "held_low": np.nan,
    "held_high": np.nan,
    "beyond": np.nan,
    "beyond_low": np.nan,
    "beyond_high": np.nan,
    "relative": np.nan,
    "n": 0,
    "places": 0,
}


@dataclass(frozen=True)
class _SourceMeans:
    """What a source does to every target on average: effect, held and beyond, with both ends of their intervals,
    `bound kind target` in the units of the codes."""

    means: np.ndarray

    @classmethod
    def of(cls, found: SourceEffects) -> _SourceMeans:
        beyond = found.change - found.null.mean(axis=0)
        sums = np.stack([found.change, found.held, beyond], axis=1)  # chunk kind target
        count = np.repeat(found.count[:, None], 3, axis=1)
        flat = bootstrap_means(sums.reshape(len(sums), -1), count.reshape(len(sums), -1), seed=found.source)
        return cls(np.stack(flat).reshape(3, 3, -1))


def _one(found: SourceEffects | None, means: _SourceMeans | None, at: int, deviation: float) -> dict[str, Any]:
    if found is None or means is None or found.count[:, at].sum() == 0 or deviation <= 0:
        return _EMPTY
    value, low, high = means.means[:, :, at] / deviation
    places_on, base = found.count_active[:, at].sum(), found.base_active[:, at].sum()
    relative = found.change_active[:, at].sum() / base if places_on >= ACTIVE_PLACES and base > 0 else np.nan
    return {
        "effect": value[0],
        "effect_low": low[0],
        "effect_high": high[0],
        "held": value[1],
        "held_low": low[1],
        "held_high": high[1],
        "beyond": value[2],
        "beyond_low": low[2],
        "beyond_high": high[2],
        "relative": relative,
        "n": int((found.count[:, at] > 0).sum()),
        "places": int(found.count[:, at].sum()),
    }


def _same_side(columns: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    return np.asarray(np.sign(columns[name]) == np.sign(columns["effect"]))


def _excludes_zero(columns: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    return np.asarray((columns[f"{name}_low"] > 0) | (columns[f"{name}_high"] < 0))


def _false_discovery(p: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p over the tested edges (scipy); NaN stays."""
    from scipy.stats import false_discovery_control

    q = np.full(len(p), np.nan)
    known = ~np.isnan(p)
    if known.any():
        q[known] = false_discovery_control(p[known])
    return q
