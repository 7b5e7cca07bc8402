"""What the workbench says of edges and their evidence: one text per way of testing, for cards, legends and tables."""

from __future__ import annotations

from typing import Literal, NamedTuple

from concept_graphs.graph import ConceptGraph
from concept_graphs.schema import GraphMeta

Way = Literal["discovered", "proposed", "ablated-low", "mean-low", "activated-low", "ablated-high", "activated-high"]


class Words(NamedTuple):
    """`card`: under a concept's edges; `legend`: beside the drawn graph; `table`: over the table of evidence;
    `counted`: what n counts; `beside`: the head of the column for the part of an effect."""

    card: str
    legend: str
    table: str
    counted: str
    beside: str


def words_of(graph: ConceptGraph) -> Words:
    """The words that fit how the edges of a graph were tested."""
    meta = graph.meta
    if graph.only_proposed:
        return WORDS["discovered" if meta.joins == "within" else "proposed"]
    if meta.direction == "composes":
        return WORDS[
            "activated-low" if meta.activated else "mean-low" if meta.intervention == "mean" else "ablated-low"
        ]
    return WORDS["activated-high" if meta.activated else "ablated-high"]


def chance_of(meta: GraphMeta) -> str:
    """What the rule lets through by chance, or nothing where it was not measured."""
    counts = [(null.get("placebos"), null.get("placebos_confirmed")) for null in meta.nulls.values()]
    known = [(of, passed) for of, passed in counts if isinstance(of, int) and isinstance(passed, int)]
    tested, confirmed = (sum(column) for column in zip(*known, strict=True)) if known else (0, 0)
    if not tested:
        return ""
    return f"Of {tested:,} random directions judged by the same rule in place of a concept, {confirmed:,} pass."


_STATE = (
    "State: the effect when the sampler state alone carries it, every later noise prediction being that of the run "
    "without the edit; between blocks of the same steps, the effect inside single passes, every step starting from the "
    "state of the run without the edit. q: p after Benjamini-Hochberg over all tested edges; lower is better. n counts "
    "images."
)
_BEYOND = (
    "Its 95 % interval excludes zero and its effect is beyond the null, the same places and the same size along random "
    "decoder directions: beyond the 95 % quantile for that target, with q at most 0.05, and in the same {where}."
)
_LINES = "Each point is a concept, each line an edge that intervention confirmed: "


def _of_text(when: str, doing: str, sense: str) -> Words:
    return Words(
        card=f"Effect: change of the higher code, in its standard deviations, when {when}; 95 % interval over chunks. "
        "The grey band is the null: the same places and the same size along a random decoder direction. Composed: "
        "something is left with the direct residual path held.",
        legend=f"{_LINES}{doing} changes the upper one. {_BEYOND.format(where='chunks')} Solid lines are composed: an "
        "effect is left when the direct residual path is held. Dashed lines are carried by that path alone.",
        table=f"Effect: change of the upper code, in its standard deviations, when {when}; {sense}. The dot is the "
        "effect, the line its 95 % interval over chunks of held-out text, the grey band the null. Held: the effect "
        "left with the direct residual path held. q: p after Benjamini-Hochberg over all tested edges; lower is "
        "better. n counts chunks.",
        counted="chunks",
        beside="held, s.d.",
    )


WORDS: dict[Way, Words] = {
    "discovered": Words(
        card="Edges are what causal discovery proposes from linear dependence on held-out rows; no intervention tested "
        "them. Beside each: on how many of the resampled rows it comes back.",
        legend="Each point is a latent, each line an edge that causal discovery proposes and no intervention tested. A "
        "line with a head has a proposed direction, one without is open.",
        table="Proposed by causal discovery from linear dependence on held-out rows; no intervention tested any edge.",
        counted="rows",
        beside="held, s.d.",
    ),
    "proposed": Words(
        card="Edges are proposals with the weight their source gives them; no intervention tested them.",
        legend="Each point is a concept, each line an edge that is proposed and no intervention tested.",
        table="Proposed, with the weight that their source gives them; no intervention tested any edge.",
        counted="rows",
        beside="held, s.d.",
    ),
    "ablated-low": _of_text(
        "the lower concept is ablated where it fires in held-out text",
        "removing the lower concept where it fires",
        "negative means that the lower one supports the upper one",
    ),
    "mean-low": _of_text(
        "the lower concept is left at its mean where it fires in held-out text",
        "leaving the lower concept at its mean where it fires",
        "negative means that the lower one supports the upper one",
    ),
    "activated-low": _of_text(
        "the lower concept is given, as strongly as it fires elsewhere, to held-out text in which it does not fire",
        "giving the lower concept to text in which it does not fire",
        "positive means that the lower one supports the upper one",
    ),
    "ablated-high": Words(
        card="Effect: change of the lower concept's mean code in an image, in its standard deviations, when the higher "
        "concept is ablated earlier in its trajectory; 95 % interval over held-out images. The grey band is the null: "
        "the same places and the same size along a random decoder direction.",
        legend=f"{_LINES}removing the concept that is computed first changes the other one, at less noise or in a "
        f"later block, in the same image. {_BEYOND.format(where='images')}",
        table="Effect: change of the lower concept's mean code in an image, in its standard deviations over images, "
        "when the concept that is computed first is removed; negative means that the higher one brings the lower one "
        f"about. The dot is the effect, the line its 95 % interval over held-out images, the grey band the null. "
        f"{_STATE}",
        counted="images",
        beside="state or inside, s.d.",
    ),
    "activated-high": Words(
        card="Effect: change of the lower concept's mean code in an image made without a prompt, in its standard "
        "deviations, when the higher concept is given to it where and as strongly as it fires in an image made with "
        "one; 95 % interval over held-out images. The grey band is the null: the same places and the same size along a "
        "random decoder direction.",
        legend=f"{_LINES}given to an image made without a prompt, the concept that is computed first changes the other "
        f"one, at less noise or in a later block. {_BEYOND.format(where='images')}",
        table="Effect: change of the lower concept's mean code in an image made without a prompt, in its standard "
        "deviations over images, when the concept that is computed first is given to it; positive means that the "
        "higher one brings the lower one about. The dot is the effect, the line its 95 % interval over held-out "
        f"images, the grey band the null. {_STATE}",
        counted="images",
        beside="state or inside, s.d.",
    ),
}
