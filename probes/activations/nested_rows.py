"""Rows of several levels at once: each row of the highest level with all rows below that lie in it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from probes.activations.rows import RowKind, pool_mean, windows_usable
from probes.activations.store import ActivationStore
from probes.addresses import HookPoint
from probes.errors import WorkbenchError
from probes.training.randomness import permutation


class Storey(NamedTuple):
    """Where a level reads, and what a row of it is."""

    point: HookPoint
    kind: RowKind


class NestedRows:
    """Batches of the highest level's rows, shuffled, as a function of the step alone.

    `storeys`: by name, lowest first; each span is a multiple of the one below. Only the chunks that a batch
    needs are read, so a store may be larger than memory. A last batch that is not full is left out.
    """

    def __init__(self, store: ActivationStore, storeys: Mapping[str, Storey], *, batch: int, seed: int) -> None:
        self.store, self.storeys, self.batch, self.seed = store, dict(storeys), batch, seed
        spans = [storey.kind.span for storey in self.storeys.values()]
        if any(high % low for low, high in pairwise(spans)):
            raise WorkbenchError(
                "bad-config",
                "The rows of the levels do not lie in one another",
                f"their spans are {', '.join(map(str, spans))}, lowest first",
                "Make each span a multiple of the one below.",
            )
        self.span = spans[-1]
        self.usable = {
            name: {shard: store.usable(shard, storey.point) for shard in store.fitting_shards()}
            for name, storey in self.storeys.items()
        }
        top = self.usable[list(self.storeys)[-1]]
        found = [pad(windows_usable(usable, self.span).nonzero(), (1, 0), value=shard) for shard, usable in top.items()]
        self.places = torch.cat(found)  # `row 3`: shard, chunk, window
        self.n_rows = len(self.places)
        if self.n_rows < batch:
            raise WorkbenchError(
                "too-few-rows",
                f"The store has {self.n_rows} rows of the highest level",
                f"a joint batch takes {batch}",
                "Capture more text, or lower the joint batch.",
            )

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """Per level its usable rows, `name`: `row d` float32; and, but for the highest, `name.above`: `row`, the
        row of the next level that each lies in, or −1 where that one is not usable."""
        epoch, at = divmod(step, self.n_rows // self.batch)
        order = permutation(self.n_rows, self.seed, "nested rows", epoch)
        places = self.places[order[at * self.batch : (at + 1) * self.batch].sort().values]
        found: dict[str, Tensor] = {}
        above: Tensor | None = None
        for name in reversed(self.storeys):
            rows, usable = self._rows(name, places)
            number = torch.where(usable, usable.flatten().cumsum(0).reshape(usable.shape) - 1, -1)
            if above is not None:
                found[f"{name}.above"] = above.repeat_interleave(usable.shape[1] // above.shape[1], dim=1)[usable]
            found[name], above = rows[usable], number
        return found

    def _rows(self, name: str, places: Tensor) -> tuple[Tensor, Tensor]:
        """(`window row d` float32, `window row` bool) of one level in these windows."""
        storey = self.storeys[name]
        tokens, flags = [], []
        for shard in places[:, 0].unique().tolist():
            own = places[places[:, 0] == shard]
            chunks, back = own[:, 1].unique(return_inverse=True)
            x = self.store.activations(shard, storey.point, chunks.tolist())[back]
            usable = self.usable[name][shard][own[:, 1]]
            positions = own[:, 2:] * self.span + torch.arange(self.span)
            missing = -x.shape[1] % self.span
            each = torch.arange(len(own))[:, None]
            tokens.append(pad(x, (0, 0, 0, missing))[each, positions])
            flags.append(pad(usable, (0, missing))[each, positions])
        return pool_mean(torch.cat(tokens), torch.cat(flags), storey.kind.span)
