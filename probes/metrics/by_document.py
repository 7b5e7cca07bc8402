"""Held-out rows as a dictionary tells them, summed by document: what intervals over documents are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probes.activations.rows import calibration_rows, shard_rows
from probes.activations.store import ActivationStore
from probes.hierarchy.probe import Level
from probes.metrics.description_length import Told, as_lengths, description_length

Floats = NDArray[np.float64]
CALIBRATION_ROWS = 16_384


class Documents(NamedTuple):
    """Per held-out document (`document`): rows, squared error, squared distance to the mean of all, active
    latents, and bits of the residual, of the codes, and of the rows without a dictionary. `fired`: `latent`
    bool. `edge_bits`: bits of the dictionary's edges per row."""

    rows: Floats
    error: Floats
    variance: Floats
    active: Floats
    residual_bits: Floats
    code_bits: Floats
    plain_bits: Floats
    fired: NDArray[np.bool_]
    edge_bits: float

    def table(self) -> Floats:
        """`document 8`: the columns, and the edge bits of each document's rows."""
        return np.stack([*self[:7], self.edge_bits * self.rows], axis=1)


# Figures of summed rows of the table, under the names of the metrics they are.
OF_TABLE: dict[str, Callable[[Floats], float]] = {
    "explained_variance": lambda rows: 1 - _sum(rows, 1) / _sum(rows, 2),
    "l0": lambda rows: _sum(rows, 3) / _sum(rows, 0),
    "description_length": lambda rows: (_sum(rows, 4) + _sum(rows, 5) + _sum(rows, 7)) / _sum(rows, 0),
    "residual_bits": lambda rows: _sum(rows, 4) / _sum(rows, 0),
    "code_bits": lambda rows: _sum(rows, 5) / _sum(rows, 0),
    "edge_bits": lambda rows: _sum(rows, 7) / _sum(rows, 0),
    "bits_saved": lambda rows: 1 - (_sum(rows, 4) + _sum(rows, 5) + _sum(rows, 7)) / _sum(rows, 6),
}


def _sum(rows: Floats, column: int) -> float:
    return float(rows[:, column].sum())


def by_document(store: ActivationStore, level: Level, *, training_rows: int, max_rows: int) -> Documents:
    """Encode calibration rows and about `max_rows` held-out rows as at inference, and sum by document.

    `training_rows`: what the price of the edges inside the dictionary is shared by.
    """
    fitted = _told(level, calibration_rows(store, level.places, level.rows, CALIBRATION_ROWS))
    x, document = _held_out_rows(store, level, max_rows)
    held = _told(level, x)
    inside = level.space.edges()
    edges = torch.stack([inside.source, inside.target], dim=1).numpy()
    bits = description_length(fitted, held, edges=edges, training_rows=training_rows)
    _, owner = np.unique(document.numpy(), return_inverse=True)
    distance = (held.x.double() - held.x.double().mean(dim=0)).square().sum(dim=1)

    def summed(values: Floats) -> Floats:
        return np.asarray(np.bincount(owner, weights=values), dtype=np.float64)

    return Documents(
        rows=summed(np.ones(len(owner))),
        error=summed(held.residual.double().square().sum(dim=1).numpy()),
        variance=summed(distance.numpy()),
        active=summed(np.diff(held.codes.indptr).astype(np.float64)),
        residual_bits=summed(bits.residual),
        code_bits=summed(bits.code),
        plain_bits=summed(bits.no_dictionary),
        fired=np.bincount(held.codes.indices, minlength=level.space.n_latents) > 0,
        edge_bits=bits.edges,
    )


def _held_out_rows(store: ActivationStore, level: Level, max_rows: int) -> tuple[Tensor, Tensor]:
    """(`row d` float32, `row` document): the first rows of every held-out document, about as many of each."""
    documents = sum(document.split == "held_out" for document in store.index.documents)
    left = dict.fromkeys(range(len(store.index.documents)), max(max_rows // max(documents, 1), 1))
    parts, owners = [], []
    for shard in store.shards("held_out"):
        x, usable = shard_rows(store, shard, level.places, level.rows)
        owner = store.documents_of(shard)[0]
        for number in owner.unique().tolist():
            own = usable & (owner == number)[:, None]
            rows = x[own][: left[number]].float()
            left[number] -= len(rows)
            parts.append(rows)
            owners.append(torch.full((len(rows),), number))
    return torch.cat(parts), torch.cat(owners)


def _told(level: Level, x: Tensor) -> Told:
    codes = level.space.encode(x)
    return Told(x, x - level.space.reconstruct(x, codes), as_lengths(codes.csr(), level.space.w_dec))
