"""Node and edge tables: one row model per kind, stored and written column by column.

The row model is the only place where a field is declared. The column models, the JSON schema and
the row views all follow from it, so they cannot drift apart.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, JsonValue

from concept_graphs.columns import Table, column_model
from probes.configs import Frozen

Verdict = Literal["composed", "carried", "generated", "unsupported", "untested"]
CONFIRMED: frozenset[str] = frozenset({"composed", "carried", "generated"})

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
LevelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
ConceptId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*/[0-9]+$", max_length=60)]
ScoredToken = tuple[str, float]
WeighedConcept = tuple[ConceptId, float]


class KnownFactor(NamedTuple):
    """A factor of a world whose truth is known, by its name there, and its |Pearson| with the latent that was assigned
    to it, on held-out rows."""

    factor: str
    mcc: Share


class Node(Frozen):
    """One concept: a latent with its evidence."""

    id: ConceptId = Field(description="Level name and latent index, as in middle/123.")
    level: LevelName = Field(description="Name of the level the concept belongs to.")
    index: Count = Field(description="Index of the latent in the level's latent space.")
    label: str = Field(max_length=400, description="Short readable name of the concept.")
    label_tokens: list[str] = Field(description="Tokens the label finds it by; the first ones name it.")
    detection: Share | None = Field(
        None, description="How well the label's rule finds held-out rows (area under the ROC curve)."
    )
    detection_low: Share | None = Field(None, description="Lower end of the 95 % interval of detection.")
    detection_high: Share | None = Field(None, description="Upper end of the 95 % interval of detection.")
    detection_n: Count = Field(0, description="Number of held-out rows behind the detection score.")
    frequency: Share | None = Field(description="Share of rows in which the latent is active; null if unknown.")
    typical: float | None = Field(
        ge=0, description="Typical size of an active code (95th percentile); null if unknown."
    )
    spread: float | None = Field(None, ge=0, description="Participation ratio inside a chunk.")
    spread_floor: float | None = Field(None, ge=0, description="Chance floor of spread for this kind of row.")
    seed_agreement: float | None = Field(
        None, ge=-1, le=1, description="Best decoder cosine in a dictionary of another seed; null if unknown."
    )
    promoted: list[ScoredToken] = Field(default_factory=list, description="Tokens the latent makes likelier.")
    suppressed: list[ScoredToken] = Field(default_factory=list, description="Tokens it makes less likely.")
    profile: list[tuple[Share, float]] = Field(
        default_factory=list, description="Noise, and the mean activation there; only where there is a trajectory."
    )
    companions: list[WeighedConcept] = Field(
        default_factory=list,
        description="Latents of the level that rise where this one is on, with their share of its rise.",
    )
    deviation: float | None = Field(
        None,
        ge=0,
        description="Standard deviation over held-out rows, of a latent that is never off; null for one that is.",
    )
    follows: KnownFactor | None = Field(
        None, description="The factor it follows best, where a world tells; no label is made of it."
    )
    origin: dict[str, JsonValue] | None = Field(
        None, description="What the file that the concept was imported from says of it, under its own names."
    )
    x: Share | None = Field(None, description="Horizontal place in the layout.")
    y: Share | None = Field(None, description="Vertical place in the layout; the lowest level is at 0.")


class Edge(Frozen):
    """Two concepts, the proposal that joined them and the interventions that tested it."""

    source: ConceptId = Field(description="The lower concept, of the level below unless the graph joins others.")
    target: ConceptId = Field(description="The upper concept, of the level above unless the graph joins others.")
    weight: float | None = Field(None, description="Weight of the selection map.")
    correlation: float | None = Field(None, ge=-1, le=1, description="Correlation of the two codes.")
    target_r2: float | None = Field(None, le=1, description="Held-out R2 of the target's selection map.")
    frequency: Share | None = Field(None, description="Share of bootstrap fits that keep the edge.")
    effect: float | None = Field(
        None,
        description=(
            "Change of the target code, in its standard deviations, when the source is ablated; where the graph's "
            "direction is generates, of the source code when the target is."
        ),
    )
    effect_low: float | None = Field(None, description="Lower end of the 95 % interval of the effect.")
    effect_high: float | None = Field(None, description="Upper end of the 95 % interval of the effect.")
    n: Count = Field(0, description="Number of held-out chunks in which the edge was tested.")
    places: Count = Field(0, description="Number of rows at which the source was ablated.")
    beyond: float | None = Field(
        None, description="Effect less that of random directions at the same places and size, in the same chunks."
    )
    beyond_low: float | None = Field(None, description="Lower end of the 95 % interval of beyond.")
    beyond_high: float | None = Field(None, description="Upper end of the 95 % interval of beyond.")
    relative: float | None = Field(None, description="Relative change of an active target; null if none was.")
    null95: float | None = Field(
        None, ge=0, description="95 % quantile of |effect| at the same places and size in a random direction."
    )
    null995: float | None = Field(None, ge=0, description="99.5 % quantile of the same null.")
    p: Share | None = Field(None, description="p value of the effect against no change.")
    q: Share | None = Field(None, description="p after Benjamini-Hochberg over all tested edges.")
    cosine: float | None = Field(
        None, ge=-1.001, le=1.001, description="Lower decoder row against upper encoder column."
    )
    held: float | None = Field(None, description="Effect left when the direct residual path is held.")
    held_low: float | None = Field(None, description="Lower end of the 95 % interval of held.")
    held_high: float | None = Field(None, description="Upper end of the 95 % interval of held.")
    state: float | None = Field(
        None,
        description=(
            "Effect when the sampler state alone carries it: what was changed in the upper band stays in the "
            "latents, and every later step is given the noise prediction of the run without the change."
        ),
    )
    state_low: float | None = Field(None, description="Lower end of the 95 % interval of state.")
    state_high: float | None = Field(None, description="Upper end of the 95 % interval of state.")
    inside: float | None = Field(
        None,
        description=(
            "Effect inside single passes of the denoiser, where a later block of the same steps is read: every step "
            "starts from the sampler state of the run without the change."
        ),
    )
    inside_low: float | None = Field(None, description="Lower end of the 95 % interval of inside.")
    inside_high: float | None = Field(None, description="Upper end of the 95 % interval of inside.")
    oriented: bool | None = Field(
        None,
        description=(
            "Inside a level: whether the proposal says that the source comes before the target; false where it leaves "
            "the direction open. Null where levels give edges their direction."
        ),
    )
    seed_support: Share | None = Field(
        None, description="Share of dictionary seeds whose matched pair is also proposed; null if unknown."
    )
    verdict: Verdict = Field(
        "untested",
        description=(
            "composed, carried or generated: the interval excludes zero, |effect| exceeds null95, q is at most 0.05 "
            "and the interval of beyond excludes zero on the side of the effect; carried: the direct residual path "
            "explains it alone; generated: tested from high to low along a trajectory; unsupported: tested without "
            "success."
        ),
    )

    @property
    def confirmed(self) -> bool:
        """True when interventions support the edge (composed, carried or generated)."""
        return self.verdict in CONFIRMED

    @property
    def support(self) -> tuple[float, float, float]:
        """What speaks for it before any test, the larger the more: share of resamples, |correlation|, |weight|."""
        return self.frequency or 0.0, abs(self.correlation or 0.0), abs(self.weight or 0.0)


class Example(Frozen):
    """One stretch of text in which a concept is active."""

    document: str = Field(description="Name of the document.")
    position: Count = Field(description="Position of the first token in the document.")
    tokens: list[str] = Field(min_length=1, description="Token pieces as the tokenizer gives them.")
    values: list[float] = Field(description="Code of the concept at each token.")
    peak: Count = Field(description="Index of the token with the largest code.")


class Picture(Frozen):
    """One step of one image in which a concept is active, over the whole grid of its hook point."""

    document: str = Field(description="Name of the prompt in the activation store.")
    prompt: str = Field(max_length=1000, description="What the image was asked to show.")
    seed: Count = Field(description="Seed of the image.")
    step: Count = Field(description="Step of the trajectory.")
    noise: Share = Field(description="Noise at that step; 1 is pure noise.")
    grid: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field(
        description="Rows and columns of the hook point's grid."
    )
    values: list[float] = Field(min_length=1, description="Code of the concept at each cell, row by row.")
    peak: Count = Field(description="Index of the cell with the largest code.")
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field(
        description="Height and width of the small picture, in pixels."
    )
    png: str = Field(
        pattern=r"^[A-Za-z0-9+/]+=*$", max_length=2_000_000, description="The finished image, small: PNG in base64."
    )


class HeldOutRow(Frozen):
    """One held-out row of a world in which a latent is at one of its ends."""

    row: Count = Field(description="Place among the held-out rows of the world.")
    end: Literal["lowest", "highest"] = Field(description="At which end of the latent it lies.")
    value: float = Field(description="The latent's value in it.")
    x: list[float] = Field(
        default_factory=list, max_length=512, description="What is seen, where it is no picture and short enough."
    )
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = Field(
        None, description="Height and width in pixels, where it is a picture."
    )
    png: str = Field(
        "",
        pattern=r"^([A-Za-z0-9+/]+=*)?$",
        max_length=2_000_000,
        description="The picture itself: PNG in base64; empty where the world has none.",
    )


class NodeTable(Table[Node]):
    """All concepts of a graph."""

    Row = Node
    Columns = column_model(Node, "NodeColumns")


class EdgeTable(Table[Edge]):
    """All edges of a graph."""

    Row = Edge
    Columns = column_model(Edge, "EdgeColumns")
