"""Gradient attribution: to first order, what each lower code adds to a higher latent, through the subject itself.

One backward pass per target over a few chunks in which it is on: the gradient of its pre-activation, summed over the
places where it is on, at every place of the lower level. A source contributes its code times its decoder row there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from concept_graphs.changes import choose_places
from concept_graphs.evidence import EvidenceConfig, HeldOut
from probes.activations.rows import pool_mean
from probes.hooks import Edit, Selector, Where, hooked
from probes.subjects.subject import Subject

CHUNKS = 8


def attributions(
    subject: Subject, seen: HeldOut, targets: np.ndarray, sources: np.ndarray, *, chunks: int = CHUNKS, seed: int = 0
) -> np.ndarray:
    """What each of `target candidate` sources adds to its target's pre-activation, per place where that is on.

    Same shape, float64. Each target is seen in at most `chunks` chunks, drawn among those of `seen` where it is on;
    one that is on in none gets zeros.
    """
    places = choose_places(
        _fires(seen, targets), targets.tolist(), EvidenceConfig(chunks=chunks, minimum_chunks=2, seed=seed)
    )
    found = np.zeros(sources.shape)
    for at, target in enumerate(targets.tolist()):
        if target in places:
            found[at] = _of_target(subject, seen, places[target], target, sources[at].tolist())
    return found


def _fires(seen: HeldOut, targets: np.ndarray) -> Tensor:
    """`chunk target` bool, from the store: in which chunks each target is on."""
    parts = []
    for shard in seen.shards:
        usable = seen.store.usable(shard, seen.high.point)
        rows, inside = pool_mean(seen.store.activations(shard, seen.high.point), usable, seen.high.rows.span)
        on = seen.high.space.encode(rows, targets.tolist()).value > 0
        parts.append((on & inside[..., None]).any(dim=1))
    return torch.cat(parts)


def _of_target(subject: Subject, seen: HeldOut, chunk: Tensor, target: int, sources: list[int]) -> np.ndarray:
    """Attribution `candidate` of one target over these chunks."""
    low, high, span = seen.low, seen.high, seen.high.rows.span
    x, usable = seen.x[chunk], seen.usable_high[chunk]
    delta = torch.zeros(x.shape, dtype=torch.float32, requires_grad=True)
    count = 0

    def reader(value: Tensor, where: Where) -> Tensor:
        nonlocal count
        rows, inside = pool_mean(value, usable, span)
        on = (high.space.encode(rows.detach(), [target]).value[..., 0] > 0) & inside
        count = int(on.sum())
        return high.space.pre_activations(rows[on])[:, target].sum()

    padding = ~seen.valid[chunk]
    with (
        subject.restarted(low.point, x),
        hooked(subject, {high.point: reader}, [Edit(low.point, Selector(), lambda _, where: delta)], stop=True) as tape,
    ):
        subject.run(seen.inputs[chunk], padding if bool(padding.any()) else None, gradients=True)
    (gradient,) = torch.autograd.grad(tape.last(high.point), delta)
    codes = low.space.encode(x, sources).value * seen.usable_low[chunk][..., None]
    along = torch.einsum("cpd,sd->cps", gradient, low.space.w_dec[sources])
    return (codes * along).sum(dim=(0, 1)).double().numpy() / max(count, 1)
