"""Subjects that exist only in this process: a module of the user's own, a world with known truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.errors import WorkbenchError

if TYPE_CHECKING:
    from probes.subjects.subject import Subject

PREFIX = "module/"
_offered: dict[str, Subject] = {}


def offer(subject: Subject) -> str:
    """Make a subject known under its name, `module/<name>`, to whatever opens subjects by name; returns it."""
    _offered[subject.name] = subject
    return subject.name


class OfferedModules:
    """Opens what `offer` was given."""

    def recognises(self, ref: str, *, offline: bool = True) -> bool:
        return ref.startswith(PREFIX)

    def open(self, ref: str, *, dtype: str, device: str, offline: bool) -> Subject:
        """The subject as it was offered; a module keeps its own number type and device."""
        if ref not in _offered:
            raise WorkbenchError(
                "no-subject",
                f"There is no subject {ref!r}",
                f"this process was given {', '.join(_offered) or 'none'}",
                "Offer it first, in the same Python process.",
            )
        return _offered[ref]
