"""Graphs of trajectories: effects against runs made by hand, heat maps against what the denoiser computed."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from app.worker import run_job
from concept_graphs.companions import companions_of
from concept_graphs.describe_images import pictures_of
from concept_graphs.evidence import EvidenceConfig, SourceEffects
from concept_graphs.evidence_images import (
    SplitImages,
    ablate_in_images,
    bands_of,
    computed_later,
    image_deviation,
)
from concept_graphs.figure import ViewSpec, layered_figure
from concept_graphs.graph import ConceptGraph
from concept_graphs.study_images import ImageStudy
from probes.activations.store import ActivationStore
from probes.addresses import HookPoint
from probes.errors import WorkbenchError
from probes.hierarchy.codes import encode_shard
from probes.hierarchy.probe import Level, Probe, open_probe
from probes.hooks import Edit, Where, hooked
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs
from probes.subjects.loading import load_subject
from tests.fixtures.image_stores import COARSE, FINE, image_store

SMALL: dict[str, Any] = {"n_latents": 48, "k": 4, "dead_after": 3000, "optimiser": {"steps": 60, "batch": 128}}
STEPS, GUIDANCE = 8, 4.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("image-graph")
    before = os.environ.get("FULCRUM_HOME")
    os.environ["FULCRUM_HOME"] = str(path)
    image_store(path)
    maps = {"rows": 2000, "minimum_rows": 10, "optimiser": {"steps": 30, "batch": 128, "learning_rate": 0.03}}
    bands = {"low": SMALL | {"depth": 0.1}, "middle": SMALL | {"depth": 0.5}, "high": SMALL | {"depth": 0.9}}
    run_job("train", name="bands", store="images", maps=maps, **bands)
    yield path
    os.environ.pop("FULCRUM_HOME")
    if before is not None:
        os.environ["FULCRUM_HOME"] = before


@pytest.fixture(scope="module")
def store(home: Path) -> ActivationStore:
    return ActivationStore(home / "stores" / "images")


@pytest.fixture(scope="module")
def probe(home: Path) -> Probe:
    return open_probe("bands")


@pytest.fixture(scope="module")
def subject(home: Path) -> ImageDiffusion:
    return load_subject(str(home / "pipeline"), of=ImageDiffusion)


@pytest.fixture(scope="module")
def graph(probe: Probe) -> ConceptGraph:
    run_job(
        "graph", name="bands", probe="bands", edges=12, bootstrap_fits=1, rows=2000, r2_floor=0.0, examples=2,
        evidence={"chunks": 3, "minimum_chunks": 2, "rows": 12},
    )  # fmt: skip
    return ConceptGraph.open("bands")


def _by_hand(
    subject: ImageDiffusion,
    inputs: ImageInputs,
    level: Level,
    latents: list[int],
    frozen: dict[int, Tensor],
    *,
    given: dict[int, Tensor] | None = None,
    wrote: dict[int, Tensor] | None = None,
) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """A sampling loop of its own: (update of FINE by step, noise prediction by step). In the level's band `latents` are
    taken out, or what `given` has by step is added; what they write is left in `wrote`, and nothing changed, where it
    is there. The noise prediction is `frozen`'s at its steps."""
    pipe = subject.pipeline
    unet, fine = pipe.unet, pipe.unet.get_submodule(FINE.removesuffix(":update"))
    positive, negative = pipe.encode_prompt(inputs.prompts[0], "cpu", 1, True, "")
    pipe.scheduler.set_timesteps(STEPS)
    noise = [float(t) / 1000 for t in pipe.scheduler.timesteps]
    seen: dict[int, Tensor] = {}
    low, high = level.where.noise
    step = 0

    def read(_: Any, args: tuple[Any, ...], output: Any) -> None:
        seen[step] = (output[0] - args[0])[1].flatten(1).T

    def edit(_: Any, args: tuple[Any, ...], output: Any) -> Any:
        if not low <= noise[step] <= high:
            return None
        z = level.space.encode((output[0] - args[0])[1].flatten(1).T, latents).value
        change = -z @ level.space.w_dec[latents] if given is None else given[step]
        if wrote is not None:
            wrote[step], change = -change, torch.zeros_like(change)
        return (torch.stack([output[0][0], output[0][1] + change.T.reshape(output[0].shape[1:])]),)

    predictions = {}
    edited = unet.get_submodule(level.record.point.point.path)
    handles = [edited.register_forward_hook(edit), fine.register_forward_hook(read)]
    with torch.no_grad():
        x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(inputs.seeds[0]))
        for step, t in enumerate(pipe.scheduler.timesteps):
            without, with_prompt = unet(torch.cat([x, x]), t, torch.cat([negative, positive])).sample.chunk(2)
            predictions[step] = without + GUIDANCE * (with_prompt - without)
            predictions[step] = frozen.get(step, predictions[step])
            x = pipe.scheduler.step(predictions[step], t, x).prev_sample
    for handle in handles:
        handle.remove()
    return seen, predictions


