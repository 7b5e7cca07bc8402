"""Encoding trained-size dictionaries: ours as every page and job calls it, and the others' own `encode`."""

from __future__ import annotations

import torch

from probes.autoencoders import dictionary
from probes.autoencoders.dictionary import Dictionary, unknown_table
from tests.benchmarks.channel import Channel
from tests.benchmarks.setting import Setting


def ours(setting: Setting, channel: Channel, *, narrow: bool = True) -> None:
    """(index, value) pairs of `Dictionary.encode`, with as many latents per row as the others keep."""
    rows, table = setting.rows(), unknown_table(setting.n, "latent")
    zeros = torch.zeros(setting.n), torch.zeros(setting.d)
    space = Dictionary(rows, zeros[0], rows, zeros[1], torch.tensor(0.0), setting.k, table)
    if not narrow:
        dictionary.narrow_pays = lambda: False  # type: ignore[assignment]
    for x in channel:
        space.encode(x)


def sparsify(setting: Setting, channel: Channel) -> None:
    from sparsify import SparseCoder, SparseCoderConfig

    coder = SparseCoder(setting.d, SparseCoderConfig(num_latents=setting.n, k=setting.k), dtype=torch.float32)
    coder.encoder.weight.data.copy_(setting.rows())
    with torch.no_grad():
        for x in channel:
            coder.encode(x)


def saelens(setting: Setting, channel: Channel) -> None:
    from sae_lens import TopKSAE, TopKSAEConfig

    sae = TopKSAE(TopKSAEConfig(d_in=setting.d, d_sae=setting.n, k=setting.k))
    sae.W_enc.data.copy_(setting.rows().T)
    with torch.no_grad():
        for x in channel:
            sae.encode(x)
