"""A TopK autoencoder whose latents are divided over processes, exactly.

Each process has the encoder and decoder rows of its latents as torch distributed tensors, and all of the
batch. It takes the k largest of its own latents; the processes gather those values (k numbers a row and
process, no indices), and the k largest of all stay on. Each decodes what is left of its own, and one sum over
the processes makes the reconstruction. What travels does not depend on the number of latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from probes.autoencoders.encoded import Encoded
from probes.autoencoders.sparse import decode_sparse, encode_topk
from probes.autoencoders.topk import TopKAutoencoder
from probes.errors import WorkbenchError
from probes.training.ranks import Ranks, divided_like, full, local

LATENTS_FIRST = frozenset({"w_enc", "b_enc", "w_dec", "since_fired", "revived"})


class ShardedTopK(TopKAutoencoder):
    """One process's share. Its attributes are this process's tensors; its state is that of the whole.

    Raises `WorkbenchError` where the number of latents does not come out even.
    """

    def __init__(self, whole: TopKAutoencoder, ranks: Ranks) -> None:
        from torch.distributed.tensor import Replicate, Shard, distribute_tensor

        nn.Module.__init__(self)
        usual = vars(self).keys()
        vars(self).update({name: value for name, value in vars(whole).items() if name not in usual})
        n, shards = len(whole.w_enc), ranks.shards
        if n % shards.size or shards.mesh is None:
            raise WorkbenchError(
                "bad-division",
                f"{n} latents cannot be divided by {shards.size}",
                "each process has as many as the others",
                "Choose a width that the number of shards divides.",
            )
        self.ranks, self._last = ranks, None
        self._modules.update(whole._modules)
        for name, parameter in whole.named_parameters(recurse=False):
            place = Shard(0) if name in LATENTS_FIRST else Replicate()
            divided = distribute_tensor(parameter.detach(), shards.mesh, [place], src_data_rank=None)
            self.register_parameter(name, nn.Parameter(divided))
        for name, buffer in whole.named_buffers(recurse=False):
            self.register_buffer(name, (shards.part(buffer) if name in LATENTS_FIRST else buffer).clone())

    def __getattr__(self, name: str) -> Any:
        """A parameter is seen as what this process has of it; its gradient goes to the distributed one."""
        found = super().__getattr__(name)
        return local(found) if isinstance(found, nn.Parameter) else found

    def encode_batch(self, x: Tensor, target: Tensor) -> Encoded:
        shards, k = self.ranks.shards, int(self.k)
        most = min(k, len(self.w_enc))
        value, index = encode_topk(x, self.w_enc, self.b_enc, shards.shared(self.b_dec), most)
        value = shards.among_largest(value, k)
        decoded = shards.summed(decode_sparse(value, index, self.w_dec)) + self.b_dec
        return Encoded(x, value, index, decoded, target)

    @torch.no_grad()
    def before_step(self) -> None:
        """Remove from the decoder's gradient what would only change row lengths."""
        kept = self._parameters["w_dec"]
        if kept is not None and kept.grad is not None:
            grad, rows = local(kept.grad), local(kept)
            grad -= (grad * rows).sum(dim=1, keepdim=True) * rows

    def gauges(self) -> dict[str, float]:
        """Those of the whole."""
        found, shards = super().gauges(), self.ranks.shards
        return {**found, "l0": shards.total(found["l0"]), "dead": shards.total(found["dead"]) / shards.size}

    def state_dict(self, *args: Any, **rest: Any) -> Any:
        """The state of the whole, on every process."""
        parameters = {name: full(p.detach()) for name, p in self.named_parameters()}
        shards = self.ranks.shards
        buffers = {
            name: shards.gathered(buffer, dim=0) if name in LATENTS_FIRST else buffer
            for name, buffer in self.named_buffers()
        }
        return {**parameters, **buffers}

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **rest: Any) -> None:
        """Take this process's share of the state of a whole."""
        for name, parameter in self.named_parameters():
            parameter.copy_(divided_like(state_dict[name], parameter))
        for name, buffer in self.named_buffers():
            whole = state_dict[name]
            buffer.copy_(self.ranks.shards.part(whole) if name in LATENTS_FIRST else whole)
