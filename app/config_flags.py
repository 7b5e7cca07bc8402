"""Command-line flags generated from a config, and the flags that would produce a given config."""

from __future__ import annotations

import argparse
import contextlib
import json
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from probes.refusals import KIND
from probes.registry import Registry

_DEST = "config:"


def nested_model(annotation: Any) -> type[BaseModel] | None:
    """The model a field holds, when it holds exactly one kind of model (or none)."""
    if get_origin(annotation) is Annotated:
        return nested_model(get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType):
        models = [nested_model(part) for part in get_args(annotation) if part is not type(None)]
        return models[0] if len(models) == 1 else None
    return None


def variants_of(field: FieldInfo) -> dict[str, type[BaseModel]]:
    """The models a field chooses among, by the `kind` that chooses each; none for other fields."""
    if field.discriminator != KIND:
        return {}
    return {get_args(model.model_fields[KIND].annotation)[0]: model for model in get_args(field.annotation)}


def is_fixed(annotation: Any) -> bool:
    """Whether there is nothing to choose: a field with a single possible value."""
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def is_list(annotation: Any) -> bool:
    """Whether a field holds any number of values of one kind: its flag may be given several times."""
    return get_origin(annotation) is tuple and get_args(annotation)[1:] == (Ellipsis,)


def choices_of(field: FieldInfo) -> tuple[Any, ...]:
    """The values a field can have, where they are listed: by a literal, or by the registry it names a row of."""
    table = next((part for part in field.metadata if isinstance(part, Registry)), None)
    if table is not None:
        return tuple(table)
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def item_choices(field: FieldInfo) -> tuple[Any, ...]:
    """The values each item of a list can have, where they are listed."""
    if not is_list(field.annotation):
        return ()
    return choices_of(FieldInfo.from_annotation(get_args(field.annotation)[0]))


def add_flags(parser: argparse.ArgumentParser, config: type[BaseModel], prefix: str = "", group: Any = None) -> None:
    """One flag per field, `--low.n_latents` for the fields of a nested model; nothing is required here."""
    group = parser if group is None else group
    for name, field in config.model_fields.items():
        if is_fixed(field.annotation):
            continue
        inner = nested_model(field.annotation)
        if inner is not None:
            # A group of the parser, never of a group: argparse gives up on nesting them.
            below = parser.add_argument_group(f"{prefix}{name}", (field.description or "").replace("%", "%%"))
            add_flags(parser, inner, f"{prefix}{name}.", below)
            continue
        _add_flag(group, f"{prefix}{name}", field, _help(field))
        for option, (part, sentence) in _variant_fields(field).items():
            _add_flag(group, f"{prefix}{name}.{option}", part, sentence)


def _variant_fields(field: FieldInfo) -> dict[str, tuple[FieldInfo, str]]:
    """What the variants of a field can be told, by name: the field, and help that says whose it is."""
    owners: dict[str, dict[str, list[str]]] = {}
    fields: dict[str, FieldInfo] = {}
    for kind, model in variants_of(field).items():
        for option, part in model.model_fields.items():
            if not is_fixed(part.annotation):
                owners.setdefault(option, {}).setdefault(part.description or "", []).append(kind)
                fields.setdefault(option, part)
    said = {
        option: " ".join(f"Of {', '.join(kinds)}: {text[:1].lower()}{text[1:]}" for text, kinds in found.items())
        for option, found in owners.items()
    }
    return {option: (fields[option], text.replace("%", "%%")) for option, text in said.items()}


def _add_flag(parser: argparse.ArgumentParser | Any, name: str, field: FieldInfo, sentence: str) -> None:
    """One flag in both spellings, absent from the result where it is not given."""
    spelled = dict.fromkeys((f"--{name}", f"--{name}".replace("_", "-")))
    common: dict[str, Any] = {"dest": f"{_DEST}{name}", "default": argparse.SUPPRESS, "help": sentence}
    if field.annotation is bool:
        parser.add_argument(*spelled, action=argparse.BooleanOptionalAction, **common)
    elif is_list(field.annotation):
        parser.add_argument(*spelled, metavar=_metavar(field), action="append", **common)
    else:
        parser.add_argument(*spelled, metavar=_metavar(field), **common)


def _help(field: FieldInfo) -> str:
    sentence = field.description or ""
    if not field.is_required() and not is_empty(usual := field.get_default(call_default_factory=True)):
        sentence += f" Default: {usual.kind if variants_of(field) else as_text(usual)}."
    return sentence.replace("%", "%%")


