"""Frames of trajectories in a store: what is kept is what the subject computed, and levels read their own band."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from app import jobs
from app.commands import main
from app.worker import execute, run_job
from probes.activations import shards
from probes.activations.capture_images import plan_capture
from probes.activations.frames import kept_steps, region_of, sampled_cells
from probes.activations.places import Places
from probes.activations.prompts import read_prompts
from probes.activations.rows import MixedRows, RowKind, shard_rows
from probes.activations.store import ActivationStore
from probes.activations.trajectories import ImageCaptureConfig
from probes.addresses import HookPoint, parse_address
from probes.artefacts import write_manifest
from probes.errors import WorkbenchError
from probes.hierarchy.codes import encode_shard, paired
from probes.hierarchy.probe import Probe, open_probe
from probes.hooks import hooked, keep
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs
from probes.subjects.loading import load_subject
from tests.fixtures.image_stores import BANDS, COARSE, FINE, image_store, prompts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("images")
    before = os.environ.get("FULCRUM_HOME")
    os.environ["FULCRUM_HOME"] = str(path / "home")
    image_store(path)
    yield path
    os.environ.pop("FULCRUM_HOME")
    if before is not None:
        os.environ["FULCRUM_HOME"] = before


@pytest.fixture(scope="module")
def store(folder: Path) -> ActivationStore:
    return ActivationStore(folder / "home" / "stores" / "images")


@pytest.fixture(scope="module")
def probe(store: ActivationStore) -> Probe:
    small = {"n_latents": 48, "k": 4, "dead_after": 3000, "optimiser": {"steps": 60, "batch": 128}}
    maps = {"rows": 2000, "minimum_rows": 10, "optimiser": {"steps": 30, "batch": 128, "learning_rate": 0.03}}
    run_job(
        "train", name="bands", store="images", maps=maps,
        low=small | {"depth": 0.1}, middle=small | {"at": f"{COARSE}@noise=0.3-0.6"}, high=small | {"depth": 0.9},
    )  # fmt: skip
    return open_probe("bands")


def test_stored_rows_are_what_the_conditional_branch_computed(folder: Path, store: ActivationStore) -> None:
    subject = load_subject(str(folder / "pipeline"), of=ImageDiffusion)
    shard = store.shards("held_out")[0]
    document, seed, step, noise = store.read(shard, "document", "seed", "step", "noise")
    frame = 3
    prompt = store.index.documents[int(document[frame])].labels["prompt"]
    inputs = ImageInputs(prompts=(prompt,), steps=8, guidance=4.0, seeds=(int(seed[frame]),))
    for text in (FINE, COARSE):
        point = HookPoint.parse(text)
        with hooked(subject, {point: lambda x, where: (where.step, where.noise, keep(x, where))}) as tape:
            subject.run(inputs)
        seen = {at: (level, x) for at, level, x in tape[point]}
        level, x = seen[int(step[frame])]
        assert level == pytest.approx(float(noise[frame]))
        cells = store.cells(shard, point)[frame]
        stored = store.activations(shard, point)[frame].float()
        torch.testing.assert_close(stored, x[1, cells], atol=2e-3, rtol=2e-3)  # row 0 is the unconditional one


def test_a_store_says_what_it_holds(store: ActivationStore) -> None:
    index = store.index
    assert index.bands == BANDS and index.fed_with == "images"
    assert [info.grid for info in index.points] == [(8, 8), (4, 4)]
    train = {int(d) for shard in store.shards("train") for d in store.documents_of(shard)[0]}
    held = {int(d) for shard in store.shards("held_out") for d in store.documents_of(shard)[0]}
    assert not train & held and len(held) == 3 and len(train | held) == 12
    for info in index.points:
        levels = [noise for noise, _ in info.drift]
        assert levels == sorted(levels, reverse=True) and len(levels) == 6
        assert all(sum(low <= level <= high for level in levels) == 2 for low, high in BANDS)
    cells, image = store.cells(0, HookPoint.parse(FINE)), store.read(0, "image")[0]
    assert cells.shape[1] == 24 and store.cells(0, HookPoint.parse(COARSE)).shape[1] == 16
    assert all(len(cells[image == one].unique(dim=0)) == 1 for one in image.unique())
    assert len(cells.unique(dim=0)) > 1
    assert store.read(0, "picture")[0].shape[1:] == (3, 8, 8)


def test_a_capture_goes_on_where_it_was_stopped(
    folder: Path, store: ActivationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = jobs.new_run("capture", jobs.config_for("capture", _asked(folder) | {"name": "again"}))
    write = shards.save_shard

    def stopping(tensors: dict[str, torch.Tensor], file: Path) -> None:
        write(tensors, file)
        run.request_stop()

    monkeypatch.setattr(shards, "save_shard", stopping)
    assert execute(run) is None and run.status().state == "stopped"
    monkeypatch.undo()
    run.clear_stop()
    found = execute(run)
    assert found is not None
    again = ActivationStore(found)
    for shard in range(len(store.index.shards)):
        for name in ("x.0", "x.1", "picture", "cell.0", "noise"):
            assert torch.equal(again.read(shard, name)[0], store.read(shard, name)[0])


def _asked(folder: Path) -> dict[str, object]:
    asked = jobs.load_config(next(run for run in _runs() if run.record().kind == "capture")).model_dump()
    return {name: value for name, value in asked.items() if name != "name"}


def _runs() -> list[jobs.Run]:
    from probes.runs import all_runs

    return list(all_runs())


def test_the_command_line_takes_the_flags_of_the_subject(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline, listed = str(folder / "pipeline"), str(folder / "prompts.txt")
    given = ["capture", "--subject", pipeline, "--prompts", listed, "--name", "small", "--steps", "3", "--cells", "4"]
    halves = ["--bands", "[[0,0.5],[0.5,1]]"]
    assert main([*given, *halves, "--guidance", "1"]) == 0
    assert ActivationStore(folder / "home" / "stores" / "small").index.bands == ((0, 0.5), (0.5, 1))
    assert main([*given, *halves, "--images", "9999", "--max-gib", "0.001", "--name", "big"]) == 2
    assert "max_gib" in capsys.readouterr().err
    assert main([*given, "--bands", "[[0.4,0.41]]", "--name", "empty"]) == 2
    assert "No step lies in the band" in capsys.readouterr().err


def test_prompts_come_from_lists_and_from_captions(tmp_path: Path) -> None:
    captions = tmp_path / "captions.jsonl"
    captions.write_text('{"text": "cat", "labels": {"style": "flat"}}\n{"text": "dog", "labels": {"style": "3d"}}\n')
    made = read_prompts(str(captions), "a {style} picture of a {text}", 0.5)
    assert [one.text for one in made] == ["a flat picture of a cat", "a 3d picture of a dog"]
    assert {one.split for one in made} == {"train", "held_out"} and made[0].labels == {"style": "flat"}
    with pytest.raises(WorkbenchError, match="colour"):
        read_prompts(str(captions), "a {colour} {text}", 0.5)
    listed = tmp_path / "list.txt"
    listed.write_text("a cat\n\na dog\na cat\n")
    assert [one.text for one in read_prompts(str(listed), "", 0.1)] == ["a cat", "a dog"]
    typed = "a {cat}\n\n a dog \na {cat}\n"
    assert [one.text for one in read_prompts(typed, "", 0.1)] == ["a {cat}", "a dog"]
    assert [one.text for one in read_prompts(typed, "no {text}", 0.1)] == ["no a {cat}", "no a dog"]
    with pytest.raises(WorkbenchError, match="two different prompts"):
        read_prompts("a cat\na cat", "", 0.1)


def test_steps_and_cells_are_spread_and_bounded() -> None:
    noise = [1 - step / 20 for step in range(20)]
    steps = kept_steps(noise, [(0.0, 0.3), (0.7, 1.0)], 3)
    assert len(steps) == 6 and all(noise[s] <= 0.3 or noise[s] >= 0.7 for s in steps)
    assert kept_steps(noise, [(0.0, 1.0)], 100) == list(range(20))
    cells = sampled_cells((6, 10), (3, 5), 17, 0, 4)
    assert len(cells.unique()) == 17 and int(cells.max()) < 60
    assert torch.equal(cells, sampled_cells((6, 10), (3, 5), 17, 0, 4))
    coarse = sampled_cells((3, 5), (3, 5), 4, 0, 4)
    assert set(region_of(cells, (6, 10), (3, 5)).tolist()) >= set(coarse.tolist())


def test_levels_read_their_own_band_and_point(store: ActivationStore, probe: Probe) -> None:
    low, middle, high = probe.levels
    assert [level.address for level in probe.levels] == [
        f"{FINE}@noise=0.0-0.3", f"{COARSE}@noise=0.3-0.6", f"{FINE}@noise=0.6-1.0"
    ]  # fmt: skip
    assert {str(level.rows) for level in probe.levels} == {"cell"}
    for level in probe.levels:
        found, noise = encode_shard(store, 0, level), store.read(0, "noise")[0]
        inside = (noise >= level.where.noise[0]) & (noise <= level.where.noise[1])
        assert torch.equal(found.usable.any(dim=1), inside) and bool((found.codes.value[~inside] == 0).all())
        rows, _ = shard_rows(store, 0, Places(level.record.point.point), level.rows)
        torch.testing.assert_close(found.codes.value[inside], level.space.encode(rows[inside]).value)
        bins = level.statistics["profile"]
        covered = (bins[0] >= 0).nonzero().flatten().float().div(bins.shape[1])
        assert bool(((covered + 1 / bins.shape[1] >= level.where.noise[0]) & (covered <= level.where.noise[1])).all())
    mixed = MixedRows(store, Places(HookPoint.parse(FINE), low.where), RowKind(of="cell"), batch=8, seed=0)
    assert mixed.n_rows == sum(int(encode_shard(store, s, low).usable.sum()) for s in store.fitting_shards())
    assert middle.record.figures["explained_variance"] > 0 and len(probe.maps) == 2 and high.space.n_latents == 48


def test_pairing_pools_cells_and_steps_to_the_coarser_grid(store: ActivationStore, probe: Probe) -> None:
    low, middle, _ = probe.levels
    codes = paired(store, "held_out", low, middle)
    want_low, want_high, prompt = [], [], []
    for shard in store.shards("held_out"):
        image, (document, _) = store.read(shard, "image")[0], store.documents_of(shard)
        pools = {}
        for level, side in ((low, 2), (middle, 1)):
            found = encode_shard(store, shard, level)
            dense, cells = found.codes.dense(), store.cells(shard, level.record.point.point)
            for frame, place in found.usable.nonzero().tolist():
                cell = int(cells[frame, place])
                row, column = divmod(cell, 4 * side)
                key = (int(image[frame]), row // side * 4 + column // side, level.name)
                pools[key] = torch.maximum(pools.get(key, torch.zeros(dense.shape[-1])), dense[frame, place])
        for one in image.unique().tolist():
            for region in range(16):
                if (one, region, "low") in pools and (one, region, "middle") in pools:
                    want_low.append(pools[one, region, "low"])
                    want_high.append(pools[one, region, "middle"])
                    prompt.append(int(document[image == one][0]))
    np.testing.assert_allclose(codes.low.toarray(), torch.stack(want_low).numpy(), rtol=1e-5)
    np.testing.assert_allclose(codes.high.toarray(), torch.stack(want_high).numpy(), rtol=1e-5)
    assert codes.chunk.tolist() == prompt


def test_what_was_not_captured_is_refused(store: ActivationStore) -> None:
    with pytest.raises(WorkbenchError, match="nothing at"):
        store.place_at(0.5, f"{FINE}@noise=0.555-0.556")
    with pytest.raises(WorkbenchError, match="not in the store"):
        store.place_at(0.5, "down_blocks.0.attentions.0:update")
    assert store.place_at(0.5) == parse_address(f"{FINE}@noise=0.3-0.6")
    assert len(prompts()) == 12


def test_a_store_says_the_guidance_its_images_were_made_with(folder: Path) -> None:
    """What is recorded with a pipeline may change; the images of a store must be made again as they were."""
    shutil.copytree(folder / "pipeline", folder / "recorded")
    write_manifest(folder / "recorded", kind="subject", name="tiny", figures={"guidance": 3.0})
    made = {}
    for name in ("pipeline", "recorded"):
        image_store(folder, name=f"own-{name}", subject=str(folder / name), guidance=None, images=1)
        made[name] = ActivationStore(folder / "home" / "stores" / f"own-{name}").index.made_by["guidance"]
    assert made == {"pipeline": None, "recorded": 3.0}


def test_any_run_of_shards_is_a_fair_sample_of_a_sorted_corpus(folder: Path) -> None:
    """Thresholds come from a store's last shards and proposals from its first: neither may be of one kind alone."""
    sorted_ones = folder / "sorted.jsonl"
    rows = [{"text": f"thing {at}", "labels": {"half": half}} for half in ("first", "second") for at in range(40)]
    sorted_ones.write_text("".join(json.dumps(r | {"text": f"{r['labels']['half']} {r['text']}"}) + "\n" for r in rows))
    asked = ImageCaptureConfig(
        name="sorted", subject=str(folder / "pipeline"), prompts=str(sorted_ones), steps=3, points=(COARSE,),
        bands=((0.0, 1.0),), cells=4, held_out=0.3,
    )  # fmt: skip
    plan, again = (plan_capture(asked, load_subject(asked.subject, of=ImageDiffusion)) for _ in range(2))
    for split in ("train", "held_out"):
        images = plan.images[split]
        assert images == again.images[split]
        for part in (images[: len(images) // 3], images[-len(images) // 3 :]):
            first = sum(plan.prompts[image.prompt].labels["half"] == "first" for image in part) / len(part)
            assert 0.2 < first < 0.8
    every = sorted(image.number for images in plan.images.values() for image in images)
    assert every == list(range(80)) and all(image.seed == image.number for image in plan.images["train"])
