"""What a trained cell is worth: on rows it never saw, against the truth, and by measures that need none."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from probes.configs import Frozen
from probes.metrics.disentanglement import (
    dci,
    interventional_robustness,
    mutual_information_gap,
    separated_attribute_predictability,
)
from probes.metrics.factor_recovery import factor_recovery, matched
from probes.metrics.information import information, transferred
from probes.metrics.published import scores
from probes.representations.blocks import block_values
from probes.representations.representation import LatentModel
from probes.representations.rows import GridRows
from probes.representations.training import Pair
from probes.worlds.factors import FactorWorld

Floats = NDArray[np.float64]
BATCH = 128  # that held-out losses are taken on: those of contrasts depend on it


class ScoringConfig(Frozen):
    """How cells are scored."""

    rows: int = Field(default=4000, description="Rows to score on, of another draw.", ge=64, le=1_000_000)
    kernel_rows: int = Field(
        default=400, description="Rows that a kernel is fitted on for R²; 0 leaves that out.", ge=0, le=20_000
    )
    tree_rows: int = Field(
        default=1000, description="Rows that trees are grown on for DCI; 0 leaves that out.", ge=0, le=100_000
    )
    published: bool = Field(
        default=False, description="Whether to add the scores of CausalVerse's release, which come out higher."
    )


class Score(Frozen):
    """The numbers of one cell. `by_factor` holds, for each factor, its correlation and its R²."""

    values: dict[str, float] = Field(description="Every number by name.")
    by_factor: dict[str, list[float]] = Field(description="Numbers that belong to single factors, in their order.")
    left_out: dict[str, str] = Field(default={}, description="Why a number that was wanted is not there, by its name.")


@torch.no_grad()
def latents_of(model: LatentModel, rows: GridRows) -> Floats:
    """Latents of all rows without any noise, `row latent`: means of posteriors, as far as tasks read them."""
    found = [model.codes(batch["x"]) for batch in rows.in_order()]
    return torch.cat(found).double().numpy()


def score(
    model: LatentModel,
    pair: Pair,
    weight: float,
    rows: GridRows,
    config: ScoringConfig,
    world: FactorWorld,
    new: GridRows | None = None,
) -> Score:
    """All numbers of a model on held-out rows of a world; `weight` is the constraint's, scaled. `new`: rows of
    combinations of factors that training never saw, where the world holds some out."""
    without_truth = losses(model, pair, weight, rows)
    codes, factors = latents_of(model, rows), rows.factors.astype(np.float64)
    with_truth, by_factor = against_truth(codes, factors, config)
    of_blocks, left_out = block_values(pair.constraint, model, world, codes, factors)
    if new is not None:
        more = on_new(codes, factors, latents_of(model, new), new.factors.astype(np.float64))
        by_factor |= more
        with_truth |= {name: float(np.mean(found)) for name, found in more.items()}
    return Score(values=with_truth | of_blocks | without_truth, by_factor=by_factor, left_out=left_out)


def on_new(codes: Floats, factors: Floats, new_codes: Floats, new_factors: Floats) -> dict[str, list[float]]:
    """Numbers by factor on new rows, by the match and by the line of the others: nothing is fitted to the new ones."""
    match = factor_recovery(codes, factors, shuffles=0).code
    return {
        "mcc_new": matched(match, new_codes, new_factors).tolist(),
        "r2_new": transferred(codes, factors, new_codes, new_factors).tolist(),
    }


def against_truth(
    codes: Floats, factors: Floats, config: ScoringConfig
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """(numbers, numbers by factor) of `codes` `row latent` for `factors` `row factor`."""
    found = factor_recovery(codes, factors)
    linear = information(codes, factors)
    values = {
        "mcc": found.mcc,
        "mcc_spearman": found.mcc_spearman,
        "mcc_chance": found.chance,
        "r2": float(linear.mean()),
        "sap": separated_attribute_predictability(codes, factors),
        "mig": mutual_information_gap(codes, factors),
        "irs": interventional_robustness(codes, factors),
    }
    by_factor = {"mcc": found.pearson.tolist(), "r2": linear.tolist()}
    if config.kernel_rows:
        some = slice(0, 2 * config.kernel_rows)
        kernel = information(codes[some], factors[some], by="kernel")
        values["r2_kernel"], by_factor["r2_kernel"] = float(kernel.mean()), kernel.tolist()
    if config.tree_rows and min(codes.shape[1], factors.shape[1]) > 1:
        trees = dci(codes[: config.tree_rows], factors[: config.tree_rows])
        values |= {"dci_disentanglement": trees.disentanglement, "dci_completeness": trees.completeness}
    if config.published:
        values |= scores(codes, factors, "causalverse-2025")
    return values, by_factor


@torch.no_grad()
def losses(model: LatentModel, pair: Pair, weight: float, rows: GridRows) -> dict[str, float]:
    """What can be known without truth: the held-out task loss, the whole objective, and what `certify` says."""
    means: dict[str, list[float]] = {}
    for batch in rows.in_order(BATCH):
        seen = model.represent(batch)
        if pair.constraint is not None and weight:
            seen = pair.constraint.impose(model, seen)
        parts = {"task": pair.task.loss(model, seen, batch)}
        if pair.constraint is not None:
            parts["penalty"] = pair.constraint.penalty(model, seen)
        for name, terms in parts.items():
            means.setdefault(name, []).append(float(torch.stack(list(terms.values())).sum()))
    values = {name: float(np.mean(found)) for name, found in means.items()}
    values["objective"] = values["task"] + weight * values.get("penalty", 0.0)
    if pair.constraint is not None:
        certified = pair.constraint.certify(model, model.represent(rows.in_order()[0]))
        values |= {f"certify.{name}": value for name, value in certified.items()}
    return values