def _metavar(field: FieldInfo) -> str:
    annotation = field.annotation
    if choices := choices_of(field) or tuple(variants_of(field)):
        return "{" + ",".join(map(str, choices)) + "}"
    return getattr(annotation, "__name__", "VALUE").upper() if isinstance(annotation, type) else "VALUE"


def collect(namespace: argparse.Namespace, config: type[BaseModel]) -> dict[str, Any]:
    """The nested values of all flags that were given."""
    values: dict[str, Any] = {}
    for dest, given in vars(namespace).items():
        if not dest.startswith(_DEST):
            continue
        *parents, name = dest.removeprefix(_DEST).split(".")
        at, model = values, config
        for parent in parents:
            at = at.setdefault(parent, {})
            model = _model_with(model.model_fields[parent], name) or model
        field = model.model_fields[name]
        if variants_of(field):
            at.setdefault(name, {})[KIND] = given
        else:
            at[name] = _value(field.annotation, given)
    return values


def _value(annotation: Any, given: Any) -> Any:
    """What was given for a flag. One given once may hold a whole list; one repeated holds an item each time."""
    if not isinstance(given, list):
        return from_text(annotation, given) if isinstance(given, str) else given
    if len(given) == 1:
        return from_text(annotation, given[0])
    return [from_text(get_args(annotation)[0], text) for text in given]


def _model_with(field: FieldInfo, name: str) -> type[BaseModel] | None:
    """The model a field holds; among variants, one that has a field of this name."""
    variants = variants_of(field).values()
    return next((found for found in variants if name in found.model_fields), None) or nested_model(field.annotation)


def from_text(annotation: Any, text: str) -> Any:
    """A typed value from text: as it stands, as JSON, or as a comma-separated list, whichever fits first.

    Text that fits nowhere is returned as it is, a list by its items, so that validation can say what is wrong with it.
    """
    items = [part.strip() for part in text.split(",") if part.strip()]
    candidates: list[Any] = [text]
    if text.strip().lower() in {"none", "null", ""}:
        candidates.append(None)
    with contextlib.suppress(ValueError, RecursionError):
        candidates.append(json.loads(text))
    candidates.append(items)
    if not text.strip():
        candidates.append({})
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    for candidate in candidates:
        try:
            adapter.validate_python(candidate)
        except ValidationError:
            continue
        return candidate
    return items if is_list(annotation) and not text.lstrip().startswith("[") else text


def as_flag(field: str) -> str:
    """A field as the command line knows it."""
    return f"--{field}"


def is_empty(value: Any) -> bool:
    """Whether a value is one that a person writes as nothing at all."""
    return isinstance(value, (str, list, tuple, dict)) and not value


def as_text(value: Any) -> str:
    """The text that `from_text` reads back as `value`."""
    if is_empty(value):
        return ""
    if value is None:
        return "none"
    if isinstance(value, (list, tuple)) and value and all(_is_plain(part) for part in value):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def _is_plain(part: Any) -> bool:
    """Whether a list item survives being written between commas."""
    return isinstance(part, (int, float)) or (isinstance(part, str) and "," not in part and part.strip() == part != "")


def flags_of(config: BaseModel, prefix: str = "", base: BaseModel | None = None) -> list[str]:
    """The shortest flags that produce a config: only fields that differ from their defaults.

    The defaults of a nested model are those its parent gives it (`base`), not those of its own class.
    """
    flags: list[str] = []
    for name, field in type(config).model_fields.items():
        value, flag = getattr(config, name), f"--{prefix}{name}"
        usual = field.get_default(call_default_factory=True) if base is None else getattr(base, name)
        if value == usual and not (base is None and field.is_required()):
            continue
        if variants_of(field):
            if type(value) is not type(usual):
                flags += [flag, value.kind]
                usual = type(value)()
            flags += flags_of(value, f"{prefix}{name}.", usual)
        elif nested_model(field.annotation) is not None and isinstance(value, BaseModel):
            flags += flags_of(value, f"{prefix}{name}.", usual if isinstance(usual, BaseModel) else None)
        elif isinstance(value, bool):
            flags.append(flag if value else f"--no-{prefix}{name}")
        else:
            text = as_text(config.model_dump(mode="json", include={name})[name])
            flags += [f"{flag}={text}"] if text.startswith("-") else [flag, text]
    return flags


def nested_defaults(config: type[BaseModel]) -> dict[str, Any]:
    """The values every nested model has by default: what partial values are laid over."""
    found = {}
    for name, field in config.model_fields.items():
        usual = field.get_default(call_default_factory=True)
        if nested_model(field.annotation) is not None and isinstance(usual, BaseModel):
            found[name] = usual.model_dump()
    return found
