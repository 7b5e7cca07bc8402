"""Opening a subject by name, whatever its kind."""

from __future__ import annotations

from typing import TypeVar, overload

from probes.errors import WorkbenchError
from probes.subjects.registry import SUBJECTS
from probes.subjects.subject import Subject

S = TypeVar("S")


def kind_of(ref: str, *, offline: bool = True) -> str:
    """The first kind in the registry that recognises a reference; nothing is opened."""
    return next(name for name in SUBJECTS if SUBJECTS.load(name)().recognises(ref, offline=offline))


@overload
def load_subject(ref: str, *, dtype: str = ..., device: str = ..., offline: bool = ...) -> Subject: ...
@overload
def load_subject(ref: str, *, of: type[S], dtype: str = ..., device: str = ..., offline: bool = ...) -> S: ...


def load_subject(
    ref: str, *, of: type = object, dtype: str = "auto", device: str = "cpu", offline: bool = True
) -> object:
    """Open a subject, frozen, by the first kind in the registry that recognises the reference.

    `of` is the class the caller can work with. Raises `WorkbenchError` for a subject of another class, and
    for everything that can be wrong with it.
    """
    kind = kind_of(ref, offline=offline)
    found: object = SUBJECTS.load(kind)().open(ref, dtype=dtype, device=device, offline=offline)
    if not isinstance(found, of):
        raise WorkbenchError(
            "wrong-kind-of-subject",
            f"{ref} cannot be used here",
            f"it is a subject of kind {kind}, and this needs a {of.__name__}",
            "Choose another subject.",
        )
    return found
