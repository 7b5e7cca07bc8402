"""A running average of a module's parameters: smoother than where the last noisy steps happened to end."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from probes.training.ranks import divided_like


class Average:
    """An exponential moving average of the trained parameters, in their own number type.

    After step s (from 0) each average a becomes d·a + (1 − d)·p with d = min(decay, (1 + s) / (10 + s)), the
    usual ramp, so that a long memory does not keep the untrained start. A function of the parameters'
    history alone: nothing but the averages has to be saved.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the parameters as they are after a step."""
        kept = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in module.named_parameters():
            if name in self.values:
                self.values[name].mul_(kept).add_(parameter.detach(), alpha=1 - kept)

    @torch.no_grad()
    def install(self, module: nn.Module) -> None:
        """Put the averages in the parameters' place."""
        for name, parameter in module.named_parameters():
            if name in self.values:
                parameter.copy_(self.values[name])

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor]) -> None:
        """Go on from saved averages."""
        for name, value in self.values.items():
            value.copy_(divided_like(values[name], value))
