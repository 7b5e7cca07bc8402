"""What a graph among latents says, in plain sentences: beside the truth, the factors themselves and chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from concept_graphs.latent_distances import KnownDistance, distance
from concept_graphs.latent_graph import LatentGraph, joined
from concept_graphs.latent_methods import METHODS, Discovery
from concept_graphs.text import percent
from probes.worlds.world import Flags


def sentences(found: LatentGraph) -> list[str]:
    """What was found, beside the truth, the factors themselves and chance."""
    method: Discovery = METHODS.load(found.method)
    called, known = method.called, set(joined(found.known))
    right = [pair for pair in found.pairs if pair in known]
    pointing = [(a, b) for a, b in right if found.marks[a, b] != found.marks[b, a]]
    true_way = sum(bool(found.known[a, b] == found.marks[a, b]) for a, b in pointing)
    others = len(found.pairs) - len(right)
    said = [
        f"Among the latents {called} joins {len(right)} of the {len(known)} pairs joined in the world, {others} more."
    ]
    if not known:
        said = [f"In the world no factor causes another; among the latents {called} joins {others} pairs."]
    if pointing:
        said.append(f"It directs {len(pointing)} of the {len(right)} right ones, {true_way} of them the true way.")
    on_factors = joined(found.of_factors)
    said.append(
        f"On the factors themselves it joins {sum(pair in known for pair in on_factors)} true pairs and "
        f"{sum(pair not in known for pair in on_factors)} others (F1 {f1(known, on_factors):.2f}); among shuffled "
        f"latents {found.shuffled:.1f} pairs{_rate(found)}."
    )
    said.append(distance_words(found.known, found.marks, found.nulls, found.of_factors))
    if found.pairs:
        often = [float(found.frequency[pair]) for pair in found.pairs]
        said.append(f"On resampled rows its edges come back {min(often):.0%} to {max(often):.0%} of the time.")
    if found.unmatched:
        said.append(f"Without a latent of their own: {', '.join(found.unmatched)}.")
    return [*said, f"{method.judges} An estimate, not the truth."]


def f1(known: set[tuple[int, int]], found: Sequence[tuple[int, int]]) -> float:
    """Of joined pairs against the known ones; 1 where both are none."""
    both = len(known) + len(found)
    return 2 * sum(pair in known for pair in found) / both if both else 1.0


def distance_words(known: Flags, marks: Flags, nulls: Sequence[Flags], of_factors: Flags | None = None) -> str:
    """SHD and SID from the known graph, of the latents, of shuffled ones and of the factors."""
    own, shuffled = distance(known, marks), [distance(known, one) for one in nulls]
    beside = []
    if of_factors is not None:
        beside.append(("on the factors", [distance(known, of_factors)]))
    if shuffled:
        beside.append(("among shuffled latents", shuffled))
    shd = "; ".join(f"{where} {np.mean([one.shd for one in many]):.3g}" for where, many in beside)
    said = f"SHD from the known graph's class: {own.shd}{f' ({shd})' if shd else ''}."
    if own.sid is None:
        return f"{said} No SID: {own.why}."
    wrong = "; ".join(f"{where} {_mean_sid(many)}" for where, many in beside)
    open_too = ", as its open edges may point" if own.sid[0] != own.sid[1] else ""
    return f"{said} SID: {_between(own.sid)} of {own.pairs} effects wrong{open_too}{f' ({wrong})' if wrong else ''}."


def _rate(found: LatentGraph) -> str:
    """Edges without any relation as a share of all pairs: how often chance joins one."""
    size = len(found.names)
    return f", {percent(found.shuffled / (size * (size - 1) / 2), 1)} of all" if found.nulls else ""


def _between(ends: Sequence[float]) -> str:
    low, high = (f"{end:.3g}" for end in ends)
    return low if low == high else f"{low} to {high}"


def _mean_sid(many: Sequence[KnownDistance]) -> str:
    told = [one.sid for one in many if one.sid is not None]
    return _between(np.mean(told, axis=0)) if told else "none"
