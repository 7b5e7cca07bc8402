"""What the Steer page takes levers from: a graph, or a probe without one. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from app.components.lever_rack import LeverRow
from app.desk import choices, row_for, row_of_latent, without_probe
from app.graphs import GraphLibrary
from concept_graphs.graph import ConceptGraph
from probes.artefacts import available, resolve
from probes.errors import WorkbenchError
from probes.files import read_json
from probes.subjects.registry import SUBJECTS

Kind = Literal["text", "pictures", "rows"]
PICTURES = frozenset({"image_diffusion"})


@dataclass(frozen=True)
class Source:
    """A graph or a probe by name; `probe`: what its levers belong to, a representation where that is what it is of;
    `levels`: level name to its number of latents, lowest first; `noise`: level name
    to the interval it reads in, where there is a trajectory."""

    name: str
    subject: str
    probe: str
    levels: dict[str, int]
    noise: dict[str, tuple[float, float]]
    graph: ConceptGraph | None = None

    @property
    def kind(self) -> Kind:
        """What levers act on: what the subject makes, told from its name and files, or rows of a world."""
        if self.graph is not None and self.graph.meta.representation:
            return "rows"
        found = next(name for name in SUBJECTS if SUBJECTS.load(name)().recognises(self.subject))
        return "pictures" if found in PICTURES else "text"

    @property
    def ref(self) -> str:
        """The graph's or probe's own name."""
        return self.name.partition("/")[2]

    def row(self, concept: str) -> LeverRow:
        """A new row for the rack. Raises `WorkbenchError` where there is no such concept or latent."""
        if self.graph is not None:
            return row_for(self.graph, concept)
        level, _, latent = concept.partition("/")
        if level not in self.levels or not latent.isdigit() or int(latent) >= self.levels[level]:
            known = ", ".join(f"{name}/0 to {name}/{count - 1}" for name, count in self.levels.items())
            raise WorkbenchError(
                "no-such-concept",
                f"There is no latent {concept[:60]}",
                f"the probe has {known}",
                "Choose one of these.",
            )
        return row_of_latent(level, list(self.levels).index(level), int(latent))

    def choices(self) -> dict[str, list[tuple[int, str]]]:
        """Level to (latent, label): what a swap can move to."""
        if self.graph is not None:
            return choices(self.graph)
        return {level: [(at, f"latent {at}") for at in range(min(count, 200))] for level, count in self.levels.items()}


def source_names(library: GraphLibrary) -> list[tuple[str, str]]:
    """(what is shown, name) of everything levers can be taken from, graphs before probes."""
    graphs = [(f"graph {name}", f"graph/{name}") for name in library.names()]
    return [*graphs, *((f"probe {name}", f"probe/{name}") for name in available("probe"))]


def open_source(library: GraphLibrary, name: Any) -> Source:
    """A source by its name. Raises `WorkbenchError` for whatever is wrong with it."""
    kind, _, ref = str(name or "").partition("/")
    if kind == "graph":
        graph = library.open(ref).graph
        if not (graph.meta.probe or graph.meta.representation):
            raise without_probe(graph)
        levels = {level.name: level.n_latents for level in graph.meta.levels}
        noise = {level.name: level.noise for level in graph.meta.levels if level.noise is not None}
        of = graph.meta.probe or graph.meta.representation
        return Source(str(name), graph.meta.subject, of, levels, noise, graph)
    if kind != "probe":
        raise WorkbenchError(
            "no-source", "There is nothing to steer with", "none is chosen", "Choose a graph or probe."
        )
    return _probe(str(name), ref)


def _probe(name: str, ref: str) -> Source:
    outline: Any = read_json(resolve(ref, "probe", names_only=True) / "probe.json", limit=2**22)
    try:
        levels = {str(level["name"]): int(level["n_latents"]) for level in outline["levels"]}
        noise = {str(level["name"]): _ends(*level["where"]["noise"]) for level in outline["levels"] if "where" in level}
        return Source(name, str(outline["subject"]), ref, levels, noise)
    except (KeyError, TypeError, ValueError):
        raise WorkbenchError(
            "bad-probe", f"The probe {ref} cannot be read", "its probe.json is of another format", "Train it again."
        ) from None


def _ends(low: float, high: float) -> tuple[float, float]:
    return float(low), float(high)
