"""What a test does to a source: in which chunks, and by how much its code changes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from probes.training.randomness import generator

if TYPE_CHECKING:
    from concept_graphs.evidence import EvidenceConfig


class Change(NamedTuple):
    """`chunk` `row`: held-out chunks; `step` `row pos`: what the source's code changes by, 0 where it stays."""

    chunk: Tensor
    step: Tensor


def choose_places(fires: Tensor, sources: Sequence[int], config: EvidenceConfig) -> dict[int, Tensor]:
    """Per source, the chunks it is tested in: drawn at random among those where it fires.

    `fires`: `chunk source` bool. Sources that fire in too few chunks are left out.
    """
    enough = (fires.sum(dim=0) >= config.minimum_chunks).tolist()
    return {s: _drawn(fires[:, at], config, "places", s) for at, s in enumerate(sources) if enough[at]}


def change_of(source: int, codes: Tensor, usable: Tensor, chosen: Tensor, config: EvidenceConfig) -> Change:
    """`codes`, `usable`: `chunk pos`, of all held-out chunks; `chosen`: those in which the source fires.

    To activate it, its codes there are given to as many chunks in which it fires nowhere, at the same positions.
    """
    step = codes[chosen].float()
    if config.intervention == "activate":
        quiet = _drawn(~(codes > 0).any(dim=1), config, "quiet", source)[: len(chosen)]
        return Change(quiet, step[: len(quiet)] * usable[quiet])
    if config.intervention == "mean":
        mean = codes.float().sum() / usable.sum().clamp_min(1)
        return Change(chosen, torch.where(step > 0, mean - step, step))
    return Change(chosen, -step)


def _drawn(among: Tensor, config: EvidenceConfig, name: str, source: int) -> Tensor:
    """At most `config.chunks` numbers of true entries, ascending."""
    chunks = among.nonzero().flatten()
    order = torch.randperm(len(chunks), generator=generator(config.seed, name, source))
    return chunks[order[: config.chunks]].sort().values


def other_latents(latents: int, own: Tensor, config: EvidenceConfig, draw: int, source: int) -> Tensor:
    """Latents drawn at random in place of `own`, as many, and none of them: else a null would hold the effect itself.

    Those that hit are drawn again and the rest stay. `own` is padded with -1; where it leaves no others, any are drawn.
    """
    seed = generator(config.seed, f"null{draw}", source)
    found = torch.randint(latents, own.shape, generator=seed)
    if len(torch.unique(own[own >= 0])) == latents:
        return found
    while bool((hit := torch.isin(found, own)).any()):
        found[hit] = torch.randint(latents, (int(hit.sum()),), generator=seed)
    return found
