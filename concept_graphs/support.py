"""The training support: which concepts of a graph were on together, example by example.

A saved graph does not have it, so it is read off the store the graph was made from and kept as an artefact of its
own, small enough to travel: whether a combination was seen is then answered without the store. An example is an image
of a store of images (a concept is on where its largest code over cells and steps is large), else a window as wide as
the widest row of any level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from concept_graphs.of_probe import probe_of
from concept_graphs.tables import ConceptId
from probes.artefacts import artefact_path, available, parent_of, read_manifest, resolve, write_manifest
from probes.configs import Frozen, validated
from probes.errors import Stopped, WorkbenchError
from probes.files import commit_directory, read_json, write_json
from probes.runs import Run

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph
    from probes.activations.store import ActivationStore
    from probes.hierarchy.probe import Level, Probe

RECORD, TABLE = "support.json", "support.npz"
MAX_BYTES = 16 * 2**20
WHAT = "record of which concepts go together in training"


class SupportConfig(Frozen):
    """Note which concepts of a graph were on together in training examples."""

    graph: str = Field(description="Graph whose concepts are looked for.", min_length=1)
    store: str = Field(default="", description="Activation store to read; empty for the graph's own.")
    name: str = Field(default="", description="Name of the support to make; empty for the graph's.", max_length=64)
    examples: int = Field(default=10_000, description="Most examples, from parts spread over the store.", ge=1)
    least: float = Field(
        default=0.5, description="A concept is on where its code reaches this share of its typical size.", gt=0, le=2
    )


class SupportRecord(Frozen):
    """The file support.json."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    kind: Literal["support"] = Field(default="support", description="Always support.")
    concepts: list[ConceptId] = Field(description="Concepts, in the order of the table's columns.")
    examples: int = Field(ge=0, description="Number of examples.")
    unit: str = Field(max_length=60, description="What an example is.")
    settings: SupportConfig = Field(description="How it was made.")


@dataclass(frozen=True)
class Support:
    """Which concepts were on: `on` bool `example concept`, by columns."""

    record: SupportRecord
    on: sparse.csc_matrix

    def column(self, concept: str) -> NDArray[np.int32]:
        """Examples in which a concept was on, ascending. Raises `WorkbenchError` for one that was not looked for."""
        at = self._columns.get(concept)
        if at is None:
            raise WorkbenchError(
                "not-in-support",
                f"Of {concept} it is not known where it was on",
                "it was not in the graph when the training support was noted",
                f"Note it again: fulcrum support {self.record.settings.graph}",
            )
        return np.asarray(self.on.indices[self.on.indptr[at] : self.on.indptr[at + 1]], dtype=np.int32)

    def together(self, concepts: Sequence[str]) -> int:
        """Examples in which all of some concepts were on."""
        counts = np.bincount(np.concatenate([self.column(key) for key in concepts]), minlength=1)
        return int((counts == len(concepts)).sum())

    def expected(self, concepts: Sequence[str]) -> float:
        """The same if concepts came independently of each other, each as often as it does."""
        n = max(self.record.examples, 1)
        return float(n * np.prod([len(self.column(key)) / n for key in concepts]))

    @property
    def _columns(self) -> dict[str, int]:
        return {key: at for at, key in enumerate(self.record.concepts)}

    @classmethod
    def load(cls, folder: Path) -> Support:
        """Read a saved support. Raises `WorkbenchError` for a folder that holds none, or a damaged one."""
        read_manifest(folder, verify=(RECORD, TABLE))
        what = f"The training support {folder.name}"
        record = validated(SupportRecord, read_json(folder / RECORD, limit=MAX_BYTES), what=what)
        try:
            with np.load(folder / TABLE, allow_pickle=False) as held:
                pointer, index = held["pointer"].astype(np.int32), held["index"].astype(np.int32)
        except (OSError, ValueError, KeyError) as error:
            raise _damaged(what, type(error).__name__) from error
        fits = len(pointer) == len(record.concepts) + 1 and pointer[0] == 0 and pointer[-1] == len(index)
        inside = not len(index) or (index.min() >= 0 and index.max() < record.examples)
        if not (fits and inside and (np.diff(pointer) >= 0).all()):
            raise _damaged(what, "its table does not fit its concepts and examples")
        shape = (record.examples, len(record.concepts))
        return cls(record, sparse.csc_matrix((np.ones(len(index), dtype=np.bool_), index, pointer), shape=shape))

    def save(self, folder: Path) -> None:
        """Write both files; the manifest is the caller's to write."""
        write_json(folder / RECORD, self.record.model_dump(mode="json"))
        wide = np.uint16 if self.record.examples <= 2**16 else np.int32
        on = self.on.sorted_indices()
        np.savez_compressed(folder / TABLE, pointer=on.indptr.astype(np.int32), index=on.indices.astype(wide))


def _damaged(what: str, why: str) -> WorkbenchError:
    return WorkbenchError("damaged", f"{what} is not usable", why, "Note it again with: fulcrum support GRAPH")


