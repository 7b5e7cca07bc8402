"""Node and edge tables: one row model per kind, stored and written column by column.

The row model is the only place where a field is declared. The column models, the JSON schema and
the row views all follow from it, so they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, cast, get_args

import numpy as np
from pydantic import BaseModel, Field, JsonValue, create_model
from pydantic.fields import FieldInfo

from probes.configs import Frozen, validated
from probes.errors import WorkbenchError

Verdict = Literal["composed", "carried", "generated", "unsupported", "untested"]
CONFIRMED: frozenset[str] = frozenset({"composed", "carried", "generated"})

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
LevelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
ConceptId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*/[0-9]+$", max_length=60)]
ScoredToken = tuple[str, float]
WeighedConcept = tuple[ConceptId, float]


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
    origin: dict[str, JsonValue] | None = Field(
        None, description="What the file that the concept was imported from says of it, under its own names."
    )
    x: Share | None = Field(None, description="Horizontal place in the layout.")
    y: Share | None = Field(None, description="Vertical place in the layout; the lowest level is at 0.")


class Edge(Frozen):
    """Two concepts, the proposal that joined them and the interventions that tested it."""

    source: ConceptId = Field(description="The lower concept, of the level below unless the graph joins any.")
    target: ConceptId = Field(description="The upper concept, of the level above unless the graph joins any.")
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


R = TypeVar("R", bound=BaseModel)
T = TypeVar("T", bound="Table[Any]")


def _column_model(row: type[BaseModel], name: str) -> type[BaseModel]:
    """The columnar twin of a row model: every field becomes a list of its values."""
    fields: dict[str, Any] = {}
    for key, field in row.model_fields.items():
        value: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        required = ... if field.is_required() else None
        kind = list[value] if field.is_required() else list[value] | None
        fields[key] = (kind, Field(required, description=field.description))
    return create_model(name, __base__=Frozen, __doc__=row.__doc__, **fields)


def _plain(values: Any, nullable: bool) -> list[Any]:
    """Numpy or sequence to a list; NaN stands for "unknown" where the column may be null."""
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return [None if isinstance(v, float) and v != v else v for v in listed] if nullable else listed


def _defaults(field: FieldInfo, size: int) -> list[Any]:
    """So many defaults of a field: each its own where it is made by a factory. Others are plain values, and asking
    pydantic for each takes minutes on a graph of many edges."""
    if field.default_factory is None:
        return [field.default] * size
    factory = cast("Callable[[], Any]", field.default_factory)  # none here looks at the other fields
    return [factory() for _ in range(size)]


class Table(Generic[R]):
    """Immutable columns of equal length. ``table["effect"]`` is a list, ``table.array("effect")`` numpy."""

    Row: ClassVar[type[BaseModel]]
    Columns: ClassVar[type[BaseModel]]

    def __init__(self, columns: Mapping[str, Any], *, what: str = "The table") -> None:
        """Validate columns (lists or 1-D arrays); a missing optional column is filled with its default.

        Raises WorkbenchError for an unknown column, a bad value or columns of different length.
        """
        fields = self.Row.model_fields
        given = {k: _plain(v, self._nullable(k)) for k, v in columns.items() if v is not None}
        lengths = {k: len(v) for k, v in given.items()}
        if len(set(lengths.values())) > 1:
            short, long = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
            raise WorkbenchError(
                "bad-graph",
                f"{what} is not usable",
                f"column {short} has {lengths[short]} rows and column {long} has {lengths[long]}",
                "Give every column the same number of rows.",
            )
        size = next(iter(lengths.values()), 0)
        model = validated(self.Columns, given, what=what)
        self._columns: dict[str, list[Any]] = {}
        for key, field in fields.items():
            column = getattr(model, key)
            self._columns[key] = _defaults(field, size) if column is None else column
        self._size = size
        self._arrays: dict[str, np.ndarray] = {}

    @classmethod
    def _nullable(cls, key: str) -> bool:
        field = cls.Row.model_fields.get(key)
        return field is not None and NoneType in get_args(field.annotation)

    @classmethod
    def from_rows(cls: type[T], rows: Iterable[BaseModel]) -> T:
        """Build a table from row models."""
        listed = list(rows)
        return cls({key: [getattr(row, key) for row in listed] for key in cls.Row.model_fields})

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, column: str) -> list[Any]:
        return self._columns[column]

    def __iter__(self) -> Iterator[R]:
        return (self.row(i) for i in range(self._size))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Table) and other._columns == self._columns

    __hash__ = None  # type: ignore[assignment]

    def row(self, i: int) -> R:
        """Row `i` as a model (values were validated when the table was made)."""
        return self.Row.model_construct(**{k: v[i] for k, v in self._columns.items()})  # type: ignore[return-value]

    def array(self, column: str) -> np.ndarray:
        """A numeric column as float64 [rows]; null becomes NaN. Do not write into it."""
        if column not in self._arrays:
            array = np.array([np.nan if v is None else v for v in self._columns[column]], dtype=np.float64)
            array.flags.writeable = False
            self._arrays[column] = array
        return self._arrays[column]

    def replace(self: T, **columns: Sequence[Any] | np.ndarray) -> T:
        """The same table with some columns exchanged."""
        return type(self)({**self._columns, **columns})

    def as_columns(self) -> dict[str, list[Any]]:
        """Columns as plain lists, in declared order, ready for JSON."""
        return dict(self._columns)


class NodeTable(Table[Node]):
    """All concepts of a graph."""

    Row = Node
    Columns = _column_model(Node, "NodeColumns")


class EdgeTable(Table[Edge]):
    """All edges of a graph."""

    Row = Edge
    Columns = _column_model(Edge, "EdgeColumns")
