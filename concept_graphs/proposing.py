"""Every registered proposal on the same codes, as tables of all pairs that one ruler can score."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from concept_graphs.edges.gates import GateProposal, with_bootstrap
from concept_graphs.edges.proposal import Proposal, Proposed
from concept_graphs.edges.registry import PROPOSALS
from concept_graphs.methods import BOOTSTRAP
from concept_graphs.score import table_of
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.fit_maps import MapConfig, fit_map
from probes.registry import Registry

Floats = NDArray[np.float64]
# Proposals that codes suffice for: the others ask the subject.
FROM_CODES = Registry(
    "edge proposal from codes",
    {name: (row.target, row.sentence) for name, row in PROPOSALS.items() if not row.load().needs_subject},
)


class BothCodes(NamedTuple):
    """Codes to fit on, and others that say how well targets are predicted."""

    fitting: PairedCodes
    held_out: PairedCodes


def usable() -> tuple[str, ...]:
    """Proposals from codes whose libraries are installed."""
    wanted = {name: getattr(FROM_CODES.load(name), "library", "") for name in FROM_CODES}
    return tuple(name for name, library in wanted.items() if not library or find_spec(library) is not None)


def in_memory(low: Any, high: Any) -> PairedCodes:
    """Codes `row n` of two levels, dense or sparse, as pairs; every row is a chunk of its own."""
    rows = low.shape[0]
    return PairedCodes(sparse.csr_matrix(low), sparse.csr_matrix(high), np.arange(rows))


def proposed_tables(
    codes: BothCodes, config: MapConfig, *, fits: int, seed: int, among: Collection[str] = FROM_CODES
) -> Iterator[tuple[str, Floats]]:
    """(name, `high low`) of every proposal `among` these, higher is surer and −∞ not proposed; after gates, of gates
    by their frequency over `fits` refits on resampled rows, ties broken by weight."""
    shape = (codes.fitting.high.shape[1], codes.fitting.low.shape[1])
    for name in among:
        made = FROM_CODES.load(name)
        if made.needs_map:
            yield from _of_map(name, made(), codes, config, fits=fits, seed=seed)
        else:
            proposed = made(config).propose(codes.fitting)
            yield name, _of(proposed, proposed.score, shape)


def frequencies(codes: BothCodes, config: MapConfig, *, fits: int, seed: int) -> Floats:
    """In which share of refits on resampled rows gates keep each pair, `high low`; 0 where they never did."""
    shape = (codes.fitting.high.shape[1], codes.fitting.low.shape[1])
    tables = dict(_of_map("gates", GateProposal(), codes, config, fits=fits, seed=seed))
    return frequency_of(tables[BOOTSTRAP], fits).reshape(shape)


def frequency_of(table: Floats, fits: int) -> Floats:
    """The frequency in a table of `BOOTSTRAP`, without what broke ties."""
    return np.floor(np.where(np.isfinite(table), table, 0.0) * fits + 1e-6).clip(0, fits) / fits


def _of_map(
    name: str, proposal: Proposal, codes: BothCodes, config: MapConfig, *, fits: int, seed: int
) -> Iterator[tuple[str, Floats]]:
    fitting, held_out = codes
    shape = (fitting.high.shape[1], fitting.low.shape[1])
    fitted = fit_map(fitting, held_out, ("low", "high"), config, seed=seed)
    proposed = proposal.propose(fitting, fitted.map, r2_floor=fitted.r2_floor)
    yield name, _of(proposed, proposed.score, shape)
    if fits and len(proposed):
        yield BOOTSTRAP, _by_frequency(proposed, fitting, config, shape, fits=fits, seed=seed)
    elif fits:
        yield BOOTSTRAP, _of(proposed, proposed.score, shape)


def _by_frequency(
    proposed: Proposed, codes: PairedCodes, config: MapConfig, shape: tuple[int, int], *, fits: int, seed: int
) -> Floats:
    """Frequency, plus less than one refit's worth of weight."""
    again = with_bootstrap(proposed, codes, config, fits=fits, seed=seed)
    weight = proposed.weight / max(float(proposed.weight.max()), 1e-12)
    return _of(again, again.frequency + 0.5 / fits * weight, shape)


def _of(proposed: Proposed, value: Floats, shape: tuple[int, int]) -> Floats:
    return table_of(proposed.source, proposed.target, value, shape)
