"""One registry per kind of thing: a name leads to a lazily imported object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

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
    """Name to ``"module:attribute"``. Reading the table imports nothing; ``load`` imports one row."""

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

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def load(self, name: str) -> Any:
        return self[name].load()
