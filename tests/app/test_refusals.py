"""What is missing or wrong in any config is said in one sentence that names the field and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import gradio as gr
import pytest
from pydantic import BaseModel, Field
from pydantic_core.core_schema import ErrorType

from app.commands import build_parser, main
from app.components.config_form import ConfigForm
from app.config_flags import as_text, from_text, is_fixed, is_list, nested_model
from app.exporting import ExportConfig
from app.jobs import JOBS, config_for
from probes.autoencoders.relu import ReluOptions
from probes.autoencoders.topk import TopKOptions
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.refusals import SAID

OURS_NOT = ("should", "Input", "Value error", "Field required", "validation", "[]", "()")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))


def configs() -> Iterator[tuple[str, type[BaseModel]]]:
    """Every job with the config of every row it can choose."""
    for kind, row in JOBS.items():
        for chosen in row.choices() if row.chosen_by else [""]:
            yield kind, row.config_class({row.chosen_by: chosen} if chosen else {})


CONFIGS = list(configs())
NEEDED = [
    (kind, config, name) for kind, config in CONFIGS for name, f in config.model_fields.items() if f.is_required()
]


def sample(config: type[BaseModel]) -> dict[str, Any]:
    """Something for every field that is needed."""
    needed = {name: field for name, field in config.model_fields.items() if field.is_required()}
    return {name: ["some"] if is_list(field.annotation) else "some" for name, field in needed.items()}


def check(said: str, config: type[BaseModel], name: str, called: str) -> None:
    sentence = (config.model_fields[name].description or "").rstrip(".")
    assert f"field {name} is empty" in said and f"Give {called}: {sentence[:1].lower()}{sentence[1:]}." in said
    assert not any(word in said for word in OURS_NOT)


def test_there_is_something_to_check() -> None:
    assert {("import", "path"), ("train", "store"), ("sweep", "name"), ("graph", "probe"), ("measure", "store")} <= {
        (kind, name) for kind, _, name in NEEDED
    }


@pytest.mark.parametrize(("kind", "config", "name"), NEEDED, ids=lambda part: str(part)[:20])
def test_a_needed_field_left_empty_in_a_form(kind: str, config: type[BaseModel], name: str) -> None:
    with gr.Blocks():
        form = ConfigForm(config, sample(config), prefix="test")
    for left in ("", "  ", None):
        given = [left if part.path == (name,) else part.component.value for part in form.controls]
        with pytest.raises(WorkbenchError) as refused:
            form.read(given)
        check(str(refused.value), config, name, called=name[:1].upper() + name[1:].replace("_", " "))


@pytest.mark.parametrize(("kind", "config", "name"), NEEDED, ids=lambda part: str(part)[:20])
def test_a_needed_flag_left_out_or_given_empty(
    kind: str, config: type[BaseModel], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [part for other, v in sample(config).items() if other != name for part in (f"--{other}", as_text(v))]
    row = JOBS[kind]
    chosen = [f"--{row.chosen_by}", config.model_fields[row.chosen_by].default] if row.chosen_by else []
    for given in ([], [f"--{name}", ""]):
        assert main([kind, *chosen, *others, *given]) == 2
        said = capsys.readouterr()
        check(said.err, config, name, called=f"--{name}")
        assert said.out == "" and said.err.count("\n") == 1


def test_an_export_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "bundled/text"]) == 2
    check(capsys.readouterr().err, ExportConfig, "level", called="--level")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--grid.weights", "0.3,-1"], "field grid.weights.1: it must be at least 0"),
        (["--grid.world.factors", "40"], "field grid.world.d: 40 factors need as many dimensions"),
        (
            ["--grid.world", "vectors", "--grid.world.layers", "99"],
            "field grid.world.layers: it must be at most 8",
        ),
        (["--grid.tasks", "reconstruction,nothing"], "field grid.tasks.1"),
    ],
)
def test_a_refusal_names_a_flag_that_there_is(given: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "grid", *given]) == 2
    err = capsys.readouterr().err
    assert said in err
    flag = err.partition("Correct ")[2].partition(" and ")[0]
    parser = build_parser("evaluate", ["evaluate", "grid"])
    assert parser.parse_args(["evaluate", "grid", flag, "1"])


def test_a_format_that_nobody_knows_is_named_beside_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "bundled/text", "--format", "gexf", "--out", "x"]) == 2
    err = capsys.readouterr().err
    assert "'gexf'" in err and "neuronpedia" in err and "graphml" in err and "saelens" in err


@pytest.mark.parametrize(("kind", "config"), CONFIGS, ids=lambda part: str(part)[:20])
def test_no_form_shows_an_empty_list_as_brackets(kind: str, config: type[BaseModel]) -> None:
    with gr.Blocks():
        form = ConfigForm(config, sample(config), prefix="test")
    texts = [part for part in form.controls if isinstance(part.component, gr.Textbox)]
    assert texts and not any(part.component.value in ("[]", "{}", "()") for part in texts)
    untouched = form.read([part.component.value for part in form.controls])
    assert untouched == config_for(kind, {**sample(config), **_only_choices(config)})


def _only_choices(config: type[BaseModel]) -> dict[str, Any]:
    return {n: f.default for n, f in config.model_fields.items() if is_fixed(f.annotation)}


@pytest.mark.parametrize("config", [config for _, config in CONFIGS], ids=str)
def test_an_empty_list_is_written_as_nothing_and_read_back(config: type[BaseModel]) -> None:
    lists = [f for f in config.model_fields.values() if is_list(f.annotation)]
    assert all(list(from_text(field.annotation, as_text(()))) == [] for field in lists)


def _wrong(config: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """A value of the wrong kind, and one out of bounds, for every field that can have them."""
    for name, field in config.model_fields.items():
        if nested_model(field.annotation) is None and not is_fixed(field.annotation):
            yield name, {"an": object()}
            for part in field.metadata:
                for bound, beyond in (("ge", -1), ("gt", 0), ("le", 1), ("lt", 0)):
                    if (limit := getattr(part, bound, None)) is not None:
                        yield name, limit + beyond


@pytest.mark.parametrize(("kind", "config"), CONFIGS, ids=lambda part: str(part)[:20])
def test_what_is_wrong_is_said_in_words_for_people(kind: str, config: type[BaseModel]) -> None:
    for name, value in _wrong(config):
        with pytest.raises(WorkbenchError) as refused:
            config_for(kind, {**sample(config), **_only_choices(config), name: value})
        assert f"field {name}" in refused.value.why and not any(word in refused.value.why for word in OURS_NOT), name
    with pytest.raises(WorkbenchError, match="field nonsense: there is no such field"):
        config_for(kind, {**sample(config), **_only_choices(config), "nonsense": 1})


class Bounded(Frozen):
    """A field for every rule that has words of its own."""

    at_least: int = Field(default=5, ge=3)
    more: int = Field(default=5, gt=3)
    at_most: int = Field(default=5, le=6)
    less: int = Field(default=5, lt=6)
    mode: Literal["fast", "slow"] = "fast"
    shape: TopKOptions | ReluOptions = Field(default=TopKOptions(), discriminator="kind")
    several: tuple[int, ...] = Field(default=(1, 2), min_length=2, max_length=3)
    text: str = Field(default="abcd", min_length=2, max_length=5, pattern="^[a-z]+$")
    flag: bool = True
    share: float = 0.5


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("at_least", 2, "it must be at least 3"),
        ("more", 3, "it must be more than 3"),
        ("at_most", 7, "it must be at most 6"),
        ("less", 6, "it must be less than 6"),
        ("mode", "odd", "it must be 'fast' or 'slow'"),
        ("shape", {"kind": "round"}, "it must be one of 'topk', 'relu'"),
        ("several", [1], "it needs at least 2 values"),
        ("several", [1, 2, 3, 4], "it can have at most 3 values"),
        ("text", "a", "it needs at least 2 characters"),
        ("text", "abcdef", "it can have at most 5 characters"),
        ("text", "ABC", "it does not have the form ^[a-z]+$"),
        ("text", "", "is empty"),
        ("flag", "maybe", "it is neither true nor false"),
        ("share", float("inf"), "it is not a finite number"),
        ("share", "much", "it is not a number"),
        ("at_least", 3.5, "it is not a whole number"),
    ],
)
def test_every_rule_has_words_that_name_its_bound(field: str, value: Any, said: str) -> None:
    with pytest.raises(WorkbenchError) as refused:
        validated(Bounded, {field: value}, what="This")
    assert f"field {field}" in refused.value.why and refused.value.why.endswith(said)


def test_the_rules_with_words_are_rules_that_pydantic_has() -> None:
    assert SAID.keys() <= set(get_args(ErrorType))
