"""What is known of a kind of job: its config, its work, its presets, and the registry it may choose rows of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from probes.errors import WorkbenchError
from probes.registry import Registry
from probes.runs import Run

Work = Callable[[Any, Run], Path | None]


@dataclass(frozen=True)
class JobKind:
    """One row of the table: where the config and the work live, as `module:attribute`.

    Where a registry's rows each bring their own (`chosen_by` is the field that names the row), `config` is
    the registry, `work` stays empty, and `values` given to the methods say which row is meant: the first,
    where they do not. Where that field means something else first, `choose` is the function from the values
    to the row's name. `check` raises `WorkbenchError` for a config whose run could only fail.
    """

    config: str
    work: str
    sentence: str
    positional: str | None = None
    then: str | None = None
    chosen_by: str = ""
    choose: str = ""
    check: str = ""

    def choices(self) -> Registry:
        """The registry whose rows this job chooses among. Only where `chosen_by` names a field."""
        found: Registry = _load(self.config)
        return found

    def config_class(self, values: Mapping[str, Any] | None = None, *, row: str = "") -> type[BaseModel]:
        """The config's class; `row` names the registry's row where that is known better than from `values`."""
        found: type[BaseModel] = self._chosen(values, row).Config if self.chosen_by else _load(self.config)
        return found

    def check_row(self, row: str, values: Mapping[str, Any]) -> None:
        """Raise `WorkbenchError` where a config made for one row would be taken for that of another."""
        if not self.chosen_by or (found := self._row(values)) == row:
            return
        raise WorkbenchError(
            "other-row",
            f"{values[self.chosen_by]!r} is not known as {row.replace('_', ' ')}",
            f"it would be opened as {found.replace('_', ' ')}",
            "Check the name, choose the other kind, or let a hub be asked by switching offline off.",
        )

    def work_function(self) -> Work:
        if not self.chosen_by:
            return _load(self.work)
        return lambda config, run: self._chosen(config.model_dump()).work(config, run)

    def check_config(self, config: BaseModel) -> None:
        """Raise `WorkbenchError` for a config whose run could only fail."""
        if self.check:
            _load(self.check)(config)

    def presets(self, values: Mapping[str, Any] | None = None, *, row: str = "") -> dict[str, dict[str, Any]]:
        """The named starting points that stand beside the config, as plain values."""
        if self.chosen_by:
            chosen = self._chosen(values, row)
            return {name: dict(values) for name, values in getattr(chosen, "presets", {}).items()}
        found = getattr(import_module(self.config.partition(":")[0]), "presets", {})
        rows = (found() if callable(found) else found).items()
        return {name: row.model_dump() if isinstance(row, BaseModel) else dict(row) for name, row in rows}

    def works_with_several(self, values: Mapping[str, Any]) -> bool:
        """Whether the chosen row divides its work among processes."""
        return bool(getattr(self._chosen(values), "several", False))

    def _chosen(self, values: Mapping[str, Any] | None, row: str = "") -> Any:
        return self.choices().load(row or self._row(values or {}))

    def _row(self, values: Mapping[str, Any]) -> str:
        if values.get(self.chosen_by) is None:
            return self.choices().first
        return str(_load(self.choose)(values) if self.choose else values[self.chosen_by])


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
