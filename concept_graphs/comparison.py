"""A comparison of two graphs as data: how it was asked for, and what became of each concept and edge."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from concept_graphs.tables import ConceptId, Verdict
from probes.configs import Frozen

By = Literal["index", "decoder", "shown"]
There = Verdict | Literal["no edge", "no concept", "the other way round"]


class CompareConfig(Frozen):
    """How two graphs are compared."""

    by: Literal["auto", "decoder", "shown"] = Field(
        default="auto",
        description="Match concepts by decoder rows or by what is shown of them; auto takes decoder rows where they "
        "say something.",
    )
    least: float | None = Field(
        default=None,
        description="Least similarity of a match; empty for a cosine of 0.7, or an overlap of 0.3.",
        gt=0,
        le=1,
    )
    edges: Literal["confirmed", "all"] = Field(
        default="confirmed",
        description="Edges to compare: those that interventions confirmed, or all proposed ones; all where no "
        "intervention tested those of a graph.",
    )


class KeptConcept(Frozen):
    """A concept that both graphs have."""

    a: ConceptId = Field(description="Its id in the first graph.")
    b: ConceptId = Field(description="Its id in the second graph.")
    label_a: str = Field(description="Its label in the first graph.")
    label_b: str = Field(description="Its label in the second graph.")
    similarity: float = Field(description="Cosine of decoder rows, or overlap of what is shown.")


class OneSided(Frozen):
    """A concept that only one of the graphs has."""

    id: ConceptId = Field(description="Its id in its own graph.")
    label: str = Field(description="Its label.")
    undrawn: ConceptId | None = Field(
        None, description="The latent of the other probe that is like it, where that is no concept of its graph."
    )


class ComparedEdge(Frozen):
    """An edge of either graph, with the ids of its own graph, or of the first where both have it."""

    source: ConceptId = Field(description="The concept of the level below.")
    target: ConceptId = Field(description="The concept of the level above.")
    oriented: bool | None = Field(None, description="Inside a level: whether a direction is proposed; null elsewhere.")
    effect_a: float | None = Field(None, description="Effect in the first graph.")
    effect_b: float | None = Field(None, description="Effect in the second graph.")
    there: There = Field(
        description="What the other graph says of the pair: a verdict, no edge, that it lacks one of the concepts, or, "
        "inside a level, that the proposed direction is the other one."
    )


class LevelMatch(Frozen):
    """How the concepts of a level were matched."""

    a: str = Field(description="Name of the level in the first graph.")
    b: str = Field(description="Name of the level in the second graph.")
    by: By = Field(description="index: the same latents; decoder: cosine of decoder rows; shown: tokens and examples.")
    kept: int = Field(description="Concepts both have.")
    lost: int = Field(description="Concepts of the first graph alone.")
    new: int = Field(description="Concepts of the second graph alone.")


class GraphComparison(Frozen):
    """What became of the first graph in the second."""

    a: str = Field(description="The first graph.")
    b: str = Field(description="The second graph.")
    notices: list[str] = Field(
        default=[], description="What must be known before kept, lost and new are believed; empty where all is plain."
    )
    levels: list[LevelMatch] = Field(description="Levels, the lowest first, and how each was matched.")
    edges: Literal["confirmed", "all"] = Field(description="Which edges were compared: all where nothing was tested.")
    untested: bool = Field(default=False, description="Whether no intervention tested the edges of one of both.")
    concept_agreement: float | None = Field(description="Concepts both have among those either has.")
    edge_agreement: float | None = Field(
        description="Edges both have among those either has, of concepts that both have; null where there are none."
    )
    kept: list[KeptConcept] = Field(description="Concepts both have.")
    lost: list[OneSided] = Field(description="Concepts of the first graph alone.")
    new: list[OneSided] = Field(description="Concepts of the second graph alone.")
    kept_edges: list[ComparedEdge] = Field(description="Edges both have.")
    lost_edges: list[ComparedEdge] = Field(description="Edges of the first graph alone.")
    new_edges: list[ComparedEdge] = Field(description="Edges of the second graph alone.")
