"""The file of an attribution graph as pydantic models, and its ids made unique. Draft-07 beside: the same in JSON.

Nodes are named by layer, feature and position. circuit-tracer names an error `0_LAYER_POSITION`, which is the name
of feature LAYER of layer 0 too; such an error gets a name of its own here, and each link goes to the one of the two
that it can be about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from concept_graphs.exchange.format import MOST_BYTES, MOST_LINKS, MOST_NODES, plural, refused
from probes.configs import validated
from probes.files import read_json

SCHEMA_FILE = Path(__file__).with_name("attribution-graph.schema.json")
NodeId = Annotated[str, Field(min_length=1, max_length=200)]
ERROR, TOKEN, OUTPUT = "mlp reconstruction error", "embedding", "logit"


class _Tolerant(BaseModel):
    """Other people's objects: more fields than these are theirs, and kept."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, JsonValue]


class FileNode(_Tolerant):
    """One node."""

    node_id: NodeId
    feature: int | None = None
    layer: int | Annotated[str, Field(max_length=40)]
    ctx_idx: int = Field(ge=-1, le=10_000_000)
    feature_type: str = Field(max_length=100)
    clerp: str | None = Field(None, max_length=20_000)
    activation: float | None = None
    influence: float | None = None
    token_prob: float | None = Field(None, ge=0, le=1.001)

    @property
    def is_error(self) -> bool:
        """Whether it stands for what a reconstruction leaves out."""
        return "error" in self.feature_type

    @property
    def depth(self) -> float:
        """Place of its layer: tokens below all, outputs above all."""
        if self.feature_type == TOKEN or self.layer == "E":
            return float("-inf")
        if self.feature_type == OUTPUT:
            return float("inf")
        try:
            return float(int(self.layer))
        except ValueError:
            return float("nan")


class FileLink(TypedDict):
    """One link. A dict and no model: a file may hold a million of them. What else it says is theirs, and kept."""

    __pydantic_config__ = ConfigDict(extra="allow", allow_inf_nan=False)  # type: ignore[misc]
    source: NodeId
    target: NodeId
    weight: float


class FileMetadata(_Tolerant):
    """What is said of the whole graph."""

    slug: str = Field(max_length=400)
    scan: str | dict[str, JsonValue]
    prompt_tokens: list[str]
    prompt: str


class FileParams(_Tolerant):
    """What was chosen and grouped when the graph was saved."""

    supernodes: list[list[str]] = Field(default_factory=list)


