"""A representation in training: an encoder, a decoder where a task wants one, and what the parts train along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from probes.parts.networks import Encoder, Reader, decoder, seeded
from probes.representations.part import LatentConstraint, LatentPart, LatentTask
from probes.representations.represented import Represented
from probes.representations.spec import Spec
from probes.training.objective import Batch, ParameterGroup
from probes.training.randomness import generator


class LatentModel(nn.Module):
    """Encoder and companions. First weights of each depend on the seed and their own name alone, so that a task starts
    from the same place whichever constraint stands beside it.

    `heads`, `priors`: what tasks and what constraints train along, by name; `imposed`: whether constraints have any
    weight, so that tasks read what they leave.
    """

    def __init__(
        self,
        spec: Spec,
        tasks: Mapping[str, LatentTask],
        constraints: Mapping[str, LatentConstraint],
        seed: int,
        *,
        imposed: bool = True,
    ) -> None:
        super().__init__()
        self._imposed = list(constraints.values()) if imposed else []
        self.spec, self.seed = spec, seed
        self._parts: list[LatentPart] = [*tasks.values(), *constraints.values()]
        self._told = sorted({name for constraint in constraints.values() for name in constraint.given})
        self._views = sorted({name for part in self._parts for name in part.encodes})
        self.encoder = seeded(lambda: Encoder(spec.shape, spec.latents, spec.width), seed, "encoder")
        self.decoder: nn.Module | None = None
        if any(task.decodes for task in tasks.values()):
            self.decoder = seeded(lambda: decoder(spec.latents, spec.shape, spec.width), seed, "decoder")
        self.reader: Reader | None = None
        if any("caption" in task.reads for task in tasks.values()):
            self.reader = seeded(lambda: Reader(spec.words, spec.latents, spec.width), seed, "reader")
        self.heads, self.priors = _own(tasks, spec, seed), _own(constraints, spec, seed)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, log variance) of what is seen, `… *shape` to `… latent` each."""
        lead = x.shape[: x.ndim - len(self.spec.shape)]
        mean, log_variance = self.encoder(as_floats(x).reshape(-1, *self.spec.shape))
        return mean.reshape(*lead, -1), log_variance.reshape(*lead, -1)

    def codes(self, x: Tensor) -> Tensor:
        """Latents of what is seen without any noise, as constraints leave them, `… *shape` to `… latent`."""
        found, _ = self.encode(x)
        for constraint in self._imposed:
            found = constraint.codes(found)
        return found

    def represent(self, batch: Batch) -> Represented:
        """Latents of a batch, and of its other views where a part wants them."""
        told = {name: batch[name] for name in self._told}
        draw = (self.seed, int(batch["step"]) if "step" in batch else 0)
        found = {}
        for name in ("x", *self._views):
            mean, log_variance = self.encode(batch[name])
            found[name] = Represented(mean, log_variance, mean, told, draw)
        seen = found["x"]
        return Represented(
            mean=seen.mean,
            log_variance=seen.log_variance,
            z=seen.z,
            conditions=told,
            draw=draw,
            second=found.get("second"),
            past=found.get("past"),
            caption=None if self.reader is None else self.reader(batch["caption"]),
            slope=partial(self._encoder_slope, as_floats(batch["x"])),
        )

    def head(self, name: str) -> Any:
        """What a task trains along."""
        return self.heads[name]

    def prior(self, name: str) -> Any:
        """What a constraint trains along."""
        return self.priors[name]

    def projected(self, name: str, z: Tensor) -> Tensor:
        """Latents through a task's own network, or as they are where it has none."""
        return self.heads[name](z) if name in self.heads else z

    def slopes(self, seen: Represented, rows: int, latents: int) -> Tensor:
        """How latents and what is seen move together at the first rows, `latent row dimension`.

        ∂g/∂z_i · sd(z_i) of the decoder; without one ∂f_i/∂x · sd(x) / sd(f_i) of the encoder. Of more than `latents`
        latents so many are drawn.
        """
        chosen = list(range(seen.z.shape[1]))
        if len(chosen) > latents:
            order = torch.randperm(len(chosen), generator=generator(seen.draw[0], "slopes", seen.draw[1]))
            chosen = order[:latents].tolist()
        if self.decoder is not None:
            return self._decoder_slopes(self.decoder, seen.z, rows, chosen)
        assert seen.slope is not None
        spread = seen.mean.detach().std(dim=0).clamp_min(1e-6)
        return torch.stack([seen.slope(rows, latent) / spread[latent] for latent in chosen])

    @staticmethod
    def _decoder_slopes(decode: nn.Module, z: Tensor, rows: int, latents: Sequence[int]) -> Tensor:
        """Column by column by differentiating a pull-back, which is linear in what is pulled: forward mode would first
        import a compiler."""
        spread = z.detach().std(dim=0)
        with torch.enable_grad():
            some = z[:rows] if z.requires_grad else z[:rows].detach().requires_grad_()
            out = decode(some)
            pull = torch.zeros_like(out, requires_grad=True)
            pulled = torch.autograd.grad(out, some, pull, create_graph=True)[0]
            columns = [torch.autograd.grad(pulled[:, n].sum(), pull, create_graph=True)[0] * spread[n] for n in latents]
        return torch.stack([column.flatten(1) for column in columns])

    def _encoder_slope(self, x: Tensor, rows: int, latent: int) -> Tensor:
        with torch.enable_grad():
            some = x[:rows].detach().requires_grad_()
            mean, _ = self.encoder(some)
            slope = torch.autograd.grad(mean[:, latent].sum(), some, create_graph=True)[0]
        return (slope * x.std(dim=0)).flatten(1)

    def groups(self) -> list[ParameterGroup]:
        """What constraints train along is clipped by itself: it must not hold the encoder's step back."""
        priors = list(self.priors.parameters())
        apart = set(priors)
        rest = [p for p in self.parameters() if p not in apart and p.requires_grad]
        return [ParameterGroup(rest)] + ([ParameterGroup(priors)] if priors else [])

    def after_step(self) -> None:
        for part in self._parts:
            part.after_step(self)


def as_floats(x: Tensor) -> Tensor:
    """Pictures of bytes as numbers in [0, 1]; anything else as it is."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


def _own(parts: Mapping[str, LatentPart], spec: Spec, seed: int) -> nn.ModuleDict:
    """What each part trains along, under its name, from a seed of its own."""
    found = nn.ModuleDict()
    for name, part in parts.items():
        made = seeded(lambda part=part: part.own(spec), seed, name)  # type: ignore[misc]
        if made is not None:
            found[name] = made
    return found
