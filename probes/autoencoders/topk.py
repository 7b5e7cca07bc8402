"""The TopK autoencoder: k active latents per row.

Gao et al. 2024 (scaling and evaluating sparse autoencoders); formulas and conventions in the docs.
"""

from __future__ import annotations

from torch import Tensor

from probes.autoencoders.autoencoder import Encoded, TrainableAutoencoder
from probes.autoencoders.sparse import decode_sparse, encode_topk
from probes.training.ranks import Ranks


class TopKAutoencoder(TrainableAutoencoder):
    """Keeps the k largest pre-activations of each row, negative ones set to zero."""

    def encode_batch(self, x: Tensor) -> Encoded:
        value, index = encode_topk(x, self.w_enc, self.b_enc, self.b_dec, self.k)
        decoded = decode_sparse(value, index, self.w_dec) + self.b_dec
        return Encoded(x, value, index, decoded)

    def divided(self, ranks: Ranks) -> TrainableAutoencoder:
        if ranks.shards.size == 1:
            return super().divided(ranks)
        from probes.autoencoders.sharded import ShardedTopK

        return ShardedTopK(self, ranks)