def test_effects_are_those_of_runs_made_by_hand(store: ActivationStore, probe: Probe, subject: ImageDiffusion) -> None:
    low, _, high = probe.levels
    images, config = SplitImages(store), EvidenceConfig(chunks=2, minimum_chunks=2, nulls=1, rows=8)
    latents = list(range(high.space.n_latents))
    often = images.fires(high, latents).sum(dim=0)
    sources = often.argsort(descending=True)[:3].tolist()
    targets = list(range(low.space.n_latents))
    found = {one.source: one for one in ablate_in_images(subject, images, (high, low), sources, targets, config)}
    assert set(found) == set(sources)
    bands = bands_of(store, high, low)
    assert max(bands.read) < STEPS and min(bands.read) > bands.after  # steps in between, so that the two differ
    chosen = _chosen(images, high, sources, config)
    for source in sources[:2]:
        for row, image in enumerate(chosen[source]):
            inputs = images.inputs([image])
            plain, predictions = _by_hand(subject, inputs, high, [], {})
            later = {step: predictions[step] for step in range(bands.after, STEPS)}
            changed, _ = _by_hand(subject, inputs, high, [source], {})
            carried, _ = _by_hand(subject, inputs, high, [source], later)

            def mean(seen: dict[int, Tensor]) -> np.ndarray:
                rows = torch.stack([low.space.encode(seen[step], targets).value.mean(dim=0) for step in bands.read])
                return np.asarray(rows.mean(dim=0))

            effect, state = mean(changed) - mean(plain), mean(carried) - mean(plain)
            np.testing.assert_allclose(found[source].change[row], effect, atol=2e-5)
            np.testing.assert_allclose(found[source].held[row], state, atol=2e-5)
    largest = max(np.abs(one.change).max() for one in found.values())
    assert largest > 1e-4
    assert any(np.abs(one.change - one.held).max() > 1e-5 for one in found.values())


def test_an_activated_latent_is_given_to_the_same_image_without_its_prompt(
    store: ActivationStore, probe: Probe, subject: ImageDiffusion
) -> None:
    low, _, high = probe.levels
    config = EvidenceConfig(chunks=2, minimum_chunks=2, nulls=1, rows=8, intervention="activate")
    images, targets = SplitImages(store), list(range(low.space.n_latents))
    source = int(images.fires(high, list(range(high.space.n_latents))).sum(dim=0).argmax())
    (found,) = ablate_in_images(subject, images, (high, low), [source], targets, config)
    read = bands_of(store, high, low).read
    for row, image in enumerate(_chosen(images, high, [source], config)[source]):
        inputs = images.inputs([image])
        wrote: dict[int, Tensor] = {}
        _by_hand(subject, inputs, high, [source], {}, wrote=wrote)
        unprompted = inputs.model_copy(update={"prompts": ("",)})
        plain, _ = _by_hand(subject, unprompted, high, [], {})
        changed, _ = _by_hand(subject, unprompted, high, [], {}, given=wrote)
        before, after = (
            torch.stack([low.space.encode(seen[step], targets).value.mean(dim=0) for step in read]).mean(dim=0)
            for seen in (plain, changed)
        )
        np.testing.assert_allclose(found.change[row], (after - before).numpy(), atol=2e-5)
    assert np.abs(found.change).max() > 1e-4


