"""The main job on the bundled language model, small: capture, train, graph, steer, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from app.evaluate import EvaluateConfig
from app.suites.main_job import MainJobConfig
from app.suites.rows import read_rows
from app.worker import execute
from concept_graphs.evidence import EvidenceConfig
from concept_graphs.extract import GraphConfig
from concept_graphs.graph import ConceptGraph
from probes.activations import capture
from probes.activations.capture import CaptureConfig, plan_capture
from probes.activations.store import ActivationStore
from probes.artefacts import resolve
from probes.backends.minimality_config import Config
from probes.errors import WorkbenchError
from probes.files import read_json
from probes.hierarchy.probe import Probe, open_probe
from probes.hooks import Edit, Selector, hooked, keep
from probes.runs import Run
from probes.subjects.text_autoregressive import TextAutoregressive
from steering.contexts import contexts_of
from steering.edits import compile_levers
from steering.evaluation import LeverEvaluationConfig
from steering.generate import compare
from steering.levers import Lever, LeverSet, OperationParams
from steering.registry import OPERATIONS

pytestmark = pytest.mark.model

CAPTURE = CaptureConfig(
    name="whale", corpus="bundled/moby-dick", max_tokens=6_000, dtype="float32", context=64, batch=16
)


def small(k: int, n: int, **rest: Any) -> dict[str, Any]:
    return {"n_latents": n, "k": k, "dead_after": 2000, "optimiser": {"steps": 60, "batch": 256}, **rest}


TRAIN = Config.model_validate(
    {
        "name": "whale",
        "store": "whale",
        "low": small(8, 128, depth=0.2),
        "middle": small(8, 128, depth=0.5),
        "high": small(4, 32, depth=0.8, span=16, optimiser={"steps": 60, "batch": 64}),
        "maps": {
            "rows": 20_000,
            "minimum_rows": 10,
            "optimiser": {"steps": 60, "batch": 256, "learning_rate": 0.03},
        },
    }
)
GRAPH = GraphConfig(
    name="whale",
    probe="whale",
    edges=8,
    rows=20_000,
    bootstrap_fits=1,
    r2_floor=0.0,
    loss_chunks=2,
    evidence=EvidenceConfig(chunks=6),
    dtype="float32",
)


def run_job(kind: str, config: Any) -> Path:
    run = Run.create(kind, config.name, config, command=f"test {kind}")
    made = execute(run)
    assert made is not None
    assert run.status().state == "done"
    return made


@pytest.fixture(scope="module")
def whale(smollm2: TextAutoregressive) -> tuple[TextAutoregressive, Probe, ConceptGraph]:
    run_job("capture", CAPTURE)
    run_job("train", TRAIN)
    run_job("graph", GRAPH)
    return smollm2, open_probe("whale"), ConceptGraph.open("whale")


def test_store_masks_the_first_position_and_keeps_documents_apart(whale: Any) -> None:
    store = ActivationStore(resolve("whale", "store"))
    for info in store.index.points:
        assert 0 in info.sink_positions
        assert store.index.masked[str(info.point)]["masked_first_position"] > 0
    splits = {document.id: document.split for document in store.index.documents}
    assert set(splits.values()) == {"train", "held_out"}
    for split in ("train", "held_out"):
        for shard in store.shards(split):
            documents, _ = store.documents_of(shard)
            assert {store.index.documents[int(d)].split for d in documents} == {split}


def test_stored_activations_are_the_subjects_own(whale: Any) -> None:
    subject, _, _ = whale
    store = ActivationStore(resolve("whale", "store"))
    shard = store.shards("held_out")[0]
    point = store.index.points[1].point
    tokens, valid = store.tokens(shard)[:4], store.read(shard, "valid")[0][:4]
    with hooked(subject, {point: keep}) as tape:
        subject.run(tokens, None if bool(valid.all()) else ~valid)
    ours = store.activations(shard, point)[:4].float()
    use = store.usable(shard, point)[:4]
    torch.testing.assert_close(ours[use], tape.last(point)[use], rtol=2e-3, atol=0.05)


def test_restarting_from_stored_activations_is_exact(whale: Any) -> None:
    subject, _, _ = whale
    low, high = subject.layer_at(0.2), subject.layer_at(0.8)
    tokens = torch.randint(10, 4000, (3, 24), generator=torch.Generator().manual_seed(0))
    seen = subject.activations(tokens, {low: keep, high: keep})
    with subject.restarted(low, seen[low]), hooked(subject, {high: keep}, stop=True) as tape:
        subject.run(tokens)
    assert torch.equal(tape.last(high), seen[high])


def test_probe_is_calibrated_on_text_it_was_not_trained_on(whale: Any) -> None:
    _, probe, _ = whale
    for level in probe.levels:
        assert level.record.figures["l0"] == pytest.approx(level.record.k, rel=0.15)
        assert level.record.figures["explained_variance"] > 0.1


def test_graph_has_evidence_for_every_edge(whale: Any) -> None:
    _, _, graph = whale
    assert len(graph.edges) == 16
    tested = [edge for edge in graph.edges if edge.verdict != "untested"]
    assert len(tested) >= 8
    for edge in tested:
        assert edge.effect_low <= edge.effect <= edge.effect_high
        assert edge.null95 > 0 and edge.n >= 5 and 0 < edge.p <= 1 and edge.p <= edge.q
        if edge.confirmed:
            assert abs(edge.effect) > edge.null95
            assert edge.effect_low > 0 or edge.effect_high < 0
    for node in graph.nodes:
        assert node.label and node.promoted and graph.examples[node.id]
    assert graph.meta.figures["middle.recovered_zero_ablation"] > 0.3


def test_evaluation_measures_every_part(whale: Any) -> None:
    drawn = LeverEvaluationConfig(
        concepts=2,
        lowest_frequency=0,
        highest_frequency=1,
        detection=0,
        prompts=4,
        tuning_prompts=2,
        new_tokens=8,
        strengths=(0.5, 1.0),
        controls=1,
    )
    job = MainJobConfig(
        graph="whale", tokens=2_500, corpus="bundled/moby-dick", loss_chunks=2, read_latents=5, levers=drawn
    )
    made = run_job("evaluate", EvaluateConfig(name="whale", main_job=job))
    rows = {row.name: row for row in read_rows(made.parent).rows}
    assert len(rows) == len(read_rows(made.parent).rows)
    assert rows["dictionary.middle.explained_variance"].value > 0.1
    assert rows["dictionary.middle.recovered_zero_ablation"].value > 0.3
    assert rows["edges.low-middle.tested"].value <= rows["edges.low-middle.proposed"].value == 8
    assert rows["labels.random.middle.listed"].n == 5
    assert "[" in (made.parent / "labels.md").read_text()
    assert rows["levers.lever.words"].n == 2
    assert rows["levers.lever.damage"].value < 0
    details = read_json(made.parent / "levers.json")
    assert {arm["arm"] for arm in details[0]["arms"]} == {"lever", "companions", "difference_of_means", "asking"}
    assert all(result["concept"].startswith("middle/") for result in details)


@pytest.mark.parametrize("level", ["middle", "high"])
@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_strength_zero_is_identical_and_strength_moves(whale: Any, level: str, operation: str) -> None:
    subject, probe, _ = whale
    latent = int(probe.level(level).statistics["frequency"].argmax())
    params = OperationParams(target=1 if latent != 1 else 2, donor="The whale swam. " * 20, level=4.0)
    lever = Lever(level=level, weights={latent: 1.0}, operation=operation, params=params)
    prompt = "The captain looked at the sea and the great white whale, and he"
    none = compare(subject, probe, [lever.with_strength(0.0)], prompt, max_new_tokens=3, controls=False)
    assert none.steered.tokens == none.unsteered.tokens
    assert none.steered.damage == 0.0
    assert any("moved nothing" in notice for notice in none.notices)
    if operation == "cap":
        lever = lever.model_copy(update={"params": OperationParams(level=0.0)})
    strong = compare(subject, probe, [lever.with_strength(2.0)], prompt, max_new_tokens=3, controls=False)
    assert strong.levers[0].moved > 0
    assert strong.steered.damage != 0.0


@pytest.mark.parametrize("level", ["middle", "high"])
def test_cached_and_uncached_generation_agree_under_a_lever(whale: Any, level: str) -> None:
    subject, probe, _ = whale
    latent = int(probe.level(level).statistics["frequency"].argmax())
    lever = Lever(level=level, weights={latent: 1.0}, operation="scale", strength=2.0)
    tokens = subject.tokenizer("Call me Ishmael. Some years ago", return_tensors="pt").input_ids
    made = []
    for cached in (True, False):
        edits, _ = compile_levers([lever], probe, subject)
        with hooked(subject, write=edits):
            out = subject.generate(tokens, seeds=[3], max_new_tokens=12, use_cache=cached)
        made.append(out.tokens)
    assert torch.equal(made[0], made[1])


def test_levers_commute(whale: Any) -> None:
    subject, probe, _ = whale
    first = Lever(level="middle", weights={3: 1.0}, operation="set", strength=1.0)
    second = Lever(level="middle", weights={5: 1.0}, operation="scale", strength=-1.0)
    tokens = torch.randint(10, 4000, (1, 16), generator=torch.Generator().manual_seed(1))
    seen = []
    for order in ([first, second], [second, first]):
        edits, _ = compile_levers(order, probe, subject)
        with hooked(subject, write=edits):
            seen.append(subject.logits(tokens))
    torch.testing.assert_close(seen[0], seen[1], rtol=1e-4, atol=1e-3)


def test_controls_have_equal_norm_and_prompting_is_one_of_them(whale: Any) -> None:
    subject, probe, graph = whale
    node = next(n for n in graph.nodes if n.level == "middle" and contexts_of(subject, graph.examples[n.id]))
    lever = Lever(level="middle", weights={node.index: 1.0}, strength=1.0)
    found = compare(
        subject,
        probe,
        [lever],
        "The captain said",
        max_new_tokens=4,
        concept=node.label,
        contexts=contexts_of(subject, graph.examples[node.id]),
    )
    names = [control.name for control in found.controls]
    assert names == [
        "random latents of equal norm",
        "difference of means, equal norm",
        "a prompt that asks for it",
    ]
    assert found.controls[2].prompt.startswith("Write about")


def test_a_latent_the_level_does_not_have_is_refused(whale: Any) -> None:
    subject, probe, _ = whale
    with pytest.raises(WorkbenchError, match="no latent 9999"):
        compare(subject, probe, [Lever(level="middle", weights={9999: 1.0})], "Hello")
    with pytest.raises(WorkbenchError, match="no level called"):
        compare(subject, probe, [Lever(level="top", weights={1: 1.0})], "Hello")


def test_lever_sets_round_trip_and_refuse_unknown_fields(tmp_path: Path) -> None:
    levers = LeverSet(probe="whale", levers=(Lever(level="middle", weights={3: 0.5}, where="positions=generated"),))
    path = levers.save("My levers: whale!")
    assert LeverSet.load(path) == levers
    bad = tmp_path / "bad.json"
    bad.write_text('{"probe": "x", "levers": [], "colour": 1}')
    with pytest.raises(WorkbenchError, match="colour"):
        LeverSet.load(bad)


def test_bad_captures_say_what_to_do(smollm2: TextAutoregressive, tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("Too short.")
    with pytest.raises(WorkbenchError, match="too small"):
        plan_capture(CaptureConfig(name="x", corpus=str(text)), smollm2)
    run = Run.create("capture", "again", CAPTURE.model_copy(update={"name": "x", "layers": (0.5, 0.51)}), command="")
    with pytest.raises(WorkbenchError, match="share a layer"):
        execute(run)


def test_a_few_chunks_of_training_documents_leave_held_out_ones_whole(smollm2: TextAutoregressive) -> None:
    whole = CaptureConfig(name="x", corpus="bundled/moby-dick", max_tokens=400_000)
    every = plan_capture(whole, smollm2)
    some = plan_capture(whole.model_copy(update={"document_chunks": 2}), smollm2)
    assert some.chunks["held_out"] == every.chunks["held_out"]
    for number in range(len(some.documents)):
        kept, all_of_it = (
            [chunk for chunk in plan.chunks["train"] if chunk.document == number] for plan in (some, every)
        )
        assert len(kept) == min(2, len(all_of_it))
        assert {chunk.start for chunk in kept} <= {chunk.start for chunk in all_of_it}


def test_captures_of_one_name_never_mix(
    smollm2: TextAutoregressive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "SHARD_CHUNKS", 16)
    (tmp_path / "count.txt").write_text("\n\n".join(f"{n} sheep jumped over the fence." for n in range(200)))
    small = {"name": "never-mixed", "context": 32, "max_tokens": 1500, "batch": 16}
    first, second = (
        Run.create("capture", "never-mixed", CaptureConfig(corpus=corpus, **small), command="")
        for corpus in ("bundled/moby-dick", str(tmp_path / "count.txt"))
    )
    log = Run.log
    monkeypatch.setattr(Run, "log", lambda self, *a, **k: (self.request_stop(), log(self, *a, **k)))
    assert execute(first) is None and first.status().state == "stopped" and first.status().step > 0
    monkeypatch.undo()
    made = execute(second)
    assert made is not None
    text = smollm2.tokenizer.decode(ActivationStore(made).tokens(0)[:4].flatten())
    assert "sheep" in text and "whale" not in text
    first.clear_stop()
    with pytest.raises(WorkbenchError, match="never overwritten"):
        execute(first)


def test_an_edit_outside_the_prompt_leaves_the_prompt_alone(smollm2: TextAutoregressive) -> None:
    point = smollm2.layer_at(0.5)
    tokens = torch.randint(10, 4000, (1, 8), generator=torch.Generator().manual_seed(2))
    edit = Edit(point, Selector(positions="generated"), lambda x, where: torch.ones_like(x) * 5)
    with hooked(smollm2, {point: keep}, [edit]) as tape:
        smollm2.generate(tokens, seeds=[0], max_new_tokens=4, stop_at_end=False)
    assert tape.edited_places[point] == 3
