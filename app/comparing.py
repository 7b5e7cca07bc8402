"""Comparisons for the Steer page, which needs no torch before the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steering.levers import Lever

if TYPE_CHECKING:
    from steering.row_comparison import RowComparison


def compare_on_graph(subject: Any, graph: Any, levers: list[Lever], prompt: str, **rest: Any) -> Any:
    """`steering.on_graph.compare_on_graph`, imported at first use."""
    from steering.on_graph import compare_on_graph as compare

    return compare(subject, graph, levers, prompt, **rest)


def compare_on_probe(subject: Any, probe: str, levers: list[Lever], prompt: str, **rest: Any) -> Any:
    """`steering.generate.compare` with a probe by name: text without a graph."""
    from steering.generate import compare
    from steering.sources import opened

    return compare(subject, opened(probe), levers, prompt, **{**rest, "concept": ""})


def compare_pictures(subject: Any, probe: str, levers: list[Lever], inputs: Any, **rest: Any) -> dict[str, Any]:
    """`steering.pictures.compare_pictures` with a probe by name, as plain data."""
    from steering.pictures import compare_pictures as compare
    from steering.sources import opened

    found = compare(subject, opened(probe), levers, inputs, **rest)
    return dict(found.model_dump(mode="json"))


def compare_rows(representation: str, levers: list[Lever], row: int, **rest: Any) -> RowComparison:
    """`steering.rows.compare_row` for a name that comes from a browser."""
    from steering.rows import compare_row

    return compare_row(representation, levers, row, names_only=True, **rest)


def sweep_pictures(subject: Any, probe: str, lever: Lever, inputs: Any, **rest: Any) -> dict[str, Any]:
    """`steering.picture_sweep.sweep_lever` with a probe by name, as plain data. What it costs is told first, as
    the progress of a step that is not done yet."""
    from steering.picture_sweep import SweepConfig, plan_sweep, sweep_lever
    from steering.sources import opened

    cost = plan_sweep(subject, opened(probe), lever, inputs, rest["asking"], SweepConfig()).cost
    rest["progress"](0, cost.calls, f"{cost.runs} runs, {cost.calls:,} calls of the denoiser")
    found = sweep_lever(subject, opened(probe), lever, inputs, **rest)
    return dict(found.model_dump(mode="json"))
