"""The transcoder: sparse codes of what goes into a part of the subject, that predict what comes out.

Dunefsky et al. 2024. A batch has another observation, `target`. The input is never centred by the decoder's
bias: the bias belongs to where the decoder writes.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.sparse import decode_sparse, encode_topk
from probes.autoencoders.topk import WIDEST
from probes.configs import Variant


class TranscoderOptions(Variant):
    """The k largest pre-activations of each input row predict another place's row."""

    kind: Literal["transcoder"] = Field(default="transcoder", description="Its architecture.")


class Transcoder(TrainableAutoencoder):
    """TopK codes of `x` that predict `target`."""

    Options: ClassVar[type[Variant]] = TranscoderOptions
    reads = frozenset({"x", "target"})
    centre = False

    def encode_batch(self, x: Tensor, target: Tensor) -> Encoded:
        value, index = encode_topk(x, self.w_enc, self.b_enc, torch.zeros_like(x[0]), int(self.k))
        return Encoded(x, value, index, decode_sparse(value, index, self.w_dec) + self.b_dec, target)

    def most_active(self) -> int | None:
        return min(math.ceil(WIDEST * self.k), self.n_latents)
