"""Why a value of a config was refused, in words for whoever gave it: pydantic's own are for programmers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

KIND = "kind"  # the field that tells the variants of an option apart
EMPTY: tuple[Any, ...] = ("", (), [], {}, None)
SAID = {
    "extra_forbidden": "there is no such field",
    "int_parsing": "it is not a whole number",
    "int_type": "it is not a whole number",
    "int_from_float": "it is not a whole number",
    "float_parsing": "it is not a number",
    "float_type": "it is not a number",
    "finite_number": "it is not a finite number",
    "bool_parsing": "it is neither true nor false",
    "bool_type": "it is neither true nor false",
    "string_type": "it is not text",
    "tuple_type": "it is not a list",
    "list_type": "it is not a list",
    "dict_type": "it is not a table of names and values",
    "model_type": "it is not a section of fields",
    "greater_than_equal": "it must be at least {ge}",
    "greater_than": "it must be more than {gt}",
    "less_than_equal": "it must be at most {le}",
    "less_than": "it must be less than {lt}",
    "literal_error": "it must be {expected}",
    "union_tag_invalid": "it must be one of {expected_tags}",
    "too_short": "it needs at least {min_length} values",
    "too_long": "it can have at most {max_length} values",
    "string_too_short": "it needs at least {min_length} characters",
    "string_too_long": "it can have at most {max_length} characters",
    "string_pattern_mismatch": "it does not have the form {pattern}",
}


class Unfit(ValueError):
    """For a validator of a whole config: fields do not go together, and changing this one mends it."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


DEEPEST = 12  # parts of the path of a field that are shown


def field_of(error: ErrorDetails, model: type[Any] = object) -> str:
    """The refused field as `section.field`; empty where the value as a whole was refused, cut short where a file
    nests without end. Where the `model` is known, without the kinds of variants, which nobody gave as a field."""
    refused = error.get("ctx", {}).get("error")
    place = _without_kinds(model, error["loc"])
    parts = [*map(str, place), *([refused.field] if isinstance(refused, Unfit) else [])]
    return ".".join(parts[:DEEPEST]) + ("…" if len(parts) > DEEPEST else "")


def _without_kinds(model: type[Any], place: Sequence[int | str]) -> list[int | str]:
    """A place below a config without the words that pydantic adds where a field is one of several models."""
    kept: list[int | str] = []
    models: list[type[BaseModel]] = [model] if _is_model(model) else []
    for part in place:
        field = next((at.model_fields[str(part)] for at in models if part in at.model_fields), None)
        if field is not None:
            kept.append(part)
            models = _models_of(field.annotation)
        elif variant := [at for at in models if KIND in at.model_fields and at.model_fields[KIND].default == part]:
            models = variant
        else:
            kept.append(part)
    return kept


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    """Every model that a field may hold."""
    if _is_model(annotation):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_of(part)]


def is_left_out(error: ErrorDetails) -> bool:
    """Whether a field that is needed was not given, or given empty."""
    if error["type"] == "missing":
        return True
    return error["type"] in {"too_short", "string_too_short"} and error["input"] in EMPTY


def reason(error: ErrorDetails) -> str:
    """What is wrong with a value that was given."""
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ")
    words = SAID.get(error["type"])
    return error["msg"] if words is None else words.format_map(error.get("ctx", {}))


def sentence_of(model: type[Any], place: Sequence[int | str]) -> str:
    """The sentence of the field at a place below a config; empty where it has none."""
    found: FieldInfo | None = None
    at: Any = model
    for part in place:
        fields: Mapping[str, FieldInfo] = at.model_fields if _is_model(at) else {}
        if part not in fields:
            continue  # a number in a list, or the kind of a variant
        found = fields[str(part)]
        at = found.annotation
    return (found.description or "").rstrip(".") if found is not None else ""


def _is_model(at: Any) -> bool:
    return isinstance(at, type) and issubclass(at, BaseModel)
