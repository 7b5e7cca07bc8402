"""What every autoencoder architecture is to training, to the dictionary made from it, and to its tests.

An architecture says how a batch is encoded and which tasks and constraints make it: "a sparse autoencoder is
the cell reconstruct x code sparsity". It computes no loss. Where its decoder rows are kept unit vectors, codes
are lengths; where they are free, penalties carry the decoder norms, and folding divides the rows by them.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from probes.autoencoders.centre import geometric_median
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.normalisation import Normalisation, Unchanged
from probes.configs import Variant
from probes.constraints.registry import CONSTRAINTS
from probes.errors import WorkbenchError
from probes.kernels.choice import kernels_for
from probes.latents import LatentEdges
from probes.tasks.registry import TASKS
from probes.training.objective import Batch, Component, component
from probes.training.ranks import ALONE, Ranks
from probes.training.schedules import constant

FREE_NORM = 0.1  # initial length of decoder rows that may grow: codes start small, as in SAELens


class TrainableAutoencoder(nn.Module):
    """Encoder rows `n d_in`, decoder rows `n d_out`, both started from the same random directions.

    k: active latents per row that are aimed at; may be fractional where a batch shares them.
    options: what this architecture alone can be told, an instance of `Options`.
    sites: widths of the blocks that a row is made of, where there are several.
    `since_fired` counts rows since each latent last fired; a latent is dead after `dead_after` rows.
    `revived` counts how often each fired again after it had been dead.
    `variance` is the mean squared distance of (normalised) targets to their mean, over the sample training
    starts from: the unit of prices.
    """

    Options: ClassVar[type[Variant]]
    reads: ClassVar[frozenset[str]] = frozenset({"x"})
    centre: ClassVar[bool] = True  # b_dec is subtracted from the input first
    unit_rows: ClassVar[bool] = True  # decoder rows are unit vectors after every step
    competes: ClassVar[bool] = True  # latents are on for being larger than others, at a threshold found afterwards
    several_sites: ClassVar[bool] = False
    ranks: Ranks = ALONE

    since_fired: Tensor
    revived: Tensor
    variance: Tensor

    def __init__(
        self,
        d_model: int,
        n_latents: int,
        k: float,
        *,
        seed: int,
        dead_after: int,
        normalise: Normalisation | None = None,
        options: Variant | None = None,
        d_out: int | None = None,
        sites: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(n_latents, d_model, generator=generator)
        rows = rows / rows.norm(dim=1, keepdim=True)
        decoder = rows
        if d_out is not None:
            decoder = torch.randn(n_latents, d_out, generator=generator)
            decoder = decoder / decoder.norm(dim=1, keepdim=True)
        size = 1.0 if self.unit_rows else FREE_NORM
        self.w_dec = nn.Parameter(decoder * size)
        self.w_enc = nn.Parameter(rows * size)
        self.b_enc = nn.Parameter(torch.zeros(n_latents))
        self.b_dec = nn.Parameter(torch.zeros(decoder.shape[1]))
        self.k, self.dead_after, self.seed = k, dead_after, seed
        self.options: Variant = self.Options.model_validate({}) if options is None else options
        self.sites = sites or (d_model,)
        self.normalise = normalise or Unchanged(d_model, decoder.shape[1], self.sites)
        self.register_buffer("variance", torch.tensor(1.0))
        self.register_buffer("since_fired", torch.zeros(n_latents, dtype=torch.long))
        self.register_buffer("revived", torch.zeros(n_latents, dtype=torch.long))
        self._last: Encoded | None = None
        self.build()

    def build(self) -> None:
        """Make the parameters that only this architecture has."""

    @property
    def n_latents(self) -> int:
        return len(self.w_enc)

    # -- what an architecture says -------------------------------------------------------------------------

    @abstractmethod
    def encode_batch(self, x: Tensor, target: Tensor) -> Encoded:
        """Codes and reconstruction of normalised rows `batch d_in`, whose target is `batch d_out`."""

    def tasks(self, steps: int) -> list[Component]:
        """What is to be preserved, over a training of so many steps."""
        return [component(TASKS, "reconstruct", constant(1.0))]

    def constraints(self, steps: int) -> list[Component]:
        """What structure is imposed."""
        return [component(CONSTRAINTS, "code_sparsity", constant(1.0))]

    def thresholds(self) -> Tensor:
        """What pre-activations must exceed, a scalar or `n` float32, before any calibration."""
        return torch.tensor(0.0)

    def aims_at_k(self) -> bool:
        """Whether k is the number of active latents that it is trained for, so that thresholds are held to it."""
        return self.competes

    def most_active(self) -> int | None:
        """How many latents of a row may be on once it is trained; None leaves it to the thresholds."""
        return None

    def magnitudes(self) -> tuple[Tensor, Tensor] | None:
        """Gain and bias, `n` each, where values are not the pre-activations themselves."""
        return None

    def skip_map(self) -> Tensor | None:
        """`d_out d_in`, what is added straight from the input."""
        return None

    def inner_edges(self) -> LatentEdges:
        """The edges between its own latents that training leaves."""
        return LatentEdges.none()

    def decoder_norms(self) -> Tensor:
        """`n`: what penalties weight codes by."""
        return self.w_dec.norm(dim=1)

    # -- what all of them share ----------------------------------------------------------------------------

    @torch.no_grad()
    def begin(self, sample: Tensor, target: Tensor | None = None) -> None:
        """Fit the normalisation and start the bias at the geometric median, from raw rows `row d_in`.

        `target`: `row d_out`, where it is another observation. Raises `WorkbenchError` where all rows are equal.
        """
        self.normalise.fit(sample, sample if target is None else target)
        rows = self.normalise.rows(sample) if target is None else self.normalise.targets(target, sample)
        self.b_dec.copy_(geometric_median(rows))
        self.variance.copy_((rows - rows.mean(dim=0)).square().sum(dim=1).mean())

    def represent(self, batch: Batch) -> Encoded:
        """Encode `batch["x"]` (raw rows, `batch d_in`), and remember it for what follows the step."""
        raw = batch["x"].to(self.w_enc.dtype)
        x = target = self.normalise.rows(raw)
        if self.normalise.modulates:
            target = self.normalise.rebuilt(raw)
        if "target" in self.reads:
            target = self.normalise.targets(batch["target"].to(self.w_enc.dtype), raw)
        own = self.ranks.rows
        seen = self.encode_batch(own.part(x), own.part(target)).of_all(own, x, target)
        self._last = seen.kept()
        return seen

    def divided(self, ranks: Ranks) -> TrainableAutoencoder:
        """This autoencoder as one of several processes trains it (`Objective.divided`)."""
        if ranks.shards.size > 1:
            raise WorkbenchError(
                "cannot-divide",
                "The latents of this dictionary cannot be divided over processes",
                f"it is a {type(self).__name__}",
                "Choose topk, or let the processes divide the rows: shards 1.",
            )
        self.ranks = ranks
        return self

    def pre_activations(
        self, x: Tensor, latents: Tensor | slice = slice(None), *, bias: Tensor | None = None
    ) -> Tensor:
        """`batch latent` of normalised rows `batch d_in`; `bias`: what is subtracted instead of b_dec."""
        if self.centre:
            x = x - (self.b_dec if bias is None else bias)
        return x @ self.w_enc[latents].T + self.b_enc[latents]

    def dead(self) -> Tensor:
        """`n` bool."""
        return self.since_fired >= self.dead_after

    @torch.no_grad()
    def before_step(self) -> None:
        """Remove from the decoder's gradient what would only change row lengths that are kept at one."""
        if self.unit_rows and self.w_dec.grad is not None:
            kernels_for(self.w_dec.grad, self.w_dec).remove_along(self.w_dec.grad, self.w_dec)

    @torch.no_grad()
    def project(self) -> None:
        """Unit decoder rows again, where they are."""
        if self.unit_rows:
            kernels_for(self.w_dec).normalise(self.w_dec)

    @torch.no_grad()
    def after_step(self) -> None:
        """Unit decoder rows again; count who fired."""
        self.project()
        assert self._last is not None
        dead = self.dead()
        self.since_fired += self._last.x.shape[0]
        self.since_fired[self._last.fired()] = 0
        self.revived += dead & (self.since_fired == 0)

    def gauges(self) -> dict[str, float]:
        """L0, dead share and centred explained variance of the last batch."""
        assert self._last is not None
        target, error = self._last.target, self._last.target - self._last.decoded
        variance = (target - target.mean(dim=0)).square().sum()
        return {
            "l0": float(self._last.l0().float().mean()),
            "dead": float(self.dead().float().mean()),
            "explained_variance": float(1 - error.square().sum() / variance),
        }
