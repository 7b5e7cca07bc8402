"""The Steer page: the rack of levers, one prompt, and the two texts side by side with their controls."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.context import Context
from pydantic import Field

from app.components.comparison import ComparisonView
from app.components.lever_rack import LeverRow, Rack, rack_of
from app.desk import SELECTORS, choices, levers_of, operations, rack_from
from app.pages.context import PageContext
from app.pages.outcome import outcome_value
from app.pins import pin
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import read_json
from steering.levers import Lever, LeverSet

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
PROMPT = "The president of the United States stood up and said that"
EMPTY = "Put a concept on the rack (Graph page, + lever), then press Generate."
SHIPPED = "comparison.json"
# Hands the lever set to the browser as a file. The text comes from a text box that is never shown: the
# value of a state does not reach scripts.
DOWNLOAD = """(text) => { if (!text) return; const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob([text], {type: "application/json"})); a.download = "levers.json";
  a.click(); setTimeout(() => URL.revokeObjectURL(a.href), 1000); }"""


class Ask(Frozen):
    """One comparison to make."""

    prompt: str = Field(description="Text to continue.", min_length=1, max_length=20_000)
    seed: int = Field(default=0, description="Seed of sampling, the same for both texts.", ge=0, le=2**31 - 1)
    tokens: int = Field(default=40, description="Tokens to generate.", ge=1, le=400)
    temperature: float = Field(default=0.7, description="0 takes the likeliest token.", ge=0, le=2)
    controls: bool = Field(default=True, description="Also run the controls.")


def asked(prompt: Any, seed: Any, tokens: Any, temperature: Any, controls: Any) -> Ask:
    """What the form asks for. Raises `WorkbenchError` naming the field that is wrong."""
    data = {"prompt": prompt, "seed": seed or 0, "tokens": tokens, "temperature": temperature, "controls": controls}
    return validated(Ask, data, what="The comparison")


def command_line(ref: str, rack: Rack, ask: Ask) -> str:
    """The command that does the same; one that no flags can say reads the levers from a saved file."""
    if not rack.levers:
        return "# add a lever on the Graph page first"
    first, shared = rack.levers[0], ("operation", "strength", "where", "aim", "target", "donor", "weights")
    parts = ["python", "-m", "app", "steer", ref]
    if first.weights or any(getattr(row, name) != getattr(first, name) for row in rack.levers for name in shared):
        parts += ["--levers", "levers.json"]
    else:
        parts += [part for row in rack.levers for part in ("--concept", row.concept)] + _lever_flags(first)
    parts += [*_text_flag("--prompt", ask.prompt), "--seed", str(ask.seed), "--tokens", str(ask.tokens)]
    line = shlex.join([*parts, "--temperature", f"{ask.temperature:g}", *([] if ask.controls else ["--no-controls"])])
    return f"# after Save levers\n{line}" if "--levers" in parts else line


def _text_flag(flag: str, text: str) -> list[str]:
    """A text that starts with a dash would be read as a flag of its own."""
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def _lever_flags(row: LeverRow) -> list[str]:
    flags = ["--strength", f"{row.strength:g}"]
    flags += ["--operation", row.operation] if row.operation != "add" else []
    flags += ["--to-level", f"{row.aim:g}"] if row.operation in {"set", "cap"} and row.aim != 1 else []
    flags += ["--target", f"{row.level}/{row.target}"] if row.operation == "swap" and row.target is not None else []
    flags += _text_flag("--donor", row.donor) if row.operation == "patch" else []
    return flags + (["--where", SELECTORS[row.where]] if row.where != "all" else [])


class SteerPage:
    """The page's components and what its handlers return."""

    def __init__(self, context: PageContext) -> None:
        self.context = context
        self.last = gr.State(None)
        with gr.Row(equal_height=False, elem_classes="fc-main"):
            with gr.Column(scale=5, min_width=300, elem_classes="fc-panel"):
                context.rack.render()
                self._file_buttons()
                self._form()
                with gr.Row():
                    self.go = gr.Button("Generate", variant="primary", elem_id="steer-go")
                    self.ready = gr.Button("Try it", visible=False, elem_id="steer-try")
                self.command = gr.Code(
                    "",
                    language="shell",
                    label="The same from the command line",
                    lines=1,
                    wrap_lines=True,
                    interactive=False,
                    elem_id="steer-command",
                )
            with gr.Column(scale=8, min_width=320, elem_classes="fc-panel"):
                self.view = ComparisonView({"message": EMPTY}, elem_id="comparison")
                self.pin = gr.Button("Pin to report", size="sm", elem_classes="fc-narrow", elem_id="steer-pin")
                self.said = gr.Markdown("", elem_id="steer-said")

    def _file_buttons(self) -> None:
        with gr.Row():
            self.save = gr.Button("Save levers", size="sm", min_width=90, elem_id="levers-save")
            self.load = gr.UploadButton(
                "Load levers",
                file_types=[".json"],
                type="binary",
                size="sm",
                min_width=90,
                elem_id="levers-load",
            )
        self.text = gr.Textbox("", visible="hidden", label="Lever set")

    def _form(self) -> None:
        prompt = gr.Textbox(PROMPT, label="Prompt", lines=3, max_lines=8, max_length=20_000, elem_id="steer-prompt")
        with gr.Row():
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=80, elem_id="steer-seed")
            tokens = gr.Number(
                40, label="New tokens", precision=0, minimum=1, maximum=400, min_width=80, elem_id="steer-tokens"
            )
            temperature = gr.Number(
                0.7, label="Temperature", step=0.1, minimum=0, maximum=2, min_width=80, elem_id="steer-temperature"
            )
        controls = gr.Checkbox(
            True,
            label="Compare with controls",
            info="random latents of equal norm, difference of means, a plain prompt",
            elem_id="steer-controls",
        )
        self.prompt, self.seed = prompt, seed
        self.form: list[Any] = [prompt, seed, tokens, temperature, controls]

    def steer(self, ref: str, rack_value: Any, *form: Any) -> Iterator[tuple[Any, Any, Any]]:
        """Values of the comparison, of its state and of the rack's shares."""
        yield {"message": "Generating: the subject is loaded at the first use.", "busy": True}, None, gr.skip()
        try:
            rack = rack_of(rack_value)
            data = _run(self.context, ref, rack, asked(*form))
        except WorkbenchError as error:
            yield {"message": str(error), "failed": True}, None, gr.skip()
            return
        yield outcome_value(data), data, gr.update(shares=_shares(rack, data))

    def shipped(self, ref: str) -> tuple[Any, ...]:
        """The comparison that lies beside the graph, with its levers, prompt and seed; needs no subject."""
        opened = self.context.graphs.open(ref)
        data = shipped(opened.path)
        if data is None:
            return (gr.skip(),) * 5
        levers = [validated(Lever, row["lever"], what="The shipped lever") for row in data["levers"]]
        rack = rack_from(opened.graph, levers)
        value = gr.update(value=rack.model_dump(mode="json"), shares=_shares(rack, data))
        told = "Computed beforehand. Move the slider and press Generate to run it yourself."
        return {**outcome_value(data), "message": told}, data, value, data["prompt"], data["seed"]

    def offer(self, ref: str) -> Any:
        """Whether there is something to try at once."""
        try:
            return gr.update(visible=bool(ref) and shipped(self.context.graphs.open(ref).path) is not None)
        except WorkbenchError:
            return gr.update(visible=False)

    def concepts(self, ref: str) -> Any:
        """What a swap on the rack can move to."""
        try:
            found = choices(self.context.graphs.open(ref).graph) if ref else {}
        except WorkbenchError:
            found = {}
        # While the page is being built the first update replaces all props: so it names them all.
        return gr.update(operations=operations(), shares={}, concepts=found)

    def command_for(self, ref: str, rack: Any, *form: Any) -> str:
        """The command line of the form as it stands, or what is wrong with it."""
        try:
            return command_line(ref, rack_of(rack), asked(*form))
        except WorkbenchError as error:
            return f"# {error.why}"

    def as_file(self, ref: str, rack: Any) -> str:
        """The lever set as JSON text; kept in the data folder's form."""
        try:
            probe = self.context.graphs.open(ref).graph.meta.probe
            levers = LeverSet(probe=probe, levers=tuple(levers_of(rack_of(rack))))
        except WorkbenchError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return json.dumps(levers.model_dump(mode="json"), indent=1, allow_nan=False)

    def from_file(self, content: Any, ref: str) -> Any:
        """A lever set from a file a person chose."""
        try:
            levers = validated(LeverSet, _json_of(content), what="The lever set")
            graph = self.context.graphs.open(ref).graph
            if levers.probe != graph.meta.probe:
                gr.Warning("These levers were made with another probe; its latents may mean something else.")
            return rack_from(graph, levers.levers).model_dump(mode="json")
        except WorkbenchError as error:
            raise gr.Error(str(error), print_exception=False) from None


