"""The Steer page: the rack of levers, one prompt, and the two texts side by side with their controls."""

from __future__ import annotations

import json
import shlex
from typing import Any

import gradio as gr

from app.components.comparison import ComparisonView
from app.components.lever_rack import LeverRack, Rack, rack_of
from app.pages.context import PageContext
from app.pages.outcome import outcome_value
from probes.artefacts import home
from probes.errors import WorkbenchError
from probes.files import read_json, slug, write_json
from steering.levers import OPERATIONS, Lever, LeverSet

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
PROMPT = "The president of the United States stood up and said that"
RANGES = {"scale": (-1.0, 1.0, -1.0), "project": (0.0, 1.0, 1.0), "cap": (0.0, 1.0, 1.0)}
WHERE = {"all": "", "prompt": "positions=prompt", "generated": "positions=generated"}
SHIPPED = "comparison.json"


def operations() -> list[dict[str, Any]]:
    """What the rack offers: swap and patch need more than a slider and are set in a lever file."""
    rows = []
    for name, entry in OPERATIONS.items():
        if name not in {"swap", "patch"}:
            low, high, start = RANGES.get(name, (0.0, 2.0, 1.0))
            rows.append({"name": name, "sentence": entry.sentence, "low": low, "high": high, "start": start})
    return rows


def new_rack(*, render: bool) -> LeverRack:
    """The rack, made before the pages so that the Graph page can put levers on it."""
    return LeverRack(operations=operations(), elem_id="lever-rack", render=render)


def levers_of(rack: Rack) -> list[Lever]:
    """The rack as levers."""
    return [
        Lever(
            level=row.level,
            weights=row.latents(),
            operation=row.operation,
            strength=row.strength,
            where=WHERE[row.where],
        )
        for row in rack.levers
    ]


def command_line(ref: str, rack: Rack, prompt: str, seed: float, tokens: float) -> str:
    """The command that does the same for the rack's first lever."""
    if not rack.levers:
        return "Add a lever on the Graph page first."
    first = rack.levers[0]
    parts = [
        "python",
        "-m",
        "app",
        "steer",
        ref,
        "--concept",
        first.concept,
        "--strength",
        f"{first.strength:g}",
    ]
    parts += ["--operation", first.operation] if first.operation != "add" else []
    parts += ["--where", WHERE[first.where]] if first.where != "all" else []
    parts += [
        "--prompt",
        prompt,
        "--seed",
        str(int(seed)),
        "--tokens",
        str(int(tokens)),
        "--temperature",
        "0.7",
    ]
    return shlex.join(parts)


