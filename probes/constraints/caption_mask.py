"""Constraint: a caption speaks of few latents only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from probes.parts.networks import perceptron
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented
from probes.representations.spec import Spec
from probes.training.objective import Terms

FLOOR = 1e-3  # of a mask: an empty one would leave nothing to compare


class CaptionMask(LatentConstraint):
    """Mean of the mask m(caption) in (0, 1); views and captions are compared through it, each caption's own on all
    views (method 9, SmartCLIP)."""

    key = "caption_mask"

    def own(self, spec: Spec) -> nn.Module:
        return perceptron([spec.latents, spec.width, spec.latents])

    def beside(self, task: Any, spec: Spec) -> str:
        return "" if "caption" in task.reads else "the task reads no captions: choose captions"

    def impose(self, rep: LatentModel, seen: Represented) -> Represented:
        return replace(seen, mask=self._mask(rep, seen))

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        return {"mask": self._mask(rep, seen).mean()}

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """Share of latents in a mask, and how undecided its entries are (0 where each is in or out)."""
        mask = self._mask(rep, seen)
        return {"mask_size": float((mask > 0.5).float().mean()), "undecided": float((4 * mask * (1 - mask)).mean())}

    def _mask(self, rep: LatentModel, seen: Represented) -> Tensor:
        assert seen.caption is not None
        mask: Tensor = rep.prior(self.key)(seen.caption).sigmoid()
        return mask.clamp(FLOOR, 1)
