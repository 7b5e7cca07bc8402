"""What latents are expected to be in each domain: a mean and a deviation per latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDEST = 6.0  # of a log variance, either way


class DomainPrior(nn.Module):
    """A normal per domain and latent; all standard normals at the start."""

    def __init__(self, domains: int, latents: int) -> None:
        super().__init__()
        self.mean, self.raw = (nn.Parameter(torch.zeros(domains, latents)) for _ in range(2))

    def forward(self, domain: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, log variance) of rows of these domains, each `row latent`."""
        return self.mean[domain], self.raw[domain].clamp(-WIDEST, WIDEST)


def explained_by_domain(z: Tensor, domain: Tensor, domains: int) -> Tensor:
    """Share of each latent's variance that lies between the domains' means, `latent`; 0 where it says nothing of them.

    The mean of domains that a batch holds; with n rows in k domains chance is (k − 1) / (n − 1).
    """
    member = torch.nn.functional.one_hot(domain, domains).to(z.dtype)  # row domain
    count = member.sum(dim=0).clamp_min(1.0)
    means = member.T @ z / count[:, None]
    centre = z.mean(dim=0)
    between = (count[:, None] * (means - centre).square() * (member.sum(dim=0) > 0)[:, None]).sum(dim=0)
    return between / (z - centre).square().sum(dim=0).clamp_min(1e-12)
