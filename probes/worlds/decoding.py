"""The subject of a world of one view: codes in, their mixture out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from probes.addresses import HookPoint
from probes.subjects.module import ModuleSubject
from probes.worlds.world import View


class Decoding(nn.Module):
    """`view` gives out what codes `... concept` look like, `... d`."""

    rows: Tensor

    def __init__(self, view: View) -> None:
        super().__init__()
        self.register_buffer("rows", torch.from_numpy(view.directions))
        self.add_module(view.name, nn.Identity())
        self._name = view.name

    def forward(self, codes: Tensor) -> Tensor:
        seen: Tensor = self.get_submodule(self._name)(codes @ self.rows)
        return seen


def decoding_subject(name: str, view: View) -> ModuleSubject:
    """A module subject whose one hook point is the view."""
    return ModuleSubject(Decoding(view), name=name, points=[HookPoint(path=view.name)])
