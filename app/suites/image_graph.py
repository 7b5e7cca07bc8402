"""Rows of an image graph: do its concepts group as Unicode groups the emoji they fire on?

The truth of a concept is the group, subgroup and vendor's style of the captions it fires on most. Communities of the
graph's confirmed edges are held against it beside three others on the same concepts: of all edges that were tested,
of as many edges as these between the codes that go together best, and clusters of the decoder rows of one level, to
which no graph belongs. The vendor is a factor of its own: a grouping by concept says nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field
from scipy import sparse

from app.suites.captured import captured_images
from app.suites.measured import probed
from app.suites.rows import Row
from app.suites.suite import Suite
from concept_graphs.agreement import Groups, agreement, clusters, coactivation, communities, favourites, joined_alike
from concept_graphs.graph import ConceptGraph
from probes.activations.store import ActivationStore
from probes.activations.trajectories import ImageCaptureConfig
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.files import atomic_write
from probes.runs import Run
from probes.worlds.emoji import read_emoji

if TYPE_CHECKING:
    from probes.hierarchy.probe import Level, Probe

FACTORS = ("group", "subgroup", "style")
WeighedEdges = Sequence[tuple[int, int, float]]


class ImageGraphConfig(Frozen):
    """Hold a graph of the bundled emoji pipeline against what is known of its emoji."""

    graph: str = Field(default="bundled/emoji", description="Concept graph of the emoji pipeline.")
    store: str = Field(
        default="emoji-captions", description="Store of the pipeline's captions; captured where it is not there."
    )
    seed: int = Field(default=0, description="Seed of communities, shuffles and intervals.", ge=0)


def image_graph_rows(config: ImageGraphConfig, run: Run) -> Iterator[Row]:
    """Agreement by factor and way of grouping. Raises `WorkbenchError` for a graph of another subject or a store
    without the captions, `Stopped` when asked to stop."""
    from probes.hierarchy.probe import open_probe

    graph = ConceptGraph.open(config.graph)
    probe = open_probe(graph.meta.probe)
    store = _captions(config, graph, probe, run)
    run.update(message="encoding pictures")
    codes = sparse.hstack([_codes(store, probe.level(row.name), graph) for row in graph.meta.levels]).tocsr()
    labels = _labels(store)
    truths = {factor: favourites(codes, [one[factor] for one in labels]) for factor in FACTORS}
    edges = {"graph": _edges(graph, confirmed=True), "tested": _edges(graph, confirmed=False)}
    edges["coactivation"] = _together(codes, graph, len(edges["tested"]))
    run.update(message="grouping")
    for factor, truth in truths.items():
        for name, own in edges.items():
            groups = communities(own, len(graph.nodes), seed=config.seed)
            yield _agreed(f"image_graph.{name}.{factor}", groups, truth, config.seed)
            yield from _alike(f"image_graph.{name}.{factor}", own, truth, config.seed)
        yield _flat(f"image_graph.flat.{factor}", graph, probe, truth, config.seed)


def _captions(config: ImageGraphConfig, graph: ConceptGraph, probe: Probe, run: Run) -> ActivationStore:
    corpus = run.path / "captions.jsonl"
    atomic_write(corpus, "".join(json.dumps(entry) + "\n" for entry in read_emoji().captions()).encode())
    points = tuple(dict.fromkeys(str(level.point) for level in probe.levels))
    asked = ImageCaptureConfig(
        name=config.store, subject=graph.meta.subject, prompts=str(corpus), points=points, held_out=0.3, batch=16,
    )  # fmt: skip
    store = captured_images(asked, run)
    if store.index.subject != graph.meta.subject:
        raise WorkbenchError(
            "wrong-subject",
            f"The store {config.store} is of another subject",
            f"it was captured from {store.index.subject}, the graph is of {graph.meta.subject}",
            "Name another store; one that is not there is captured.",
        )
    return store


def _labels(store: ActivationStore) -> list[Mapping[str, str]]:
    """What is known of each training image's caption, in the order of the store."""
    from concept_graphs.evidence_images import SplitImages

    known = {entry["text"]: entry["labels"] for entry in read_emoji().captions()}
    prompts = SplitImages(store, "train").prompts
    if unknown := next((prompt for prompt in prompts if prompt not in known), ""):
        raise WorkbenchError(
            "not-captions",
            f"The store {store.path.name} holds other prompts than the emoji captions",
            f"nothing is known of {unknown[:60]!r}",
            "Name a store that is not there; it is captured.",
        )
    return [known[prompt] for prompt in prompts]


def _codes(store: ActivationStore, level: Level, graph: ConceptGraph) -> sparse.csr_matrix:
    """Largest code in each training image of the level's concepts, `image concept`, in the graph's order."""
    from concept_graphs.image_codes import largest_codes
    from probes.hierarchy.codes import encoded

    latents = [node.index for node in graph.nodes if node.level == level.name]
    return sparse.vstack([largest_codes(store, part, latents) for part in encoded(store, "train", level)]).tocsr()


def _edges(graph: ConceptGraph, *, confirmed: bool) -> WeighedEdges:
    """Confirmed edges, or all that were tested, with |effect| as their weight."""
    return [
        (graph.position(edge.source), graph.position(edge.target), abs(edge.effect))
        for edge in graph.edges
        if edge.effect and (edge.confirmed or not confirmed)
    ]


def _together(codes: sparse.csr_matrix, graph: ConceptGraph, count: int) -> WeighedEdges:
    """The `count` pairs of adjacent levels whose codes correlate most over images."""
    number = {row.name: at for at, row in enumerate(graph.meta.levels)}
    return coactivation(codes, np.array([number[name] for name in graph.nodes["level"]]), count)


def _agreed(name: str, groups: Groups, truth: Sequence[str], seed: int) -> Row:
    found = agreement(groups, truth, seed=seed)
    unit = "adjusted mutual information with the truth, chance is 0; baseline: 95 % quantile with the truth shuffled"
    return Row(
        name=f"{name}.information", value=found.value, low=found.low, high=found.high, n=found.n, unit=unit,
        better="" if name.endswith("style") else "up", baseline=found.shuffled,
    )  # fmt: skip


def _alike(name: str, edges: WeighedEdges, truth: Sequence[str], seed: int) -> Iterator[Row]:
    if not any(truth[a] and truth[b] for a, b, _ in edges):
        return
    found, chance = joined_alike(edges, truth, seed=seed)
    unit = "share of edges that join concepts of the same truth; baseline: shuffled"
    yield Row(
        name=f"{name}.joined_alike", value=found.value, low=found.low, high=found.high, n=found.n, unit=unit,
        better="" if name.endswith("style") else "up", baseline=chance,
    )  # fmt: skip


def _flat(name: str, graph: ConceptGraph, probe: Probe, truth: Sequence[str], seed: int) -> Row:
    """Clusters of the decoder rows of the level with the most concepts, as many as the truth has labels."""
    level = max((row.name for row in graph.meta.levels), key=graph.nodes["level"].count)
    chosen = [at for at, node in enumerate(graph.nodes) if node.level == level and truth[at]]
    rows = probe.level(level).space.w_dec[[graph.nodes["index"][at] for at in chosen]].double().numpy()
    own = [truth[at] for at in chosen]
    return _agreed(name, clusters(rows, len(set(own))), own, seed)


SUITE = Suite(ImageGraphConfig, image_graph_rows, of="graph", suits=lambda config: probed(config.graph, "pictures"))
