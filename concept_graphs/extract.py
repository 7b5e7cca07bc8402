"""Extract a concept graph from a probe: propose edges, test them on the subject, describe the concepts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from concept_graphs.assembling import assembled
from concept_graphs.edges.registry import PROPOSALS
from concept_graphs.evidence import EvidenceConfig
from concept_graphs.study import STUDIES, Study
from concept_graphs.tested_pairs import PairEvidence, tested_pair
from probes.activations.store import ActivationStore
from probes.artefacts import artefact_path, parent_of, resolve
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.files import commit_directory
from probes.hierarchy.probe import open_probe, refuse_several_places
from probes.runs import Run


class GraphConfig(Frozen):
    """Extract a concept graph: proposals, interventions on the subject, labels and examples."""

    name: str = Field(description="Name of the graph to make.", min_length=1, max_length=64)
    probe: str = Field(description="Probe to read.", min_length=1)
    store: str = Field(default="", description="Activation store; empty for the one the probe was trained on.")
    subject: str = Field(default="", description="Subject to intervene on; empty for the probe's own.")
    title: str = Field(default="", description="Title of the graph; empty for its name.", max_length=200)
    proposal: Annotated[str, PROPOSALS] = Field(default="gates", description="Where edges come from.")
    edges: int = Field(default=300, description="Edges tested per pair of levels.", ge=1, le=5000)
    per_target: int = Field(default=4, description="Most edges of one target.", ge=1)
    per_source: int = Field(default=4, description="Most edges of one source.", ge=1)
    chained: float = Field(
        default=0.5,
        description="Share of a pair's edges that first go to targets the pair above builds on.",
        ge=0,
        le=1,
    )
    r2_floor: float = Field(
        default=0.05,
        description="Targets predicted worse than this on held-out data get no edges.",
        ge=0,
        lt=1,
    )
    concepts: int = Field(
        default=100, description="Concepts of a level that has no neighbour to share edges with.", ge=1, le=5000
    )
    rows: int = Field(default=200_000, description="Training rows that proposals are ranked on.", ge=256)
    bootstrap_fits: int = Field(
        default=3, description="Refits on resampled chunks behind the bootstrap frequency.", ge=0, le=50
    )
    seed_probes: tuple[str, ...] = Field(default=(), description="Probes of other seeds, for agreement and support.")
    examples: int = Field(default=6, description="Examples per concept.", ge=1, le=50)
    loss_chunks: int = Field(default=64, description="Held-out chunks for cross-entropy; 0 for none.", ge=0)
    evidence: EvidenceConfig = Field(default=EvidenceConfig(), description="How edges are tested.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="The subject's number type."
    )
    device: str = Field(default="auto", description="Where the subject runs: auto, cpu, cuda or mps.")
    offline: bool = Field(default=True, description="Never fetch a model from a hub.")
    seed: int = Field(default=0, description="Seed of the bootstrap.", ge=0)


def work(config: GraphConfig, run: Run) -> Path | None:
    """Do the whole extraction; tested sources are kept in the run and not repeated on resume.

    Returns the graph, or None when it was asked to stop.
    """
    probe = open_probe(config.probe)
    refuse_several_places(probe.levels)
    store = ActivationStore(resolve(config.store or probe.record.store, "store"))
    subject_name = config.subject or probe.record.subject
    if subject_name != store.index.subject:
        raise WorkbenchError(
            "wrong-subject",
            f"The store {store.path.name} is of another subject",
            f"it was captured from {store.index.subject}, not {subject_name}",
            "Choose the store of this subject.",
        )
    target = artefact_path("graph", config.name)
    if run.made(target):
        return target
    run.update(message="loading the subject")
    study: Study = STUDIES.load(store.index.fed_with)(
        subject_name, store, dtype=config.dtype, device=config.device, offline=config.offline
    )
    for pair in probe.pairs():
        study.check(*pair)  # all of them, before the first is worked on
    others = [open_probe(ref) for ref in config.seed_probes]
    pairs: list[PairEvidence] = []
    above: frozenset[int] = frozenset()
    for low, high in reversed(list(probe.pairs())):
        tested = tested_pair(study, store, probe, others, low, high, above, config, run)
        if tested is None:
            return None
        pairs.insert(0, tested)
        above = frozenset(int(source) for source in tested.proposed.source)
    graph = assembled(study, probe, others, pairs, config, run)
    with commit_directory(target) as folder:
        graph.laid_out().save(
            folder,
            command=run.record().command,
            run=run.slug,
            parents={
                "probe": parent_of(config.probe, "probe"),
                "store": parent_of(config.store or probe.record.store, "store"),
            },
        )
    return target
