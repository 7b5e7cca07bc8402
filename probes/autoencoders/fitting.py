"""From rows to a dictionary: what an autoencoder is made of, trained for, and turned into.

`fit` does it all in memory, for worlds, sweeps and notebooks; a training recipe takes the same steps one by one
so that a run can stop between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from torch import Tensor

from probes.activations.rows import sample_rows
from probes.addresses import HookPoint
from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.dictionary import Dictionary
from probes.autoencoders.normalisation import Normalisation
from probes.autoencoders.registry import AUTOENCODERS, NORMALISATIONS
from probes.autoencoders.topk import TopKOptions
from probes.configs import Frozen, Variant
from probes.errors import WorkbenchError
from probes.tasks.reconstruct import ReviveConfig
from probes.tasks.registry import TASKS
from probes.training.loop import OptimiserConfig, Progress, train
from probes.training.objective import Batch, Objective, component
from probes.training.schedules import constant

SAMPLE_ROWS = 8192  # that normalisation and biases start from

if TYPE_CHECKING:
    AnyAutoencoder = Variant
else:
    AnyAutoencoder = AUTOENCODERS.variants()


class DictionaryConfig(Frozen):
    """A dictionary and how it is trained."""

    autoencoder: AnyAutoencoder = Field(default=TopKOptions(), description="Its architecture.")
    normalise: Annotated[str, NORMALISATIONS] = Field(
        default="centred_norm", description="What is done to rows first; it is folded into the weights after."
    )
    n_latents: int = Field(default=4608, description="Latents in the dictionary.", ge=8, le=1_048_576)
    k: float = Field(default=32, description="Active latents per row.", gt=0, le=4096)
    optimiser: OptimiserConfig = Field(default=OptimiserConfig(), description="How it is optimised.")
    revive: ReviveConfig = Field(default=ReviveConfig(), description="How dead latents are revived.")
    dead_after: int = Field(default=50_000, description="Rows without firing after which a latent is dead.", ge=1)


def new_autoencoder(
    config: DictionaryConfig,
    d_model: int,
    *,
    seed: int = 0,
    d_out: int | None = None,
    sites: tuple[int, ...] = (),
    normalise: Normalisation | None = None,
) -> TrainableAutoencoder:
    """An untrained autoencoder of the config's architecture and size.

    `d_out`: width of the target, for one that predicts another place; `sites`: widths of the blocks of a row, for
    one that reads several; `normalise`: instead of the config's.

    Raises `WorkbenchError` when k does not fit the width, or the widths do not fit.
    """
    architecture: type[TrainableAutoencoder] = AUTOENCODERS.load(config.autoencoder.kind)
    _check_k(config, whole=architecture.most_active is not TrainableAutoencoder.most_active)
    predicts = "target" in architecture.reads
    if predicts != (d_out is not None) or (sites and (not architecture.several_sites or sum(sites) != d_model)):
        raise WorkbenchError(
            "bad-config",
            f"The rows do not fit a {config.autoencoder.kind}",
            f"it {'predicts' if predicts else 'does not predict'} another place's rows, "
            f"and reads {'several sites' if architecture.several_sites else 'one site'}",
            "Choose another architecture, or give it the rows it needs.",
        )
    if normalise is None:
        normalise = NORMALISATIONS.load(config.normalise)(d_model, d_out or d_model, sites)
    return architecture(
        d_model,
        config.n_latents,
        config.k,
        seed=seed,
        dead_after=config.dead_after,
        normalise=normalise,
        options=config.autoencoder,
        d_out=d_out,
        sites=sites,
    )


def objective_of(trained: TrainableAutoencoder, config: DictionaryConfig) -> Objective:
    """What an autoencoder is trained for: the tasks and constraints of its architecture, and revival."""
    steps = config.optimiser.steps
    first, *more = trained.tasks(steps)
    revive = component(TASKS, "revive", constant(config.revive.weight), config.revive)
    return Objective(trained, [first, revive, *more], trained.constraints(steps))


def finished(
    trained: TrainableAutoencoder,
    config: DictionaryConfig,
    sample: Tensor,
    point: HookPoint,
    prefix: str,
    *,
    writes: HookPoint | None = None,
    band: int | None = None,
) -> Dictionary:
    """The dictionary of a trained autoencoder; where it aims at k, at the thresholds that give k on the sample.

    Latents that compete get one threshold for all; learnt ones all move by one length. `sample`: `row d_in` raw
    rows that it was not trained on; `band`: whose dictionary, where it has several.
    """
    found = Dictionary.from_training(trained, point, prefix, writes=writes, band=band)
    return found.calibrated(sample, config.k, learnt=not trained.competes) if trained.aims_at_k() else found


def fit(
    batch_at: Callable[[int], Batch],
    config: DictionaryConfig,
    sample: Tensor,
    *,
    seed: int = 0,
    sites: tuple[int, ...] = (),
    point: HookPoint | None = None,
    prefix: str = "latent",
    progress: Progress | None = None,
) -> Dictionary:
    """Train a dictionary on batches by step, in memory, to the end.

    `batch_at`: step to observations, `x` (`batch d_in`) and, for a transcoder, `target` (`batch d_out`);
    `sample`: `row d_in` rows that are not among them, for the threshold.
    """
    start = sample_rows(batch_at, SAMPLE_ROWS)
    target = start.get("target") if "target" in AUTOENCODERS.load(config.autoencoder.kind).reads else None
    trained = new_autoencoder(
        config, start["x"].shape[1], seed=seed, d_out=None if target is None else target.shape[1], sites=sites
    )
    trained.begin(start["x"], target)
    quiet = Progress(lambda step, values: None, lambda: False, lambda step, tensors, state: None)
    train(objective_of(trained, config), batch_at, config.optimiser, progress or quiet)
    return finished(trained, config, sample, point or HookPoint(path="rows"), prefix)


def _check_k(config: DictionaryConfig, *, whole: bool) -> None:
    if config.k > config.n_latents // 2:
        raise WorkbenchError(
            "bad-config",
            "k is too large",
            f"{config.k:g} of {config.n_latents} latents",
            "Choose k below half the width.",
        )
    if whole and config.k != int(config.k):
        raise WorkbenchError(
            "bad-config",
            "k is no whole number",
            f"{config.k:g} latents of every row",
            "Round k, or choose batch_topk, which shares k out over a batch.",
        )
