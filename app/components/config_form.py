"""A form generated from a config: one control per field, its sentence beside it."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Union, get_args, get_origin

import gradio as gr
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.config_flags import (
    as_text,
    choices_of,
    from_text,
    is_fixed,
    item_choices,
    nested_defaults,
    nested_model,
    variants_of,
)
from app.events import QUIET
from probes.artefacts import available
from probes.configs import AsText, merged, validated
from probes.refusals import KIND

# Fields of these names hold a reference to an artefact of the same kind.
REFERENCES = ("store", "probe", "graph")
FOLDED = "More: how it is trained and measured"


class Control(NamedTuple):
    """One field of the form; where it belongs to one variant of an option, `only` is that variant's kind."""

    path: tuple[str, ...]
    annotation: Any
    component: Any
    only: str = ""
    required: bool = False


class ConfigForm:
    """The controls of a config, made where it is constructed inside a `gr.Blocks`.

    `values` are shown instead of the defaults, as a preset gives them. Fields that hold a model become
    a section; of an option with variants, the chosen one's fields are shown. What
    cannot be a control of its own is text, read the way the command line reads it. Where `first` names groups of
    fields, these stand first, group by group, and the others are folded.
    """

    def __init__(
        self,
        config: type[BaseModel],
        values: Mapping[str, Any] | None = None,
        *,
        prefix: str,
        first: Sequence[Sequence[str]] = (),
    ) -> None:
        self.config, self.prefix = config, prefix
        self.controls: list[Control] = []
        values, named = merged(nested_defaults(config), values or {}), [name for group in first for name in group]
        for group in first:
            self._section(config, values, (), group)
        with gr.Accordion(FOLDED, open=False) if first else contextlib.nullcontext():
            self._section(config, values, (), [name for name in config.model_fields if name not in named])

    @property
    def components(self) -> list[Any]:
        """The controls, in the order `read` expects their values."""
        return [control.component for control in self.controls]

    def followed_by(self, answer: Callable[..., Any], outputs: Any) -> None:
        """Answer the values after every change; while one is answered, of all further ones only the last.

        A form that was just drawn also tells of changes, so it should be followed once for all that depends on it.
        """
        changes = [part.change for part in self.components]
        gr.on(changes, answer, self.components, outputs, trigger_mode="always_last", **QUIET)

    def read(self, given: Sequence[Any]) -> BaseModel:
        """The config the controls describe. Raises `WorkbenchError` naming the field that is wrong."""
        values: dict[str, Any] = {}
        kinds = {c.path[:-1]: value for c, value in zip(self.controls, given, strict=True) if c.path[-1] == KIND}
        for control, value in zip(self.controls, given, strict=True):
            if control.only and kinds[control.path[:-1]] != control.only:
                continue
            at = values
            for part in control.path[:-1]:
                at = at.setdefault(part, {})
            if isinstance(value, str) and (value.strip() or not control.required):
                at[control.path[-1]] = from_text(control.annotation, value)
            elif not isinstance(value, str) and value is not None:
                at[control.path[-1]] = value
        return validated(self.config, values, what="The form", called=_place)

    def _section(
        self,
        config: type[BaseModel],
        values: Mapping[str, Any],
        path: tuple[str, ...],
        chosen: Sequence[str] | None = None,
    ) -> None:
        """The controls of a config's fields, or of the `chosen` ones in their order."""
        asked = {name: config.model_fields[name] for name in (config.model_fields if chosen is None else chosen)}
        fields = {n: f for n, f in asked.items() if not is_fixed(f.annotation)}
        plain = {n: f for n, f in fields.items() if nested_model(f.annotation) is None and not variants_of(f)}
        names = list(plain)
        for start in range(0, len(names), 2):
            with gr.Row():
                for name in names[start : start + 2]:
                    self._control(name, plain[name], values, path)
        for name, field in fields.items():
            if variants_of(field):
                self._variants(field, values.get(name), (*path, name))
        for name, field in fields.items():
            inner = nested_model(field.annotation)
            if inner is None:
                continue
            with gr.Accordion(f"{_title(name)}: {field.description or ''}".rstrip(": ."), open=False):
                self._section(inner, values.get(name) or {}, (*path, name))

    def _variants(self, field: FieldInfo, value: Any, path: tuple[str, ...]) -> None:
        """A choice of the kind, and the fields of each kind, of which the chosen one's are shown."""
        models = variants_of(field)
        value = _default(field).model_dump() if value is None else {KIND: value} if isinstance(value, str) else value
        with gr.Row():
            choice = gr.Dropdown(
                list(models),
                value=value[KIND],
                label=_title(path[-1]),
                info=_said(field, models[value[KIND]]),
                interactive=True,
                elem_id=f"{self.prefix}-{'-'.join(path)}",
                min_width=180,
            )
        self.controls.append(Control((*path, KIND), str, choice))
        groups = {}
        for kind, model in models.items():
            options = {n: f for n, f in model.model_fields.items() if not is_fixed(f.annotation)}
            names, shown = list(options), value if kind == value[KIND] else {}
            with gr.Column(visible=kind == value[KIND] and bool(options)) as groups[kind]:
                for start in range(0, len(names), 2):
                    with gr.Row():
                        for name in names[start : start + 2]:
                            self._control(name, options[name], shown, path, only=kind)

        def choose(kind: str) -> list[Any]:
            visible = [gr.update(visible=kind == of and len(models[of].model_fields) > 1) for of in groups]
            return [gr.update(info=_said(field, models[kind])), *visible]

        choice.change(choose, choice, [choice, *groups.values()], queue=False, show_progress="hidden")

    def _control(
        self, name: str, field: FieldInfo, values: Mapping[str, Any], path: tuple[str, ...], *, only: str = ""
    ) -> None:
        value = values[name] if name in values else _default(field)
        place = (*path, only, name) if only else (*path, name)
        component = _component(name, field, value, f"{self.prefix}-{'-'.join(place)}")
        self.controls.append(Control((*path, name), field.annotation, component, only, field.is_required()))


def _said(field: FieldInfo, model: type[BaseModel]) -> str:
    """The sentence of an option, and that of the variant chosen for it."""
    return f"{field.description} {model.__doc__}"


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
    if several := item_choices(field):
        return gr.Dropdown(choices=list(several), value=list(value or ()), multiselect=True, **common)
    if field.annotation in (int, float):
        # Without bounds here: gradio's refusal names no field, and the config's own does.
        return gr.Number(value=value, precision=0 if field.annotation is int else None, **common)
    if name in REFERENCES:
        names = available(name)  # type: ignore[arg-type]
        if not names:
            common["info"] = f"{field.description} There is no {name} yet: make one first."
        chosen = value or (names[0] if field.is_required() and names else value or "")
        return gr.Dropdown(choices=[*dict.fromkeys([*names, chosen])], value=chosen, allow_custom_value=True, **common)
    hints = next((part for part in field.metadata if isinstance(part, AsText)), AsText())
    if offered := hints.names():
        chosen = value or offered[0]
        return gr.Dropdown(
            choices=[*dict.fromkeys([*offered, chosen])], value=chosen, allow_custom_value=True, **common
        )
    text = "" if value is None and not _optional(field.annotation) else as_text(value)
    return gr.Textbox(value=text, lines=hints.lines, max_lines=max(2, 3 * hints.lines), **common)


def _optional(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation)


def _place(field: str) -> str:
    """A field as the form shows it: its label, after the label of its section."""
    return " / ".join(map(_title, field.split(".")))


def _title(name: str) -> str:
    """`n_latents` as a person reads it."""
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]
