"""The base of every config: strict, frozen, bounded; one sentence per field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from probes.errors import WorkbenchError

T = TypeVar("T", bound=BaseModel)
KIND = "kind"  # the field that tells the variants of an option apart


class Frozen(BaseModel):
    """A pydantic model that refuses unknown fields, non-finite numbers and mutation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


class NoOptions(Frozen):
    """A component with nothing to set."""


class Variant(Frozen):
    """One of the shapes that an option can take; which one it is, its field `kind` says, a literal."""

    kind: str


def validated(model: type[T], data: Any, *, what: str) -> T:
    """Validate `data` as `model`; a refusal becomes one sentence naming the field and the remedy."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole value"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise WorkbenchError(
            "bad-config",
            f"{what} is not usable",
            f"field {field}: {first['msg']}{more}",
            f"Correct {field} and try again.",
        ) from None


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, nested mappings merged; a variant of another kind replaces what was there."""
    both = dict(base)
    for name, value in over.items():
        under = both.get(name)
        if isinstance(value, Mapping):
            under = {KIND: under} if isinstance(under, str) else under
            same = isinstance(under, Mapping) and value.get(KIND, under.get(KIND)) == under.get(KIND)
            both[name] = merged(under, value) if same and isinstance(under, Mapping) else value
        else:
            both[name] = value
    return both
