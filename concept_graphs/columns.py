"""Tables stored and written column by column, made from one row model each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, ClassVar, Generic, TypeVar, cast, get_args

import numpy as np
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from probes.configs import Frozen, validated
from probes.errors import WorkbenchError

R = TypeVar("R", bound=BaseModel)
T = TypeVar("T", bound="Table[Any]")


def column_model(row: type[BaseModel], name: str) -> type[BaseModel]:
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