@pytest.fixture(scope="module")
def blocks(home: Path, store: ActivationStore) -> Probe:
    """Two hook points at the same noise, and below them the later one at less."""
    maps = {"rows": 2000, "minimum_rows": 10, "optimiser": {"steps": 30, "batch": 128, "learning_rate": 0.03}}
    at = {"low": f"{FINE}@noise=0.3-0.6", "middle": f"{FINE}@noise=0.6-1.0", "high": f"{COARSE}@noise=0.6-1.0"}
    run_job("train", name="blocks", store="images", maps=maps, **{name: SMALL | {"at": at[name]} for name in at})
    return open_probe("blocks")


def test_effects_on_a_later_block_of_the_same_steps_are_those_of_runs_made_by_hand(
    store: ActivationStore, blocks: Probe, subject: ImageDiffusion
) -> None:
    fine, coarse = blocks.level("middle"), blocks.level("high")
    images, config = SplitImages(store), EvidenceConfig(chunks=2, minimum_chunks=2, nulls=1, rows=8, companions=2)
    often = images.fires(coarse, list(range(coarse.space.n_latents))).sum(dim=0)
    sources = often.argsort(descending=True)[:2].tolist()
    targets = list(range(fine.space.n_latents))
    found = {one.source: one for one in ablate_in_images(subject, images, (coarse, fine), sources, targets, config)}
    bands = bands_of(store, coarse, fine, later=True)
    assert bands.within and min(bands.read) < bands.after
    together = companions_of(store, coarse, sources, count=2)
    assert any(len(one) == 3 for one in together)
    chosen = _chosen(images, coarse, sources, config)
    for source, members in zip(sources, together, strict=True):
        for row, image in enumerate(chosen[source]):
            inputs = images.inputs([image])
            plain, predictions = _by_hand(subject, inputs, coarse, [], {})
            changed, _ = _by_hand(subject, inputs, coarse, list(members), {})
            inside, _ = _by_hand(subject, inputs, coarse, list(members), predictions)

            def mean(seen: dict[int, Tensor]) -> np.ndarray:
                rows = torch.stack([fine.space.encode(seen[step], targets).value.mean(dim=0) for step in bands.read])
                return np.asarray(rows.mean(dim=0))

            np.testing.assert_allclose(found[source].change[row], mean(changed) - mean(plain), atol=2e-5)
            np.testing.assert_allclose(found[source].held[row], mean(inside) - mean(plain), atol=2e-5)
    assert max(np.abs(one.change).max() for one in found.values()) > 1e-4
    assert any(np.abs(one.change - one.held).max() > 1e-5 for one in found.values())


