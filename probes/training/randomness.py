"""Counter-based randomness: every draw is a function of (seed, stream name, counter)."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def generator(seed: int, stream: str, counter: int = 0) -> torch.Generator:
    """A generator for one draw; two streams or counters never share numbers."""
    digest = hashlib.sha256(f"{seed}/{stream}/{counter}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") % 2**63)


def permutation(n: int, seed: int, stream: str, counter: int = 0) -> Tensor:
    return torch.randperm(n, generator=generator(seed, stream, counter))