def build(context: PageContext) -> None:
    """Build the page inside the current tab."""
    page = SteerPage(context)
    ref, rack, blocks = context.graph_ref, context.rack, Context.root_block
    assert blocks is not None
    page.go.click(
        page.steer,
        inputs=[ref, rack, *page.form],
        outputs=[page.view, page.last, rack],
        concurrency_id="model",
        concurrency_limit=1,
        trigger_mode="once",
        show_progress="hidden",
        api_name="steer",
    )
    page.ready.click(page.shipped, inputs=ref, outputs=[page.view, page.last, rack, page.prompt, page.seed], **QUIET)
    page.pin.click(_pin, inputs=page.last, outputs=page.said, **QUIET)
    page.save.click(page.as_file, inputs=[ref, rack], outputs=page.text, **QUIET).then(
        None, inputs=page.text, js=DOWNLOAD, **QUIET
    )
    page.load.upload(page.from_file, inputs=[page.load, ref], outputs=rack, **QUIET)
    told: dict[str, Any] = {"inputs": [ref, rack, *page.form], "outputs": page.command, **QUIET}
    gr.on([rack.change, *(part.change for part in page.form)], page.command_for, trigger_mode="always_last", **told)
    blocks.load(page.command_for, **told)
    ref.change(page.offer, inputs=ref, outputs=page.ready, **QUIET)
    blocks.load(page.offer, inputs=ref, outputs=page.ready, **QUIET)
    ref.change(page.concepts, inputs=ref, outputs=rack, **QUIET)
    blocks.load(page.concepts, inputs=ref, outputs=rack, **QUIET)