@pytest.mark.parametrize("intervention", ["ablate", "activate"])
@pytest.mark.parametrize("levels", ["blocks", "probe"])  # of the same steps, of later ones
def test_the_null_of_a_set_is_as_long_as_what_was_moved_in_every_place(
    store: ActivationStore,
    subject: ImageDiffusion,
    levels: str,
    intervention: Any,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    probe: Probe = request.getfixturevalue(levels)
    level, images = probe.level("high"), SplitImages(store)
    runs: list[dict[int, Tensor]] = []

    def noting(to: ImageDiffusion, read: Any = {}, write: Sequence[Edit] = (), **more: Any) -> Any:  # noqa: B006
        lengths: dict[int, Tensor] = {}

        def noted(edit: Edit) -> Edit:
            def change(x: Tensor, where: Where) -> Tensor:
                made = edit.change(x, where)
                lengths[where.call] = made.norm(dim=-1)
                return made

            return edit._replace(change=change)

        if write:
            runs.append(lengths)
        return hooked(to, read, [noted(edit) for edit in write], **more)

    monkeypatch.setattr("concept_graphs.evidence_images.hooked", noting)
    config = EvidenceConfig(chunks=2, minimum_chunks=2, nulls=1, rows=8, companions=3, intervention=intervention)
    often = images.fires(level, list(range(level.space.n_latents))).sum(dim=0)
    list(ablate_in_images(subject, images, (level, probe.levels[-2]), [int(often.argmax())], [0], config))
    whole, null = runs[-3 if levels == "blocks" else -2], runs[-1]  # between them: what single passes carry
    assert whole.keys() == null.keys() and max(map(torch.max, whole.values())) > 0
    for call, length in null.items():
        torch.testing.assert_close(length, whole[call], rtol=1e-4, atol=1e-6)


def test_the_order_of_blocks_is_that_of_a_pass(store: ActivationStore, subject: ImageDiffusion) -> None:
    images = SplitImages(store)
    order = ["down_blocks.0.attentions.0:update", "mid_block:in", COARSE, "mid_block:out", FINE]
    points = [HookPoint.parse(text) for text in order]
    for at, first in enumerate(points):
        for number, then in enumerate(points):
            assert computed_later(subject, images, first, then) == (at < number)


def _chosen(images: SplitImages, level: Level, sources: list[int], config: EvidenceConfig) -> dict[int, list[int]]:
    from concept_graphs.changes import choose_places

    return {s: places.tolist() for s, places in choose_places(images.fires(level, sources), sources, config).items()}


def test_images_a_latent_fires_in_are_those_of_the_store(store: ActivationStore, probe: Probe) -> None:
    level, images = probe.level("high"), SplitImages(store)
    fires = images.fires(level, [0, 1, 2, 3])
    number, want = -1, []
    for shard in store.shards("held_out"):
        image, dense = store.read(shard, "image")[0], encode_shard(store, shard, level).codes.dense()
        for one in image.unique_consecutive():
            number += 1
            want.append((dense[image == one][..., :4] > 0).any(dim=0).any(dim=0))
    assert torch.equal(fires, torch.stack(want)) and len(images.seeds) == number + 1
    deviation = image_deviation(store, level)
    means: list[Tensor] = []
    for shard in store.shards("train"):
        image, found = store.read(shard, "image")[0], encode_shard(store, shard, level)
        dense = found.codes.dense()
        images_here = image.unique_consecutive()
        means += [dense[image == one][found.usable[image == one]].mean(dim=0) for one in images_here]
    np.testing.assert_allclose(deviation, torch.stack(means).numpy().std(axis=0), atol=1e-6)


def test_heat_maps_cover_the_grid_and_agree_with_the_store(
    store: ActivationStore, probe: Probe, subject: ImageDiffusion
) -> None:
    from PIL import Image

    level = probe.level("middle")
    latents = level.statistics["frequency"].argsort(descending=True)[:4].tolist()
    shown = pictures_of(subject, store, level, latents, 2)
    best: dict[int, float] = dict.fromkeys(latents, 0.0)
    for shard in store.shards("train"):
        dense = encode_shard(store, shard, level).codes.dense()
        for latent in latents:
            best[latent] = max(best[latent], float(dense[..., latent].max()))
    for latent in latents:
        first, second = shown[latent]
        assert first.grid == (8, 8) and len(first.values) == 64 and first.document != second.document
        # The store holds some cells in half precision; the map has them all.
        assert max(first.values) >= best[latent] - 5e-3 or max(second.values) >= best[latent] - 5e-3
        assert first.values[first.peak] == max(first.values)
        assert Image.open(io.BytesIO(base64.b64decode(first.png))).size == (8, 8) == first.size


def test_a_graph_of_bands_is_a_graph(graph: ConceptGraph, probe: Probe, tmp_path: Path) -> None:
    assert graph.meta.direction == "generates"
    assert [level.noise for level in graph.meta.levels] == [level.where.noise for level in probe.levels]
    assert {level.row for level in graph.meta.levels} == {"cell"}
    assert set(graph.edges["verdict"]) <= {"generated", "unsupported", "untested"}
    tested = [edge for edge in graph.edges if edge.verdict != "untested"]
    assert tested and all(edge.state is not None and edge.held is None for edge in tested)
    assert graph.meta.nulls["low-middle"]["null95"] is not None
    assert any("Spread does not support" in warning for warning in graph.meta.warnings)  # random weights
    node = next(iter(graph.nodes))
    assert graph.pictures[node.id] and not graph.examples and node.profile
    assert [noise for noise, _ in node.profile] == sorted((noise for noise, _ in node.profile), reverse=True)
    graph.save(tmp_path / "copy")
    assert ConceptGraph.load(tmp_path / "copy") == graph


def test_a_graph_of_blocks_has_edges_by_trial_on_training_images(
    home: Path, store: ActivationStore, blocks: Probe
) -> None:
    run_job(
        "graph", name="tried", probe="blocks", edges=8, per_source=2, per_target=2, bootstrap_fits=0, rows=2000,
        r2_floor=0.0, examples=1,
        evidence={"chunks": 3, "minimum_chunks": 2, "rows": 12, "companions": 2, "trials": 3},
    )  # fmt: skip
    graph = ConceptGraph.open("tried")
    tested = {pair: [edge for edge in graph.edges if edge.target.startswith(pair)] for pair in ("high/", "middle/")}
    assert all(edge.inside is not None and edge.state is None for edge in tested["high/"])
    assert all(edge.state is not None and edge.inside is None for edge in tested["middle/"])
    assert all(tested.values()) and all(edge.beyond is not None and edge.weight is None for edge in graph.edges)
    run = next(path for path in (home / "runs").iterdir() if (path / "trials").is_dir())
    for pair, edges in (("middle-high", tested["high/"]), ("low-middle", tested["middle/"])):
        effects = {int(file.stem): SourceEffects.load(file) for file in (run / "trials" / pair).iterdir()}
        assert {int(edge.target.partition("/")[2]) for edge in edges} <= set(effects)
        assert all(len(one.change) <= 3 and len(one.null) == 1 for one in effects.values())
    made = {split: set(SplitImages(store, split).prompts) for split in ("train", "held_out")}
    assert made["train"] and made["held_out"] and not made["train"] & made["held_out"]


def test_levels_in_the_wrong_order_are_refused(store: ActivationStore, probe: Probe, blocks: Probe, home: Path) -> None:
    study = ImageStudy(str(home / "pipeline"), store, dtype="float32", device="cpu", offline=True)
    study.check(probe.level("low"), probe.level("high"))
    study.check(blocks.level("middle"), blocks.level("high"))
    for low, high in (("high", "low"), ("low", "low")):
        with pytest.raises(WorkbenchError, match="computed first"):
            study.check(probe.level(low), probe.level(high))
    with pytest.raises(WorkbenchError, match="computed first"):
        study.check(blocks.level("high"), blocks.level("middle"))


def test_the_picture_of_a_trajectory_runs_from_noise_to_finished(graph: ConceptGraph) -> None:
    figure = layered_figure(graph, ViewSpec(show_unsupported=True))
    places: dict[str, list[float]] = {level.name: [] for level in graph.meta.levels}
    for trace in figure["data"]:
        for key, x in zip(trace.get("ids", []), trace["x"], strict=False):
            places[key.partition("/")[0]].append(x)
    low, middle, high = (places[name] for name in ("low", "middle", "high"))
    assert low and middle and high and max(high) < min(middle) and max(middle) < min(low)
    for level in graph.meta.levels:
        assert level.noise is not None
        assert all(1 - level.noise[1] <= x <= 1 - level.noise[0] for x in places[level.name])
    axis = figure["layout"]["xaxis"]
    assert axis["ticktext"][0] == "1" and axis["tickvals"][0] == 0 and axis["title"]["text"] == "noise"
    confirmed = [trace for trace in figure["data"] if str(trace.get("name", "")).startswith("generated")]
    assert all(trace["line"]["dash"] == "solid" for trace in confirmed)
