"""Image-graph rows: do the communities of a graph's confirmed edges agree with what is known of the pictures?

The truth is the labels that the store's captions came with; on the emoji they are Unicode's group and subgroup, and
the vendor's style as a factor beside them. Communities are held against three others on the same footing: those of a
co-activation graph of the same concepts with as many edges, as many clusters of as many latents of one level's
dictionary taken flat, and the same concepts dealt out at random. All are made from training pictures (edges were
tested on held-out ones, but never on a label) and scored on held-out ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import Field

from app.suites.rows import Row, of_interval
from app.suites.suite import Suite
from concept_graphs.agreement import (
    ALONE,
    Joined,
    Known,
    advantage,
    agreement,
    clusters,
    communities,
    correlated,
    dealt_anew,
    partition,
    preferred,
)
from concept_graphs.graph import ConceptGraph
from probes.artefacts import resolve
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.metrics.intervals import Interval, bootstrap
from probes.runs import Run

if TYPE_CHECKING:
    from probes.activations.store import ActivationStore, Split
    from probes.hierarchy.probe import Probe

UNIT = "normalised mutual information on held-out pictures; jackknife interval over what they show"


class ImageGraphConfig(Frozen):
    """A graph of pictures against the labels that their captions came with."""

    graph: str = Field(default="bundled/emoji", description="Concept graph of an image subject.")
    store: str = Field(default="", description="Labelled store of images; empty for the one the graph names.")
    item: str = Field(default="concept", description="Label that says what a picture shows; resampled as a whole.")
    kinds: tuple[str, ...] = Field(
        default=("group", "subgroup", "style"), description="Labels the communities are held against.", min_length=1
    )
    flat: str = Field(default="", description="Level whose dictionary is taken flat; empty for the lowest.")
    draws: int = Field(default=200, description="Random deals of the concepts to communities.", ge=2, le=10_000)


class _Pictures(NamedTuple):
    """Mean codes of the graph's concepts and of the flat dictionary's latents, `picture latent`."""

    concepts: np.ndarray
    flat: np.ndarray


def image_graph_rows(config: ImageGraphConfig, run: Run) -> Iterator[Row]:
    """Counts of the graph, then per kind of label the agreement of every arm, then of the edges. Raises
    `WorkbenchError` for a graph that is not of pictures and for labels that the store lacks."""
    from probes.activations.store import ActivationStore
    from probes.hierarchy.probe import open_probe

    graph = ConceptGraph.open(config.graph)
    store = ActivationStore(resolve(config.store or graph.meta.store, "store"))
    _refuse(graph, store)
    probe = open_probe(graph.meta.probe)
    run.begin(message="codes of whole pictures")
    known = _known(store, config)
    train, held = (_pictures(graph, store, probe, config, split) for split in ("train", "held_out"))
    yield from _counts(graph)
    member = communities(len(graph.nodes), _confirmed(graph))
    joined = member != ALONE
    yield Row(name="image-graph.communities", value=len(set(member[joined])), n=int(joined.sum()), unit="communities")
    if len(set(member[joined])) > 1:
        run.update(message="agreement with labels")
        yield from _agreement(graph, member, train, held, known, config)
    if graph.confirmed.any():
        yield from _edges(graph, held, known, config)


def _refuse(graph: ConceptGraph, store: ActivationStore) -> None:
    if store.index.fed_with != "images" or graph.meta.direction != "generates":
        raise WorkbenchError(
            "not-pictures",
            f"The graph {graph.meta.name} is not one of pictures",
            "it has no labels to be held against",
            "Name a graph of an image subject.",
        )


def _known(store: ActivationStore, config: ImageGraphConfig) -> Known:
    """What is known of the held-out pictures. Raises `WorkbenchError` where a caption came without a label."""
    from concept_graphs.image_codes import image_documents

    labels = [store.index.documents[at].labels for at in image_documents(store, "held_out")]
    for name in (config.item, *config.kinds):
        if any(name not in one for one in labels):
            there = sorted(set.intersection(*(set(one) for one in labels)))
            raise WorkbenchError(
                "no-such-label",
                f"The pictures of {store.path.name} have no label {name!r}",
                f"their captions came with {', '.join(there)}",
                "Name one of these, or capture from a corpus whose entries have it.",
            )

    def numbered(name: str) -> np.ndarray:
        return np.unique([str(one[name]) for one in labels], return_inverse=True)[1]

    return Known(numbered(config.item), {kind: numbered(kind) for kind in config.kinds})


def _pictures(
    graph: ConceptGraph, store: ActivationStore, probe: Probe, config: ImageGraphConfig, split: Split
) -> _Pictures:
    from concept_graphs.image_codes import image_codes

    columns: list[np.ndarray] = [np.zeros(0)] * len(graph.nodes)
    flat = np.zeros((0, 0))
    for level in probe.levels:
        codes = np.concatenate(list(image_codes(store, split, level)))
        for row, node in enumerate(graph.nodes):
            if node.level == level.name:
                columns[row] = codes[:, node.index]
        if level.name == (config.flat or probe.levels[0].name):
            flat = codes
    return _Pictures(np.stack(columns, axis=1), flat)


def _confirmed(graph: ConceptGraph) -> Joined:
    source, target = graph.ends
    kept = graph.confirmed
    return Joined(source[kept], target[kept], graph.strength[kept])


def _counts(graph: ConceptGraph) -> Iterator[Row]:
    yield Row(name="image-graph.concepts", value=len(graph.nodes), unit="concepts", better="up", aim=100)
    tested = np.array([verdict != "untested" for verdict in graph.edges["verdict"]], dtype=bool)
    yield Row(
        name="image-graph.confirmed",
        value=int(graph.confirmed.sum()),
        n=int(tested.sum()),
        unit="edges whose interval excludes zero and whose effect exceeds the null, of n tested",
        better="up",
    )


def _agreement(
    graph: ConceptGraph, member: np.ndarray, train: _Pictures, held: _Pictures, known: Known, config: ImageGraphConfig
) -> Iterator[Row]:
    count, joined = len(set(member[member != ALONE])), int((member != ALONE).sum())
    edges = correlated(train.concepts, graph.level_index, int(graph.confirmed.sum()))
    together = communities(len(graph.nodes), edges)
    busiest = np.argsort(-train.flat.std(axis=0), kind="stable")[:joined]
    grouped = clusters(train.flat[:, busiest], count)
    found = {
        "graph": partition(held.concepts, member, train.concepts),
        "co-activation": partition(held.concepts, together, train.concepts),
        "flat": partition(held.flat[:, busiest], grouped, train.flat[:, busiest]),
    }
    for kind in config.kinds:
        dealt = dealt_anew(member, held.concepts, train.concepts, known.labels[kind], draws=config.draws)
        chance = float(dealt.mean())
        for arm, pictures in found.items():
            baseline = chance if arm == "graph" else None
            yield of_interval(
                f"image-graph.{kind}.{arm}", agreement(pictures, known, kind), UNIT, "up", baseline=baseline
            )
        low, high = np.quantile(dealt, [0.025, 0.975])
        yield Row(
            name=f"image-graph.{kind}.dealt-anew", value=chance, low=float(low), high=float(high), n=len(dealt),
            unit="the same with concepts dealt to communities of these sizes at random; 95 % of the deals",
        )  # fmt: skip
        for arm in ("co-activation", "flat"):
            gained = advantage(found["graph"], found[arm], known, kind)
            yield of_interval(f"image-graph.{kind}.graph-over-{arm}", gained, "difference of the two above", "up")


def _edges(graph: ConceptGraph, held: _Pictures, known: Known, config: ImageGraphConfig) -> Iterator[Row]:
    """The share of edges that join two concepts of one label, each concept's own being where its code is largest."""
    source, target = graph.ends
    tested = np.array([verdict != "untested" for verdict in graph.edges["verdict"]], dtype=bool)
    for kind in config.kinds:
        own = preferred(held.concepts, known.labels[kind])
        same = (own[source] == own[target]).astype(float)
        anywhere = _any_pair(graph, own)
        for name, rows in (("confirmed", graph.confirmed), ("unsupported", tested & ~graph.confirmed)):
            if rows.any():
                found: Interval = bootstrap([same[rows]])
                unit = f"share of {name} edges that join concepts of one {kind}"
                yield of_interval(f"image-graph.{kind}.edges-{name}", found, unit, "up", baseline=anywhere)


def _any_pair(graph: ConceptGraph, own: np.ndarray) -> float:
    """The same share over all pairs of concepts of adjacent levels."""
    shares: Mapping[int, np.ndarray] = {int(at): own[graph.level_index == at] for at in np.unique(graph.level_index)}
    same = [shares[at][:, None] == shares[at + 1][None] for at in shares if at + 1 in shares]
    return float(sum(one.sum() for one in same) / sum(one.size for one in same))


SUITE = Suite(ImageGraphConfig, image_graph_rows)
