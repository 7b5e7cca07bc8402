"""Rows of the minimality trade-off: a path of edge prices for each pair of levels of a probe, on its own store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from app.suites.rows import Row
from app.suites.suite import Suite
from concept_graphs.tradeoff import PathConfig, chosen_for_all, price_path
from concept_graphs.tradeoff_curve import TRADEOFF_FILE, PairCurve, Tradeoff
from probes.artefacts import parent_of, resolve
from probes.errors import WorkbenchError
from probes.files import write_json
from probes.runs import Run

if TYPE_CHECKING:
    from probes.activations.store import ActivationStore
    from probes.hierarchy.probe import Probe, ProbeRecord

PRICE = "price of an open gate (γ)"


class TradeoffConfig(PathConfig):
    """Try edge prices on the codes of a probe and score the maps on rows held out."""

    probe: str = Field(default="bundled/text", description="Probe whose levels are predicted from each other.")
    store: str = Field(default="", description="Its activation store; empty for the one it was trained on.")


def tradeoff_rows(config: TradeoffConfig, run: Run) -> Iterator[Row]:
    """A curve per pair and the price to train with; the curves stay in the run as tradeoff.json. Raises
    `WorkbenchError` for a probe of one level and a store of another subject, `Stopped` when asked to stop."""
    from probes.hierarchy.probe import open_probe, probe_record

    store = _store_of(config, probe_record(config.probe))
    probe = open_probe(config.probe)
    ref = config.store or probe.record.store
    curves = list(_curves(config, probe, store, run))
    found = Tradeoff(
        probe=config.probe,
        probe_sha256=parent_of(config.probe, "probe").sha256,
        store=ref,
        curves=curves,
        chosen=chosen_for_all(curves),
    )
    write_json(run.path / TRADEOFF_FILE, found.model_dump(mode="json"))
    for curve in curves:
        yield from _rows(curve)
    yield Row(name="tradeoff.price", value=found.chosen, unit=PRICE, note=f"for all pairs; train with {found.flag}")


def _suits(config: TradeoffConfig) -> None:
    from probes.hierarchy.probe import probe_record

    _store_of(config, probe_record(config.probe))


def _store_of(config: TradeoffConfig, record: ProbeRecord) -> ActivationStore:
    """The rows to hold out. Raises `WorkbenchError` for a probe of one level, and for a store that is not there or is
    of another subject."""
    from probes.activations.store import ActivationStore

    if len(record.levels) < 2:
        raise WorkbenchError(
            "one-level",
            f"The probe {config.probe} has no trade-off",
            "it has one level, so nothing is predicted from another",
            "Choose a probe of two levels or more.",
        )
    store = ActivationStore(resolve(config.store or record.store, "store"))
    if store.index.subject != record.subject:
        raise WorkbenchError(
            "wrong-subject",
            f"The store {store.path.name} is of another subject",
            f"it was captured from {store.index.subject}, the probe reads {record.subject}",
            "Choose the store of this subject.",
        )
    return store


def _curves(config: TradeoffConfig, probe: Probe, store: ActivationStore, run: Run) -> Iterator[PairCurve]:
    from probes.hierarchy.codes import paired

    for low, high in probe.pairs():
        pair = f"{low.name}-{high.name}"
        run.begin(message=f"{pair}: encoding")
        codes = paired(store, "train", low, high, max_rows=config.rows)

        def report(done: int, of: int, pair: str = pair) -> None:
            if done == 0:
                run.begin(steps=of, message=f"{pair}: fitting a map per price and fold")
            run.progress(done)

        yield price_path(codes, (low.name, high.name), config, report=report, stop=run.stop_requested)


def _rows(curve: PairCurve) -> Iterator[Row]:
    held = f"{len(curve.points[0].folds)} folds of chunks"
    for point in curve.points:
        name = f"tradeoff.{curve.name}.price-{point.price:g}"
        yield Row(
            name=f"{name}.bits", value=point.bits, low=point.low, high=point.high, n=curve.chunks,
            unit=f"bits per held-out row, {held}; interval over chunks; baseline: no map", better="down",
            baseline=curve.plain, note=f"standard error of the difference to the best price: {point.error:.3g}",
        )  # fmt: skip
        yield Row(name=f"{name}.edges", value=point.edges, n=curve.targets, unit="open gates, mean over folds")
        yield Row(name=f"{name}.kept", value=point.kept, n=curve.targets, unit="edges a trained probe would keep")
    yield Row(
        name=f"tradeoff.{curve.name}.price", value=curve.chosen, n=curve.chunks, unit=PRICE,
        note="the highest price within one standard error of the fewest bits",
    )  # fmt: skip


SUITE = Suite(
    TradeoffConfig,
    tradeoff_rows,
    of="probe",
    suits=_suits,
    presets={
        "tiny": {
            "rows": 2000, "targets": 16, "folds": 3, "prices": [0.001, 0.01, 0.1],
            "maps": {"minimum_rows": 20, "optimiser": {"steps": 80, "batch": 256}},
        },
    },
    leaves=(TRADEOFF_FILE,),
)  # fmt: skip