class AttributionFile(BaseModel):
    """A whole file."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    metadata: FileMetadata
    qParams: FileParams
    nodes: list[FileNode] = Field(min_length=1, max_length=MOST_NODES)
    links: list[FileLink] = Field(max_length=MOST_LINKS)


class Named(NamedTuple):
    """A file whose nodes have unique names: `names` of the nodes in their order, and each link's two ends as places
    among the nodes; `unclear` are links that may be of either of two nodes of one name; `notes` for people."""

    file: AttributionFile
    names: list[str]
    ends: list[tuple[int, int]]
    links: list[FileLink]
    unclear: list[FileLink]
    notes: tuple[str, ...]


def read_file(path: Path) -> AttributionFile:
    """The content of a file, checked. Raises `WorkbenchError`."""
    content: Any = read_json(path, limit=MOST_BYTES)
    for name, most, noun in (("nodes", MOST_NODES, "node"), ("links", MOST_LINKS, "link")):
        rows = content.get(name) if isinstance(content, dict) else None
        if not isinstance(rows, list):
            raise refused(path, f"it has no list of {name}", "Give the JSON file of an attribution graph.")
        if len(rows) > most:
            why = f"it has {plural(len(rows), noun)}, more than {most:,}"
            raise refused(path, why, "Prune the graph in the tool that made it, then export it again.")
    return validated(AttributionFile, content, what=f"The attribution graph {path.name}")


def named(path: Path, file: AttributionFile) -> Named:
    """The file with unique names. Raises `WorkbenchError` for names given twice that are no known confusion, links
    to unknown nodes, and links given twice."""
    holders = _holders(path, file.nodes)
    taken, names = set(holders), [node.node_id for node in file.nodes]
    shared = {name: places for name, places in holders.items() if len(places) > 1}
    for places in shared.values():
        error = next(place for place in places if file.nodes[place].is_error)
        names[error] = _free(f"error_{file.nodes[error].layer}_{file.nodes[error].ctx_idx}", taken)
        taken.add(names[error])
    ends: list[tuple[int, int]] = []
    links: list[FileLink] = []
    unclear: list[FileLink] = []
    seen: set[tuple[int, int]] = set()
    for link, pair in zip(file.links, _resolved(path, file, holders), strict=True):
        if pair is None:
            unclear.append(link)
            continue
        if pair in seen:
            raise refused(path, f"the link from {link['source'][:60]} to {link['target'][:60]} is given twice")
        seen.add(pair)
        ends.append(pair)
        links.append(link)
    return Named(file, names, ends, links, unclear, tuple(_said(shared, unclear)))


def _said(shared: dict[str, list[int]], unclear: list[FileLink]) -> Iterator[str]:
    if shared:
        first = next(iter(shared))
        many = plural(len(shared), "error") + (" has" if len(shared) == 1 else " have")
        yield f"{many} the id of a feature of layer 0, such as {first}; each got an id of its own."
    if unclear:
        yield (
            f"{plural(len(unclear), 'link')} out of such an id may be the feature's or the error's: left out of the "
            "graph, kept in its settings and written again on export."
        )


def _holders(path: Path, nodes: Sequence[FileNode]) -> dict[str, list[int]]:
    """Name to the places of its nodes: one, or a feature (or other node) and an error."""
    holders: dict[str, list[int]] = {}
    for place, node in enumerate(nodes):
        holders.setdefault(node.node_id, []).append(place)
    for name, places in holders.items():
        if len(places) > 2 or (len(places) == 2 and sum(nodes[place].is_error for place in places) != 1):
            raise refused(path, f"the id {name[:60]} is given to {plural(len(places), 'node')}")
    return holders


def _resolved(path: Path, file: AttributionFile, holders: dict[str, list[int]]) -> Iterator[tuple[int, int] | None]:
    """Each link's (source, target) as places; None where two nodes may be meant.

    Nothing goes into an error, and nothing goes down: that decides most. Where both nodes of a name go into one
    target, the name is there twice, the feature's link first: that is the order of the nodes in such files.
    """
    pairs = [(link["source"], link["target"]) for link in file.links]
    times = Counter(pair for pair in pairs if len(holders.get(pair[0], ())) > 1)
    enters = {name: _entered(file, places) for name, places in holders.items()}
    met: set[tuple[str, str]] = set()
    for pair in pairs:
        sources, target = holders.get(pair[0]), enters.get(pair[1])
        if sources is None or target is None:
            unknown = pair[0] if sources is None else pair[1]
            raise refused(path, f"a link names the node {unknown[:60]!r}, which the file does not have")
        if len(sources) > 1:
            below = [at for at in sources if not file.nodes[at].depth >= file.nodes[target].depth]
            ordered = sorted(below, key=lambda at: file.nodes[at].is_error)
            again = pair in met
            met.add(pair)
            if len(below) == 2 and times[pair] == 1:
                yield None
                continue
            sources = ordered[1:] if again and len(ordered) == 2 else ordered or sources
        yield sources[0], target


def _entered(file: AttributionFile, places: Sequence[int]) -> int:
    """The node of a name that a link into it means: the one that is no error, where there is one."""
    return next((place for place in places if not file.nodes[place].is_error), places[0])


def _free(name: str, taken: set[str]) -> str:
    """A name that nobody has."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
