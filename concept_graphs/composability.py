"""Can a combination of concepts be composed of what training showed? Module by module, along the edges of a graph.

The criterion (compositional generalisation through a hierarchy): a combination is composable where for every module
below it some training example, a different one for each module if need be, had those of the module's parents on that
the combination turns on. It never asks that the whole combination was seen. Here modules are the concepts reached
downwards along edges, level by level; what is reached counts as on for the level below. Parents the combination says
nothing about are left open.

What is measured is the support of *codes* under *found* edges: a module without an edge in the graph is not asked
for, and a missing one says that training never showed its parents together, not that the subject must fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from concept_graphs.support import Support
from concept_graphs.tables import ConceptId
from probes.configs import Frozen
from probes.errors import WorkbenchError

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph

MOST = 50


class Module(Frozen):
    """A concept below a combination, and whether training showed what the combination asks of it."""

    concept: ConceptId = Field(description="The module: a concept of a lower level.")
    label: str = Field(description="Its label.")
    parents: list[ConceptId] = Field(description="Its parents that the combination turns on.")
    examples: int = Field(ge=0, description="Training examples in which all of these were on.")
    expected: float = Field(ge=0, description="The same if they came independently of each other.")
    covered: bool = Field(description="Whether these are enough.")


class Composability(Frozen):
    """What `graph compose --json` prints: whether a combination is covered, module by module."""

    concepts: list[ConceptId] = Field(description="The combination.")
    labels: list[str] = Field(description="Their labels.")
    evidence: Literal["confirmed", "proposed"] = Field(
        description="Edges that were followed: confirmed ones, or all that were proposed."
    )
    unit: str = Field(description="What an example is.")
    examples: int = Field(description="Training examples looked at.")
    least: int = Field(description="Examples that cover a module.")
    together: int = Field(description="Examples in which the whole combination was on.")
    together_expected: float = Field(description="The same if its concepts came independently of each other.")
    coverage: float | None = Field(description="Share of modules that are covered; null where none is reached.")
    coverage_shared: float | None = Field(
        description="The same of modules with two parents or more, the only ones a combination is new to; null if none."
    )
    modules: list[Module] = Field(description="Missing ones first, then those with the most parents.")

    @property
    def missing(self) -> list[Module]:
        return [module for module in self.modules if not module.covered]


def composability(
    graph: ConceptGraph,
    support: Support,
    concepts: Sequence[str],
    *,
    least: int = 1,
    only_confirmed: bool | None = None,
) -> Composability:
    """Follow a combination down the graph and look every module up in the training support.

    `only_confirmed`: None follows confirmed edges where any leads down from the combination, else all proposed ones.
    Raises `WorkbenchError` for fewer than two concepts, more than 50, or one that is not in the graph.
    """
    chosen = list(dict.fromkeys(concepts))
    if not 2 <= len(chosen) <= MOST:
        raise WorkbenchError(
            "no-combination",
            "There is nothing to combine",
            f"{len(chosen)} concepts were chosen",
            f"Choose between two and {MOST} different ones.",
        )
    for key in chosen:
        graph.node(key)
    if only_confirmed is None:
        only_confirmed = any(edge.confirmed for key in chosen for edge in graph.children(key))
    found = [_module(graph, support, *one, least) for one in _reached(graph, chosen, only_confirmed).items()]
    found.sort(key=lambda module: (module.covered, -len(module.parents), module.examples, module.concept))
    shared = [module for module in found if len(module.parents) > 1]
    return Composability(
        concepts=chosen,
        labels=[graph.node(key).label for key in chosen],
        evidence="confirmed" if only_confirmed else "proposed",
        unit=support.record.unit,
        examples=support.record.examples,
        least=least,
        together=support.together(chosen),
        together_expected=support.expected(chosen),
        coverage=_share(found),
        coverage_shared=_share(shared),
        modules=found,
    )


def _reached(graph: ConceptGraph, chosen: Sequence[str], only_confirmed: bool) -> dict[str, list[str]]:
    """Module to its parents that are on, from the highest level down; what is reached is on in turn."""
    parents: dict[str, list[str]] = {}
    on = set(chosen)
    for level in reversed(graph.meta.levels):
        for key in sorted(key for key in on if graph.node(key).level == level.name):
            for edge in graph.children(key):
                if edge.confirmed or not only_confirmed:
                    parents.setdefault(edge.source, []).append(key)
                    on.add(edge.source)
    return parents


def _module(graph: ConceptGraph, support: Support, key: str, parents: list[str], least: int) -> Module:
    examples = support.together(parents)
    return Module(
        concept=key,
        label=graph.node(key).label,
        parents=parents,
        examples=examples,
        expected=support.expected(parents),
        covered=examples >= least,
    )


def _share(modules: Sequence[Module]) -> float | None:
    return sum(module.covered for module in modules) / len(modules) if modules else None


def in_words(found: Composability) -> str:
    """The answer in a sentence or two."""
    seen = (
        f"Together in {found.together:,} of {found.examples:,} training examples, {found.together_expected:,.1f} "
        f"expected by chance (an example: {found.unit})."
    )
    if found.coverage is None:
        return f"{seen} No {found.evidence} edge leads down from the combination, so no module can be looked up."
    covered = len(found.modules) - len(found.missing)
    said = f"{covered} of {len(found.modules)} modules covered along {found.evidence} edges: {found.coverage:.0%}."
    shared = sum(len(module.parents) > 1 for module in found.modules)
    if shared:
        said += f" Of the {shared} with several parents on, {found.coverage_shared:.0%}."
    else:
        said += " None lies below two of the concepts: this says nothing of the combination."
    above = {parent for module in found.modules for parent in module.parents}
    if alone := [
        f"{label} ({key})" for key, label in zip(found.concepts, found.labels, strict=True) if key not in above
    ]:
        said += f" No {found.evidence} edge leads down from {' or '.join(alone)}."
    return f"{said} {seen}"
