"""An option with variants: the kind is one flag and one choice, and the chosen kind's fields follow it."""

from __future__ import annotations

import argparse
import shlex
from typing import Any, Literal

import gradio as gr
import pytest
from pydantic import Field, ValidationError

from app.components.config_form import ConfigForm
from app.config_flags import add_flags, collect, flags_of, nested_defaults
from probes.configs import Frozen, Variant, merged
from probes.errors import WorkbenchError
from probes.registry import Registry


class Plain(Variant):
    """Nothing to choose."""

    kind: Literal["plain"] = Field(default="plain", description="Its shape.")


class Round(Variant):
    """A circle."""

    kind: Literal["round"] = Field(default="round", description="Its shape.")
    radius: float = Field(default=1.0, description="How far it reaches.", gt=0)
    filled: bool = Field(default=True, description="Whether it is full.")


class Cornered(Variant):
    """A polygon, 100 % straight."""

    kind: Literal["cornered"] = Field(default="cornered", description="Its shape.")
    corners: tuple[int, ...] = Field(default=(3, 4), description="Corners of each.")
    radius: float = Field(default=2.0, description="How far its corners lie out.", gt=0)


class _Plain:
    Options = Plain


class _Round:
    Options = Round


class _Cornered:
    Options = Cornered


SHAPES = Registry(
    "shape", {name: (f"{__name__}:_{name.capitalize()}", "X.") for name in ("plain", "round", "cornered")}
)


@pytest.fixture(autouse=True)
def shapes(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))


def _config() -> Any:
    rows = {"plain": _Plain, "round": _Round, "cornered": _Cornered}
    SHAPES.load = rows.__getitem__  # type: ignore[method-assign]
    shape: Any = SHAPES.variants()

    class Level(Frozen):
        """One level."""

        shape_of: shape = Field(default=Plain(), description="What it looks like.")
        size: int = Field(default=3, description="A size.", ge=1)

    class Config(Frozen):
        """A config with a section that has a variant."""

        name: str = Field(default="x", description="A name.")
        low: Level = Field(default=Level(), description="The low one.")
        high: Level = Field(default=Level(shape_of=Cornered(radius=5.0)), description="The high one.")

    return Config


Config = _config()


def parsed(*given: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_flags(parser, Config)
    return collect(parser.parse_args(given), Config)


def made(*given: str) -> Any:
    return Config.model_validate(merged(nested_defaults(Config), parsed(*given)))


def test_a_name_alone_means_the_defaults_of_its_row() -> None:
    assert made("--low.shape_of", "round").low.shape_of == Round()
    assert Config.model_validate({"low": {"shape_of": "cornered"}}).low.shape_of == Cornered()
    with pytest.raises(ValidationError, match="'plain', 'round', 'cornered'"):
        made("--low.shape_of", "square")


def test_a_flag_reaches_the_chosen_variant_in_any_order_and_leaves_the_rest() -> None:
    assert made("--low.shape_of.radius", "7", "--low.shape-of", "round").low.shape_of == Round(radius=7)
    assert made("--high.shape_of.corners", "5").high.shape_of == Cornered(radius=5, corners=(5,))
    assert made("--high.shape_of", "round").high.shape_of == Round()  # another kind: nothing of the old one stays
    with pytest.raises(ValidationError, match="radius"):
        made("--low.shape_of.radius", "7")  # a plain one has none


def test_a_name_and_options_meet_when_values_are_laid_over_each_other() -> None:
    assert merged({"s": "round"}, {"s": {"radius": 3}}) == {"s": {"kind": "round", "radius": 3}}
    assert merged({"s": {"kind": "round", "radius": 3}}, {"s": "plain"}) == {"s": "plain"}


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(low={"shape_of": "round"}),
        Config(low={"shape_of": Round(radius=3, filled=False), "size": 9}),
        Config(high={"shape_of": Cornered(radius=5.0)}),
        Config(high={"shape_of": Cornered(corners=())}),
        Config(high={"shape_of": "plain"}),
    ],
)
def test_the_command_shown_makes_the_same_config(config: Any) -> None:
    assert made(*shlex.split(shlex.join(flags_of(config)))) == config


def test_help_says_whose_an_option_is(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, Config)
    shown = " ".join(parser.format_help().split())
    assert "{plain,round,cornered} What it looks like. Default: plain." in shown
    assert "Of round: how far it reaches. Of cornered: how far its corners lie out." in shown


def form(values: dict[str, Any] | None = None) -> ConfigForm:
    with gr.Blocks():
        return ConfigForm(Config, values, prefix="test")


def given(shown: ConfigForm) -> list[Any]:
    return [part.value for part in shown.components]


def test_an_untouched_form_is_the_default_config() -> None:
    shown = form()
    assert shown.read(given(shown)) == Config()
    assert len({part.elem_id for part in shown.components}) == len(shown.components)


def test_a_preset_chooses_a_variant_and_the_form_reads_its_fields_only() -> None:
    shown = form({"low": {"shape_of": {"kind": "round", "radius": 4.0}}, "high": {"shape_of": "plain"}})
    assert shown.read(given(shown)) == Config(low={"shape_of": Round(radius=4.0)}, high={"shape_of": "plain"})
    values = given(shown)
    place = next(n for n, c in enumerate(shown.controls) if c.path == ("low", "shape_of", "kind"))
    values[place] = "cornered"
    assert shown.read(values) == Config(low={"shape_of": Cornered()}, high={"shape_of": "plain"})


def test_a_wrong_value_of_the_chosen_variant_is_named_and_of_another_ignored() -> None:
    shown = form({"low": {"shape_of": "round"}})
    values = given(shown)
    for number, control in enumerate(shown.controls):
        if control.path == ("low", "shape_of", "radius"):
            values[number] = -1.0
    with pytest.raises(WorkbenchError, match="radius"):
        shown.read(values)
    values[next(n for n, c in enumerate(shown.controls) if c.path == ("low", "shape_of", "kind"))] = "plain"
    assert shown.read(values) == Config()
