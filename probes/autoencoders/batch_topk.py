"""The BatchTopK autoencoder: k active latents per row on average, shared out over the batch.

Bussmann et al. 2024. Once trained, a latent is on above one threshold for all, at which held-out rows have k
active latents on average (a quantile). A running mean of the batches' smallest active values, as other tools
keep, starts too low: it was measured to leave six times too many latents on after 100 steps.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.selection import encode_batch_topk
from probes.autoencoders.sparse import decode_sparse
from probes.configs import Variant


class BatchTopKOptions(Variant):
    """The largest pre-activations of a batch are kept, k per row on average, and k may be fractional."""

    kind: Literal["batch_topk"] = Field(default="batch_topk", description="Its architecture.")


class BatchTopKAutoencoder(TrainableAutoencoder):
    """Keeps the k · batch largest positive pre-activations of a batch, whichever rows they are in."""

    Options = BatchTopKOptions

    def encode_batch(self, x: Tensor, target: Tensor) -> Encoded:
        value, index = encode_batch_topk(x, self.w_enc, self.b_enc, self.b_dec, self.k, self.ranks.rows)
        decoded = decode_sparse(value, index, self.w_dec) + self.b_dec
        return Encoded(x, value, index, decoded, target)
