"""Does training again find the same? Latents of one dictionary matched to those of others by decoder cosine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from probes.metrics.metric import Metric

BLOCK = 1024


def nearest_rows(rows: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """(cosine, which) of the most similar row among `others` `m d` for each of `rows` `n d`, both `n`."""
    rows, others = (torch.nn.functional.normalize(part.float(), dim=1) for part in (rows, others))
    found = [(block @ others.T).max(dim=1) for block in rows.split(BLOCK)]
    return torch.cat([best.values for best in found]), torch.cat([best.indices for best in found])


def seed_agreement(decoders: Sequence[Tensor]) -> list[Tensor]:
    """Per dictionary, each latent's best cosine in another one, averaged over the others: one `n` per
    decoder `n d`. Latents that carry chance directions of d dimensions reach about √(2 ln n / d)."""
    return [
        torch.stack([nearest_rows(rows, other)[0] for at, other in enumerate(decoders) if at != number]).mean(dim=0)
        for number, rows in enumerate(decoders)
    ]


SEED_AGREEMENT = Metric(
    lambda seen: float(seen.mean()), "agreement", "best decoder cosine in another seed, mean over latents", "up", -1, 1
)
