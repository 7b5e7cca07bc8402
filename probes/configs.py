"""The base of every config: strict, frozen, bounded; one sentence per field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from probes.errors import WorkbenchError
from probes.refusals import KIND, field_of, is_left_out, reason, sentence_of

T = TypeVar("T", bound=BaseModel)


class Frozen(BaseModel):
    """A pydantic model that refuses unknown fields, non-finite numbers and mutation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


@dataclass(frozen=True)
class AsText:
    """Metadata of a field of free text, for forms: `offered` is the function that lists names to choose from, as
    `module:function`; `lines` how many lines a person may want to write."""

    offered: str = ""
    lines: int = 1

    def names(self) -> list[str]:
        """What is offered now; any other text is as good."""
        if not self.offered:
            return []
        module, _, function = self.offered.partition(":")
        found: list[str] = getattr(import_module(module), function)()
        return found


class NoOptions(Frozen):
    """A component with nothing to set."""


class Variant(Frozen):
    """One of the shapes that an option can take; which one it is, its field `kind` says, a literal."""

    kind: str


def validated(model: type[T], data: Any, *, what: str, called: Callable[[str], str] = str) -> T:
    """Validate `data` as `model`; a refusal becomes one sentence naming the field and the remedy.

    `called` is what the person who gave the values knows a field by: a flag, the label of a control.
    """
    try:
        return model.model_validate(data)
    except ValidationError as refused:
        raise _refusal(model, refused, what, called) from None


def _refusal(
    model: type[BaseModel], refused: ValidationError, what: str, called: Callable[[str], str]
) -> WorkbenchError:
    error, count = refused.errors()[0], refused.error_count()
    field = field_of(error, model) or "the whole value"
    more = f" (and {count - 1} more)" if count > 1 else ""
    if is_left_out(error):
        sentence = sentence_of(model, error["loc"])
        meaning = f": {sentence[:1].lower()}{sentence[1:]}" if sentence else ""
        return WorkbenchError(
            "bad-config", f"{what} is not usable", f"field {field} is empty{more}", f"Give {called(field)}{meaning}."
        )
    why = f"field {field}: {reason(error)}{more}"
    whole = ".".join(part for part in field.split(".") if not part.isdecimal())  # of a list, as it is given
    return WorkbenchError("bad-config", f"{what} is not usable", why, f"Correct {called(whole)} and try again.")


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
