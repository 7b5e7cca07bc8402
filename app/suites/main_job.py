"""The main job's suite: dictionaries, edges, labels and levers of one text graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, get_args

from pydantic import Field

from app.progress import counted
from app.suites.captured import captured
from app.suites.dictionaries import cost_rows, recorded_rows
from app.suites.edges import edge_rows, seed_probes
from app.suites.labels import label_rows
from app.suites.levers import lever_rows
from app.suites.measured import probed
from app.suites.probing import probing_rows
from app.suites.rows import Row
from app.suites.suite import Suite
from concept_graphs.graph import ConceptGraph
from concept_graphs.reading import as_markdown, reading_sheet
from probes.activations.capture import CaptureConfig
from probes.activations.store import ActivationStore
from probes.configs import Frozen
from probes.errors import Stopped
from probes.files import atomic_write, slug, write_json
from probes.hierarchy.probe import Probe, open_probe
from probes.runs import Run
from probes.subjects.loading import load_subject
from probes.subjects.text_autoregressive import TextAutoregressive
from steering.evaluation import LeverEvaluationConfig, evaluate_levers

Part = Literal["dictionary", "graph", "probing", "labels", "levers"]


class MainJobConfig(Frozen):
    """What of the main job to measure, and on how much text."""

    graph: str = Field(default="bundled/text", description="Concept graph that is measured.")
    parts: tuple[Part, ...] = Field(default=get_args(Part), description="What to measure.", min_length=1)
    corpus: str = Field(
        default="bundled/state-of-the-union,bundled/moby-dick",
        description="Text to encode; its held-out documents are the same as in training.",
    )
    tokens: int = Field(default=700_000, description="Most tokens of it to encode.", ge=1000)
    document_chunks: int = Field(
        default=8, description="Most chunks of one training document; held-out ones are read whole.", ge=1
    )
    loss_chunks: int = Field(default=64, description="Held-out chunks behind each cross-entropy.", ge=2)
    read_latents: int = Field(default=20, description="Random latents per level on the reading sheet.", ge=1)
    levers: LeverEvaluationConfig = Field(default=LeverEvaluationConfig(), description="How levers are evaluated.")


def main_job(config: MainJobConfig, run: Run) -> Iterator[Row]:
    """Rows of a graph; the results behind them are left in the run's folder.

    Raises `Stopped` when the run is asked to stop.
    """
    graph = ConceptGraph.open(config.graph)
    refs = [graph.meta.probe, *seed_probes(graph)]
    probes = [open_probe(probe) for probe in refs]
    if "graph" in config.parts:
        yield from edge_rows(graph)
    if "dictionary" in config.parts:
        yield from recorded_rows(refs, probes)
    if set(config.parts) <= {"graph"}:
        return
    store = encoded_text(probes[0], config, run)
    if "probing" in config.parts:
        yield from probing_rows(store, probes[0], run)
    run.update(message="loading the subject")
    subject = load_subject(graph.meta.subject, of=TextAutoregressive)
    if "dictionary" in config.parts:
        yield from cost_rows(subject, store, probes, config.loss_chunks, run)
    if "labels" in config.parts:
        levels = counted(run, probes[0].levels, "labelling random latents, level by level")
        sheet = reading_sheet(subject, store, levels, count=config.read_latents)
        atomic_write(run.path / "labels.md", as_markdown(sheet))
        yield from label_rows(sheet)
    if "levers" in config.parts:
        run.begin(steps=config.levers.concepts, message="evaluating levers")
        found = evaluate_levers(subject, probes[0], store, config.levers, _report_to(run))
        write_json(run.path / "levers.json", [result.model_dump(mode="json") for result in found])
        yield from lever_rows(found, config.levers)


def encoded_text(probe: Probe, config: MainJobConfig, run: Run) -> ActivationStore:
    """Activations of the evaluation's text at a probe's levels; captured once and kept for the next time."""
    subject = probe.record.subject
    return captured(
        CaptureConfig(
            name=slug(f"evaluation {subject} {config.tokens} {config.document_chunks} {config.corpus}"),
            subject=subject,
            corpus=config.corpus,
            layers=tuple(level.record.point.fraction for level in probe.levels),
            max_tokens=config.tokens,
            document_chunks=config.document_chunks,
        ),
        run,
    )


def _report_to(run: Run) -> Callable[[int, int], None]:
    def report(done: int, of: int) -> None:
        run.log(done)
        if run.stop_requested():
            raise Stopped

    return report


SUITE = Suite(
    MainJobConfig,
    main_job,
    leaves=("levers.json", "labels.md"),
    of="graph",
    suits=lambda config: probed(config.graph, "text"),
)