def build(context: PageContext) -> None:
    """Build the page inside the current tab."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            gr.Markdown("#### Levers")
            context.rack.render()
            prompt = gr.Textbox(PROMPT, label="Prompt", lines=3, max_length=4000, elem_id="steer-prompt")
            with gr.Row():
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="steer-seed", min_width=90)
                tokens = gr.Number(
                    40,
                    label="New tokens",
                    precision=0,
                    minimum=1,
                    maximum=400,
                    elem_id="steer-tokens",
                    min_width=90,
                )
            controls = gr.Checkbox(True, label="Compare with controls", elem_id="steer-controls")
            with gr.Row():
                go = gr.Button("Generate", variant="primary", elem_id="steer-go")
                pin = gr.Button("Pin to report", elem_id="steer-pin")
            with gr.Row():
                title = gr.Textbox(
                    "my levers", label="Lever set", max_length=60, elem_id="steer-title", min_width=120
                )
                save = gr.Button("Save", elem_id="steer-save", min_width=60)
            said = gr.Markdown("", elem_id="steer-said")
            command = gr.Code(
                "", language="shell", label="The same from the command line", elem_id="steer-command"
            )
        with gr.Column(scale=7, min_width=320):
            view = ComparisonView(_first(context), elem_id="comparison")
    last = gr.State(None)

    def steer(
        ref: str, rack: Any, text: str, number: float, new: float, compare_controls: bool
    ) -> tuple[Any, Any, Any]:
        try:
            found = _run(
                context, ref, rack_of(rack), text, int(number or 0), int(new or 40), compare_controls
            )
        except WorkbenchError as error:
            return {"message": str(error), "failed": True}, None, gr.update()
        data = found if isinstance(found, dict) else found.model_dump(mode="json")
        return outcome_value(data), data, gr.update(shares=_shares(rack_of(rack), data))

    inputs = [context.graph_ref, context.rack, prompt, seed, tokens]
    busy = go.click(
        lambda: {"message": "Generating: the subject is loaded at the first use.", "busy": True},
        outputs=view,
        **QUIET,
    )
    busy.then(
        steer,
        inputs=[*inputs, controls],
        outputs=[view, last, context.rack],
        concurrency_id="model",
        concurrency_limit=1,
        show_progress="hidden",
        api_name="steer",
    )

    def equal_command(ref: str, rack: Any, text: str, number: float, new: float) -> str:
        return command_line(ref, rack_of(rack), text, number or 0, new or 40)

    for part in (context.rack, prompt, seed, tokens):
        part.change(equal_command, inputs=inputs, outputs=command, **QUIET)
    pin.click(_pin, inputs=last, outputs=said, **QUIET)

    def keep(ref: str, rack: Any, name: str) -> str:
        found = rack_of(rack)
        if not found.levers:
            return "Nothing to save: the rack is empty."
        probe = context.graphs.open(ref).graph.meta.probe
        path = LeverSet(probe=probe, levers=tuple(levers_of(found))).save(name)
        return f"Saved as {path.name} among your levers."

    save.click(keep, inputs=[context.graph_ref, context.rack, title], outputs=said, **QUIET)


def _first(context: PageContext) -> dict[str, Any]:
    """The shipped pair, which needs no model; a sentence where a graph has none."""
    try:
        path = context.graphs.open(context.default_graph).path / SHIPPED
        if path.is_file():
            return outcome_value(read_json(path, limit=2**20))
    except WorkbenchError:
        pass
    return {"message": "Put a concept on the rack (Graph page, + lever), then press Generate."}


def _run(
    context: PageContext, ref: str, rack: Rack, prompt: str, seed: int, tokens: int, controls: bool
) -> Any:
    opened = context.graphs.open(ref)
    if not rack.levers:
        raise WorkbenchError(
            "no-lever", "There is no lever", "the rack is empty", "Add one on the Graph page."
        )
    concept = rack.levers[0].concept
    with context.pool.use(opened.graph.meta.subject) as subject:
        return context.compare(
            subject,
            opened.graph,
            levers_of(rack),
            prompt,
            seed=seed,
            max_new_tokens=min(max(tokens, 1), 400),
            controls=controls,
            concept=concept,
        )


def compare_on_graph(
    subject: Any, graph: Any, levers: list[Lever], prompt: str, *, concept: str, **rest: Any
) -> Any:
    """`steering.generate.compare` with the graph's probe and the concept's own examples. Imports torch."""
    from probes.hierarchy.probe import open_probe
    from steering.contexts import contexts_of
    from steering.generate import compare

    node = graph.node(concept) if concept in graph else None
    return compare(
        subject,
        open_probe(graph.meta.probe),
        levers,
        prompt,
        concept=node.label if node else "",
        contexts=contexts_of(subject, graph.examples.get(concept, [])) if node else None,
        **rest,
    )


def _shares(rack: Rack, data: dict[str, Any]) -> dict[str, float]:
    """Row key to the share of the norm at strength 1, from what the last run measured."""
    pairs = zip(rack.levers, data.get("levers", []), strict=False)
    return {row.key: lever["share"] / abs(row.strength) for row, lever in pairs if row.strength}


def _pin(last: Any) -> str:
    if not isinstance(last, dict):
        return "Nothing to pin yet: press Generate first."
    folder = home() / "pins"
    folder.mkdir(parents=True, exist_ok=True)
    name = slug(f"{len(list(folder.glob('*.json'))) + 1:03d} {last['prompt'][:40]}")
    write_json(folder / f"{name[:58]}.json", json.loads(json.dumps(last)))
    return f"Pinned as {name}; choose it on the Report page."
