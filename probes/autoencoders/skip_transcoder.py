"""The skip transcoder: a transcoder beside a linear map of its input (Paulo et al. 2025).

The map takes what is linear, so that the codes are about what is not; it starts at zero.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from probes.autoencoders.encoded import Encoded
from probes.autoencoders.transcoder import Transcoder
from probes.configs import Variant


class SkipTranscoderOptions(Variant):
    """The k largest pre-activations, beside a linear map of the input, predict another place's row."""

    kind: Literal["skip_transcoder"] = Field(default="skip_transcoder", description="Its architecture.")


class SkipTranscoder(Transcoder):
    """TopK codes of `x`, plus a dense linear map of it, predict `target`."""

    Options = SkipTranscoderOptions

    def build(self) -> None:
        self.skip = nn.Parameter(torch.zeros(self.w_dec.shape[1], self.w_enc.shape[1]))

    def encode_batch(self, x: Tensor, target: Tensor) -> Encoded:
        seen = super().encode_batch(x, target)
        return replace(seen, decoded=seen.decoded + x @ self.skip.T)

    def skip_map(self) -> Tensor | None:
        return self.skip
