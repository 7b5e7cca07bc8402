from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import gradio as gr
import pytest
from pydantic import Field

from app import jobs
from app.components.config_form import ConfigForm
from app.pages.train import KINDS
from probes.backends.minimality_config import Config as Training
from probes.configs import Frozen
from probes.errors import WorkbenchError


class Inner(Frozen):
    k: int = Field(default=8, description="Active latents.", ge=1, le=64)
    depths: tuple[float, ...] = Field(default=(0.2, 0.5), description="Fractions.")


class Config(Frozen):
    """Everything a field can be."""

    name: str = Field(description="A name.", min_length=1)
    store: str = Field(default="", description="A store.")
    rate: float = Field(default=0.01, description="A rate.", gt=0, le=1)
    mode: Literal["fast", "slow"] = Field(default="fast", description="A mode.")
    on: bool = Field(default=True, description="A switch.")
    limit: int | None = Field(default=None, description="A limit.")
    low: Inner = Field(default=Inner(k=4), description="The lowest level.")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))


def form(values: dict[str, Any] | None = None) -> ConfigForm:
    with gr.Blocks():
        return ConfigForm(Config, values, prefix="test")


def shown(made: ConfigForm) -> list[Any]:
    return [part.value for part in made.components]


def test_an_untouched_form_is_the_default_config() -> None:
    assert form({"name": "x"}).read(shown(form({"name": "x"}))) == Config(name="x")


def test_every_field_has_a_control_of_its_kind_with_its_sentence() -> None:
    made = form()
    kinds = {control.path: type(control.component) for control in made.controls}
    assert kinds == {
        ("name",): gr.Textbox,
        ("store",): gr.Dropdown,
        ("rate",): gr.Number,
        ("mode",): gr.Dropdown,
        ("on",): gr.Checkbox,
        ("limit",): gr.Textbox,
        ("low", "k"): gr.Number,
        ("low", "depths"): gr.Textbox,
    }
    assert made.components[0].info == "A name."
    assert len({part.elem_id for part in made.components}) == len(made.components)


def test_a_preset_is_laid_over_the_defaults_of_its_section() -> None:
    preset = form({"name": "x", "low": {"depths": [0.9]}})
    assert preset.read(shown(preset)) == Config(name="x", low=Inner(k=4, depths=(0.9,)))


def test_what_is_typed_is_read_as_the_command_line_reads_it() -> None:
    made = form()
    config = made.read(["mine", "s", 0.5, "slow", False, "12", 9, "0.1, 0.3"])
    assert config == Config(
        name="mine", store="s", rate=0.5, mode="slow", on=False, limit=12, low=Inner(k=9, depths=(0.1, 0.3))
    )


@pytest.mark.parametrize(
    ("place", "value", "field"), [(0, "", "name"), (2, 7, "rate"), (5, "x", "limit"), (6, 0, "low.k")]
)
def test_a_wrong_value_is_named(place: int, value: Any, field: str) -> None:
    made = form({"name": "x"})
    given = shown(made)
    given[place] = value
    with pytest.raises(WorkbenchError, match=f"field {field}"):
        made.read(given)


def test_the_form_of_a_training_names_the_field_that_a_transcoder_needs() -> None:
    """Two fields that do not go together: the one that mends it is named as the form shows it."""
    with gr.Blocks():
        made = ConfigForm(Training, {"name": "x", "store": "toy"}, prefix="train")
    at = {control.path: number for number, control in enumerate(made.controls) if not control.only}
    given = shown(made)
    given[at["low", "autoencoder", "kind"]] = "transcoder"
    with pytest.raises(WorkbenchError, match=r"transcoder predicts another hook point.* Correct Low / Predicts"):
        made.read(given)
    given[at["low", "predicts"]] = "layers.3.mlp:out"
    given[at["middle", "autoencoder", "kind"]] = "crosscoder"
    given[at["middle", "reads"]] = "layers.3:out, layers.4:out"
    read = made.read(given)
    assert isinstance(read, Training)
    assert (read.low.predicts, read.middle.reads) == ("layers.3.mlp:out", ("layers.3:out", "layers.4:out"))


def test_every_config_on_the_train_page_is_its_defaults_until_something_is_changed() -> None:
    needed = {"name": "x", "subject": "bundled/toy", "prompts": "a\nb", "path": ["x"], "probe": "p", "store": "s"}
    needed["file"] = "x"
    for kind in KINDS.values():
        row = jobs.job(kind)
        for name in row.choices() if row.chosen_by else [""]:
            config = row.config_class(row=name)
            values = {key: value for key, value in needed.items() if key in config.model_fields}
            with gr.Blocks():
                made = ConfigForm(config, values, prefix="test")
            assert made.read(shown(made)) == config.model_validate(values), (kind, name)


def test_a_config_of_one_kind_is_not_started_as_another() -> None:
    capture = jobs.job("capture")
    capture.check_row("image_diffusion", {"subject": "bundled/toy"})
    with pytest.raises(WorkbenchError, match="opened as text autoregressive"):
        capture.check_row("image_diffusion", {"subject": "someone/pipeline"})
    with pytest.raises(WorkbenchError, match="opened as image diffusion"):
        capture.check_row("text_autoregressive", {"subject": "bundled/toy"})


def test_names_are_offered_and_others_can_be_typed() -> None:
    config = jobs.job("capture").config_class(row="image_diffusion")
    with gr.Blocks():
        made = ConfigForm(config, {"name": "x"}, prefix="test")
    controls = {control.path[0]: control.component for control in made.controls}
    subject = controls["subject"]
    assert isinstance(subject, gr.Dropdown) and subject.allow_custom_value
    assert {value for _, value in subject.choices} == {"bundled/emoji", "bundled/toy"}  # terrain reads no prompts
    assert controls["prompts"].lines > 1
