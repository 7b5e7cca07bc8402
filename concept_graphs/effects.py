"""From per-chunk sums to edges with effect, interval, null, and whether they are composed or carried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from concept_graphs.chance import moved_by_chance
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
    paired: bool = False,
    placebo: bool = True,
) -> EdgeEvidence:
    """Evidence for the edges (sources[e], targets[e]) from the runs of their sources.

    `tested_targets`: the target of each column of the effects; `deviation`: s.d. of each latent of the
    upper level over all rows. An edge counts as confirmed when its 95 % interval over chunks excludes
    zero and |effect| exceeds the 95 % quantile of the null: the same places and the same size along
    random decoder directions, pooled over all tested edges of the pair. It is composed when what is left
    with the direct residual path held passes the same two tests with the same sign, else carried.

    With `paired` it also has to pass as one of many, and against the random directions of its own source in the same
    chunks: q is at most 0.05, and the interval of the difference excludes zero on the side of the effect. The null is
    then in the unit of each target (see `chance`): a target that everything moves needs a larger effect.
    """
    column = {target: at for at, target in enumerate(tested_targets)}
    means = {source: _SourceMeans.of(effects[source]) for source in set(sources) & set(effects)}
    ends = zip(sources, targets, strict=True)
    rows = [_one(effects.get(s), means.get(s), column[t], deviation[t]) for s, t in ends]
    columns = {name: np.array([row[name] for row in rows]) for name in _EMPTY if not name.startswith("nulls")}
    moved = moved_by_chance(effects, deviation[np.asarray(tested_targets, dtype=int)]) if paired else None
    unit = np.array([moved.unit[column[t]] if moved else 1.0 for t in targets])
    pooled = np.concatenate([row["nulls"] for row in rows]) if rows else np.zeros(0)
    null = moved.pooled if moved else np.sort(np.abs(pooled))
    null_held = np.abs(np.concatenate([row["nulls_held"] for row in rows])) if rows else np.zeros(0)
    null95, null995 = (float(np.quantile(null, q)) if len(null) else np.nan for q in (0.95, 0.995))
    held95 = float(np.quantile(null_held, 0.95)) if len(null_held) else np.nan
    tested = columns["n"] > 0
    known = tested & np.isfinite(unit)
    columns["null95"] = np.where(tested, null95 * unit, np.nan)
    columns["null995"] = np.where(tested, null995 * unit, np.nan)
    magnitude = np.abs(columns["effect"]) / unit
    larger = len(null) - np.searchsorted(null, magnitude, side="left")
    columns["p"] = np.where(known, (1 + larger) / (1 + len(null)), np.nan)
    columns["q"] = _false_discovery(columns["p"])
    confirmed = known & _excludes_zero(columns, "effect") & (magnitude > null95)
    if paired:
        same_side = np.sign(columns["beyond"]) == np.sign(columns["effect"])
        confirmed &= _excludes_zero(columns, "beyond") & same_side & (columns["q"] <= FALSE_SHARE)
    composed = (
        confirmed
        & _excludes_zero(columns, "held")
        & (np.abs(columns["held"]) > held95)
        & (np.sign(columns["held"]) == np.sign(columns["effect"]))
    )
    columns["verdict"] = np.select(
        [composed, confirmed, tested], ["composed", "carried", "unsupported"], default="untested"
    )
    summary = {
        "kind": "same places, same size, a random decoder direction",
        "draws": len(null),
        "null95": null95,
        "null995": null995,
        "held_null95": held95,
    }
    if placebo and (found := _confirmed_placebos(effects, sources, targets, tested_targets, deviation, paired)):
        summary["placebos"], summary["placebos_confirmed"] = found
    return EdgeEvidence(columns, summary)


def _confirmed_placebos(
    effects: Mapping[int, SourceEffects],
    sources: Sequence[int],
    targets: Sequence[int],
    tested_targets: Sequence[int],
    deviation: np.ndarray,
    paired: bool,
) -> tuple[int, int] | None:
    """(edges tested, edges confirmed) when a random direction of each source takes its place, judged against the other
    random ones: over all draws. What the rule lets through by chance. None where there is one draw alone."""
    draws = min((len(one.null) for one in effects.values()), default=0)
    if draws < 2:
        return None
    tested = confirmed = 0
    for draw in range(draws):
        instead = {source: _placebo(one, draw) for source, one in effects.items()}
        found = edge_evidence(
            instead, sources, targets, tested_targets, deviation, paired=paired, placebo=False
        ).columns["verdict"]
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
    "nulls": np.zeros(0),
    "nulls_held": np.zeros(0),
}


@dataclass(frozen=True)
class _SourceMeans:
    """What a source does to every target on average: effect, held and beyond, with both ends of their intervals,
    `bound kind target` in the units of the codes, and the nulls of both kinds, `draw target`."""

    means: np.ndarray
    nulls: np.ndarray
    nulls_held: np.ndarray

    @classmethod
    def of(cls, found: SourceEffects) -> _SourceMeans:
        beyond = found.change - found.null.mean(axis=0)
        sums = np.stack([found.change, found.held, beyond], axis=1)  # chunk kind target
        count = np.repeat(found.count[:, None], 3, axis=1)
        flat = bootstrap_means(sums.reshape(len(sums), -1), count.reshape(len(sums), -1), seed=found.source)
        total = np.maximum(found.count.sum(axis=0), 1)
        means = np.stack(flat).reshape(3, 3, -1)
        return cls(means, found.null.sum(axis=1) / total, found.null_held.sum(axis=1) / total)


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
        "nulls": means.nulls[:, at] / deviation,
        "nulls_held": means.nulls_held[:, at] / deviation,
    }


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
