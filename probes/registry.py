"""One registry per kind of thing: a name leads to a lazily imported object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Union

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from probes.errors import WorkbenchError


@dataclass(frozen=True)
class Entry:
    """One registry row: where the object lives and one sentence for forms, help and docs."""

    target: str
    sentence: str

    def load(self) -> Any:
        module, _, attribute = self.target.partition(":")
        return getattr(import_module(module), attribute)


class Registry(Mapping[str, Entry]):
    """Name to ``"module:attribute"``. Reading the table imports nothing; ``load`` imports one row.

    `Annotated[str, REGISTRY]` in a config is the name of a row: validated against the table, a choice with
    one sentence each in forms, flags and schemas. The first row is what is taken where nothing is said.
    """

    def __init__(self, kind: str, rows: Mapping[str, tuple[str, str]]) -> None:
        self.kind = kind
        self._rows = {name: Entry(target, sentence) for name, (target, sentence) in rows.items()}

    def __getitem__(self, name: str) -> Entry:
        if name not in self._rows:
            raise WorkbenchError(
                "unknown-name",
                f"There is no {self.kind} called {name!r}",
                f"known: {', '.join(sorted(self._rows))}",
                "Use one of the known names.",
            )
        return self._rows[name]

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def load(self, name: str) -> Any:
        return self[name].load()

    def variants(self) -> Any:
        """The options of all rows as one type, told apart by `kind`.

        A row's name alone means its defaults.
        """
        options: Any = Union[tuple(self.load(name).Options for name in self)]  # noqa: UP007
        return Annotated[options, Field(discriminator="kind"), BeforeValidator(_named)]

    @property
    def first(self) -> str:
        """The name of the first row."""
        return next(iter(self._rows))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._known, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"enum": list(self._rows)}

    def _known(self, name: str) -> str:
        if name not in self._rows:
            raise ValueError(f"there is no {self.kind} called {name[:60]!r}; known: {', '.join(self._rows)}")
        return name


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value
