"""Muon: momentum whose update for each weight matrix is made orthogonal, and Adam for everything else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

# A quintic whose iterates push every singular value towards one (Jordan et al. 2024).
CUBE, FIFTH, LINEAR = -4.7750, 2.0315, 3.4445
ROUNDS = 5


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly the orthogonal factor of a matrix `row column`: its singular values brought near one.

    The rounds run on the square Gram matrix, as each only multiplies by a polynomial in it: for the long
    matrices of convolutions a third of the work.
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / (wide.norm() + 1e-7)
    gram = x @ x.T
    turned = torch.eye(len(x))
    for _ in range(ROUNDS):
        step = CUBE * gram + FIFTH * gram @ gram
        step.diagonal().add_(LINEAR)
        turned, gram = step @ turned, step @ gram @ step
    x = turned @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon(torch.optim.Optimizer):
    """For weights of two dimensions or more; a convolution counts as a matrix `out (in row column)`."""

    def __init__(self, weights: Iterable[nn.Parameter], lr: float, momentum: float = 0.9, decay: float = 0.0) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One update of every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                kept = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
                ahead = weight.grad + group["momentum"] * kept
                found = orthogonal(ahead.reshape(len(weight), -1))
                size = max(1.0, found.shape[0] / found.shape[1]) ** 0.5
                weight.mul_(1 - group["lr"] * group["decay"])
                weight.add_(found.reshape(weight.shape), alpha=-group["lr"] * size)


def parted(modules: Iterable[nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The weights of modules for Muon, and those for Adam: vectors and embeddings."""
    embedded = {id(part.weight) for module in modules for part in module.modules() if isinstance(part, nn.Embedding)}
    weights = [weight for module in modules for weight in module.parameters() if weight.requires_grad]
    matrices = [weight for weight in weights if weight.ndim >= 2 and id(weight) not in embedded]
    chosen = {id(weight) for weight in matrices}
    return matrices, [weight for weight in weights if id(weight) not in chosen]
