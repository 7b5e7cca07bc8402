"""The TopK autoencoder: k active latents per row (Gao et al. 2024, scaling and evaluating sparse autoencoders)."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.sparse import decode_sparse, encode_topk
from probes.configs import Variant
from probes.training.ranks import Ranks

WIDEST = 1.5  # most active latents of a row once trained, in units of k


class TopKOptions(Variant):
    """The k largest pre-activations of each row are kept; there is nothing else to choose."""

    kind: Literal["topk"] = Field(default="topk", description="Its architecture.")


class TopKAutoencoder(TrainableAutoencoder):
    """Keeps the k largest pre-activations of each row, negative ones set to zero."""

    Options = TopKOptions

    def encode_batch(self, x: Tensor, target: Tensor) -> Encoded:
        value, index = encode_topk(x, self.w_enc, self.b_enc, self.b_dec, int(self.k))
        decoded = decode_sparse(value, index, self.w_dec) + self.b_dec
        return Encoded(x, value, index, decoded, target)

    def most_active(self) -> int | None:
        return min(math.ceil(WIDEST * self.k), self.n_latents)

    def divided(self, ranks: Ranks) -> TrainableAutoencoder:
        if ranks.shards.size == 1:
            return super().divided(ranks)
        from probes.autoencoders.sharded import ShardedTopK

        return ShardedTopK(self, ranks)