def shipped(folder: Any) -> dict[str, Any] | None:
    """The comparison made beforehand beside a graph; None when there is none."""
    path = folder / SHIPPED
    data = read_json(path, limit=4 * 2**20) if path.is_file() else None
    return data if isinstance(data, dict) and "steered" in data else None


def _json_of(content: Any) -> Any:
    try:
        if not isinstance(content, bytes) or len(content) > 2**20:
            raise ValueError
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise WorkbenchError(
            "bad-levers", "The file is no lever set", "it is not JSON of at most 1 MB", "Choose a file saved here."
        ) from None


def _run(context: PageContext, ref: str, rack: Rack, ask: Ask) -> dict[str, Any]:
    opened = context.graphs.open(ref)
    if not rack.levers:
        raise WorkbenchError("no-lever", "There is no lever", "the rack is empty", "Add one on the Graph page.")
    with context.pool.use(opened.graph.meta.subject) as subject:
        found = context.compare(
            subject,
            opened.graph,
            levers_of(rack),
            ask.prompt,
            seed=ask.seed,
            max_new_tokens=ask.tokens,
            temperature=ask.temperature,
            controls=ask.controls,
            concept=rack.levers[0].concept,
        )
    return found if isinstance(found, dict) else dict(found.model_dump(mode="json"))


def _shares(rack: Rack, data: dict[str, Any]) -> dict[str, float]:
    """Row key to the share of the norm at strength 1, from what the last run measured."""
    pairs = zip(rack.levers, data.get("levers", []), strict=False)
    return {row.key: lever["share"] / abs(row.strength) for row, lever in pairs if row.strength and lever["moved"]}


def _pin(last: Any) -> str:
    if not isinstance(last, dict):
        return "Nothing to pin yet: press Generate first."
    return f"Pinned as {pin(last)}; choose it on the Report page."