def support_of(graph: ConceptGraph) -> Support | None:
    """The newest support that holds all concepts of a graph, of its probe as it is now; None where there is none.

    Raises `WorkbenchError` when the graph has no probe, when that is not here, and for a support that is damaged.
    """
    probe = probe_of(graph.meta, WHAT)
    resolve(probe, "probe", names_only=True)
    hashed = parent_of(probe, "probe").sha256
    for ref in available("support"):
        folder = resolve(ref, "support", names_only=True)
        parent = read_manifest(folder).parents.get("probe")
        if parent is not None and parent.sha256 == hashed:
            found = Support.load(folder)
            if set(graph.nodes["id"]) <= set(found.record.concepts):
                return found
    return None


def work(config: SupportConfig, run: Run) -> Path | None:
    """Read the store and keep the support, replacing an earlier one. None when stopped. Raises `WorkbenchError` for a
    store that is not here or of another subject."""
    from concept_graphs.graph import ConceptGraph
    from probes.activations.store import ActivationStore
    from probes.hierarchy.probe import open_probe

    graph = ConceptGraph.open(config.graph)
    probe = probe_of(graph.meta, WHAT)
    store = ActivationStore(resolve(config.store or graph.meta.store, "store"))
    if store.index.subject != graph.meta.subject:
        raise WorkbenchError(
            "wrong-subject",
            f"The store {store.path.name} is of another subject",
            f"it was captured from {store.index.subject}, the graph is of {graph.meta.subject}",
            "Choose the store of this subject.",
        )
    run.begin(message="reading the probe")
    try:
        found = support_from(graph, open_probe(probe), store, config, run)
    except Stopped:
        return None
    name = config.name or config.graph
    target = artefact_path("support", name)
    with commit_directory(target, replace=True) as folder:
        found.save(folder)
        parents = {"probe": parent_of(probe, "probe"), "graph": parent_of(config.graph, "graph")}
        write_manifest(folder, kind="support", name=name, command=run.record().command, run=run.slug, parents=parents)
    return target


def support_from(graph: ConceptGraph, probe: Probe, store: ActivationStore, config: SupportConfig, run: Run) -> Support:
    """Which concepts are on in training examples. Raises `Stopped` when asked to stop."""
    images = store.index.fed_with == "images"
    ids = [node.id for level in probe.levels for node in graph.nodes if node.level == level.name]
    parts: list[sparse.csr_matrix] = []
    shards, given = store.shards("train"), 0
    run.begin(steps=len(shards), message="encoding training examples")
    for done, at in enumerate(_spread(len(shards))):
        if run.stop_requested():
            raise Stopped
        run.progress(done)
        part = sparse.hstack(list(_on(graph, probe, store, shards[at], config.least))).tocsr()
        if not images:
            part = part[_usable(probe, store, shards[at])]
        parts.append(part)
        given += part.shape[0]
        if given >= config.examples:
            break
    span = max(level.rows.span for level in probe.levels)
    unit = "image" if images else f"window of {span} tokens" if span > 1 else "row"
    on = sparse.vstack(parts).tocsr()[: config.examples]
    record = SupportRecord(concepts=ids, examples=on.shape[0], unit=unit, settings=config)
    return Support(record, on.tocsc())


def _spread(count: int) -> list[int]:
    """Every number below `count`, each far from those before it, so that any beginning is spread over all."""
    order = np.argsort([(at * 0.6180339887) % 1 for at in range(count)], kind="stable")
    return [int(at) for at in order]


def _on(
    graph: ConceptGraph, probe: Probe, store: ActivationStore, shard: int, least: float
) -> Iterator[sparse.csr_matrix]:
    """Per level, bool `example concept` of one shard."""
    from concept_graphs.image_codes import largest_codes
    from probes.hierarchy.codes import encode_shard, pooled_csr

    span = max(level.rows.span for level in probe.levels)
    for level in probe.levels:
        latents = [node.index for node in graph.nodes if node.level == level.name]
        found = encode_shard(store, shard, level)
        if store.index.fed_with == "images":
            codes = largest_codes(store, found, latents)
        else:
            codes = pooled_csr(found.codes, level.rows.span, span)[:, latents]
        typical = _typical(level, latents)
        scaled = (codes @ sparse.diags(1 / np.maximum(typical, 1e-9))).tocsr()
        yield (scaled >= least).tocsr()


def _typical(level: Level, latents: Sequence[int]) -> NDArray[np.float64]:
    """0 where none was measured: there a concept is on wherever its code is above zero."""
    return np.asarray(level.space.table.typical.double().numpy()[list(latents)])


def _usable(probe: Probe, store: ActivationStore, shard: int) -> NDArray[np.bool_]:
    """Windows of a shard that have a usable place at every level."""
    from probes.activations.rows import shard_rows

    span = max(level.rows.span for level in probe.levels)
    usable = None
    for level in probe.levels:
        own = shard_rows(store, shard, level.places, level.rows)[1].numpy()
        factor = span // level.rows.span
        short = -own.shape[1] % factor
        windows = np.pad(own, ((0, 0), (0, short))).reshape(own.shape[0], -1, factor).any(axis=2).reshape(-1)
        usable = windows if usable is None else usable & windows
    assert usable is not None
    return usable
