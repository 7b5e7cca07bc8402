"""A form generated from a config: one control per field, its sentence beside it."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Union, get_args, get_origin

import gradio as gr
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.config_flags import as_text, choices_of, from_text, is_fixed, nested_defaults, nested_model
from probes.artefacts import available
from probes.configs import merged, validated

# Fields of these names hold a reference to an artefact of the same kind.
REFERENCES = ("store", "probe", "graph")


class Control(NamedTuple):
    """One field of the form."""

    path: tuple[str, ...]
    annotation: Any
    component: Any


class ConfigForm:
    """The controls of a config, made where it is constructed inside a `gr.Blocks`.

    `values` are shown instead of the defaults, as a preset gives them. Fields that hold a model become
    a section. What cannot be a control of its own is text, read the way the command line reads it.
    """

    def __init__(self, config: type[BaseModel], values: Mapping[str, Any] | None = None, *, prefix: str) -> None:
        self.config, self.prefix = config, prefix
        self.controls: list[Control] = []
        self._section(config, merged(nested_defaults(config), values or {}), ())

    @property
    def components(self) -> list[Any]:
        """The controls, in the order `read` expects their values."""
        return [control.component for control in self.controls]

    def read(self, given: Sequence[Any]) -> BaseModel:
        """The config the controls describe. Raises `WorkbenchError` naming the field that is wrong."""
        values: dict[str, Any] = {}
        for control, value in zip(self.controls, given, strict=True):
            at = values
            for part in control.path[:-1]:
                at = at.setdefault(part, {})
            if isinstance(value, str):
                at[control.path[-1]] = from_text(control.annotation, value)
            elif value is not None:
                at[control.path[-1]] = value
        return validated(self.config, values, what="The form")

    def _section(self, config: type[BaseModel], values: Mapping[str, Any], path: tuple[str, ...]) -> None:
        fields = {n: f for n, f in config.model_fields.items() if not is_fixed(f.annotation)}
        plain = {n: f for n, f in fields.items() if nested_model(f.annotation) is None}
        names = list(plain)
        for start in range(0, len(names), 2):
            with gr.Row():
                for name in names[start : start + 2]:
                    self._control(name, plain[name], values, path)
        for name, field in fields.items():
            inner = nested_model(field.annotation)
            if inner is None:
                continue
            with gr.Accordion(f"{_title(name)}: {field.description or ''}".rstrip(": ."), open=False):
                self._section(inner, values.get(name) or {}, (*path, name))

    def _control(self, name: str, field: FieldInfo, values: Mapping[str, Any], path: tuple[str, ...]) -> None:
        value = values[name] if name in values else _default(field)
        component = _component(name, field, value, f"{self.prefix}-{'-'.join((*path, name))}")
        self.controls.append(Control((*path, name), field.annotation, component))


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True)


def _component(name: str, field: FieldInfo, value: Any, elem_id: str) -> gr.components.Component:
    common: dict[str, Any] = {
        "label": _title(name),
        "info": field.description,
        "interactive": True,
        "elem_id": elem_id,
        "min_width": 180,
    }
    if field.annotation is bool:
        return gr.Checkbox(value=bool(value), **common)
    if choices := choices_of(field):
        return gr.Dropdown(choices=list(choices), value=value, **common)
    if field.annotation in (int, float):
        limits = {key: bound for key in ("ge", "le") if (bound := _bound(field, key)) is not None}
        digits = 0 if field.annotation is int else None
        low, high = limits.get("ge"), limits.get("le")
        return gr.Number(value=value, minimum=low, maximum=high, precision=digits, **common)
    if name in REFERENCES:
        names = available(name)  # type: ignore[arg-type]
        if not names:
            common["info"] = f"{field.description} There is no {name} yet: make one first."
        chosen = value or (names[0] if field.is_required() and names else value or "")
        return gr.Dropdown(choices=[*dict.fromkeys([*names, chosen])], value=chosen, allow_custom_value=True, **common)
    text = "" if value is None and not _optional(field.annotation) else as_text(value)
    return gr.Textbox(value=text, lines=1, max_lines=2, **common)


def _bound(field: FieldInfo, key: str) -> float | None:
    return next((getattr(part, key) for part in field.metadata if hasattr(part, key)), None)


def _optional(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation)


def _title(name: str) -> str:
    """`n_latents` as a person reads it."""
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]
