"""The atlas: one map per space, the same every time, neighbours kept; and every concept in the picture once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.worker import run_job
from concept_graphs.atlas import Atlas, AtlasConfig, Points, atlas_of, one_space, placed_latents, plane, spaces
from concept_graphs.atlas_figure import atlas_figure
from probes.artefacts import artefact_path
from probes.errors import WorkbenchError
from probes.files import write_json
from probes.hierarchy.probe import Level, Probe, save_probe
from tests.fixtures.graphs import HOSTILE, make_graph
from tests.fixtures.worlds import HIGH, LOW, true_probe, two_storeys


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def clustered(centres: int, each: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Directions around some centres, and which centre each is of."""
    random = np.random.default_rng(seed)
    own = np.repeat(np.arange(centres), each)
    return unit(random.normal(size=(centres, width))[own] + 0.15 * random.normal(size=(len(own), width))), own


def test_levels_share_a_map_where_their_rows_share_a_space() -> None:
    random = np.random.default_rng(3)
    first = unit(random.normal(size=(80, 24)))
    same = unit(first[:50] + 0.1 * random.normal(size=(50, 24)))  # the directions of the first, roughly
    turn = np.linalg.qr(random.normal(size=(24, 24)))[0]
    assert one_space(first, same).shared
    assert not one_space(first, same @ turn).shared  # as near to each other, in another basis
    assert not one_space(first, unit(random.normal(size=(50, 32)))).shared
    rows = {"low": first, "middle": unit(random.normal(size=(50, 32))), "high": same}
    assert spaces(rows, seed=0) == [["low", "high"], ["middle"]]


def test_unrelated_levels_seldom_share_a_map() -> None:
    shared = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        shared += one_space(*(unit(random.normal(size=(40, 16))) for _ in range(2)), seed=seed).shared
    assert shared <= 4  # expected: one in forty


def test_the_map_keeps_neighbours_and_is_the_same_every_time() -> None:
    rows, own = clustered(4, 25, 24)
    config = AtlasConfig(probe="any", neighbours=10)
    placed = plane(rows, config)
    assert placed.shape == (100, 2) and placed.min() >= 0 and placed.max() <= 1
    np.testing.assert_array_equal(placed, plane(rows, config))
    away = np.linalg.norm(placed[:, None] - placed[None], axis=2) + 9 * np.eye(100)
    assert (own[away.argmin(axis=1)] == own).mean() > 0.97
    assert np.ptp(placed, axis=0)[0] == pytest.approx(1)  # the longer way lies across


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_few_rows_are_placed_too(rows: int) -> None:
    placed = plane(unit(np.random.default_rng(rows).normal(size=(rows, 5))), AtlasConfig(probe="any"))
    assert placed.shape == (rows, 2) and np.isfinite(placed).all() and len({*map(tuple, placed)}) == rows


def level_of(frequency: list[float], mean: list[float]) -> Level:
    level = true_probe(two_storeys()).levels[0]
    numbers = {"frequency": torch.tensor(frequency), "mean_active": torch.tensor(mean)}
    return Level(level.record, level.space, numbers)


def test_dead_latents_are_left_out_and_the_busiest_are_kept() -> None:
    frequency = [0.5, 0.0, 0.1, 0.2] + [0.01] * 8
    level = level_of(frequency, [0.1, 9.0, 9.0, 1.0] + [1.0] * 8)
    assert placed_latents(level, 100).tolist() == [0, *range(2, LOW)]
    assert placed_latents(level, 2).tolist() == [2, 3]


@pytest.fixture
def saved(data_home: Path) -> Callable[[Probe], str]:
    def save(probe: Probe) -> str:
        target = artefact_path("probe", "placed")
        shutil.rmtree(target, ignore_errors=True)
        save_probe(probe, target, name="placed", command="", parents={}, figures={})
        return "placed"

    return save


def test_an_atlas_belongs_to_the_probe_it_was_made_of(saved: Callable[[Probe], str]) -> None:
    probe = true_probe(two_storeys())
    name = saved(probe)
    assert atlas_of(name) is None
    folder = run_job("atlas", probe=name)
    made = Atlas.load(folder)
    assert made == atlas_of(name)
    # Orthogonal storeys have nothing in common: a map each.
    assert made.maps == [["low"], ["high"]] and made.left_out == {"low": 0, "high": 0}
    assert {key: points.latent for key, points in made.points.items()} == {
        "low": list(range(LOW)),
        "high": list(range(HIGH)),
    }
    first = probe.levels[0]
    turned = first.space.tensors() | {"w_dec": first.space.w_dec.flip(0).contiguous()}
    other = type(first.space).from_tensors(turned, first.space.table, first.point, None)
    saved(Probe(probe.record, (Level(first.record, other, {}), probe.levels[1]), ()))
    assert atlas_of(name) is None  # trained anew under the same name
    with pytest.raises(WorkbenchError, match="no probe called"):
        atlas_of("no-such-probe")


@pytest.mark.parametrize(
    "wrong",
    [
        {"points": {"low": {"latent": [1], "x": [0.5, 0.5], "y": [0.5]}}},
        {"points": {"low": {"latent": [1], "x": [1.5], "y": [0.5]}}},
        {"points": {"other": {"latent": [1], "x": [0.5], "y": [0.5]}}},
        {"maps": []},
    ],
)
def test_a_damaged_atlas_is_refused_in_a_sentence(tmp_path: Path, wrong: dict[str, Any]) -> None:
    from probes.artefacts import write_manifest

    whole = an_atlas({"low": [1]}).model_dump(mode="json")
    write_json(tmp_path / "atlas.json", whole | wrong)
    write_manifest(tmp_path, kind="atlas", name="damaged")
    with pytest.raises(WorkbenchError, match="is not usable"):
        Atlas.load(tmp_path)


def an_atlas(latents: dict[str, list[int]], maps: list[list[str]] | None = None) -> Atlas:
    """Latents along the diagonal of their map."""
    points = {
        name: Points(latent=own, x=(line := [(at + 0.5) / len(own) for at in range(len(own))]), y=line)
        for name, own in latents.items()
    }
    return Atlas(
        probe="p",
        maps=maps or [list(latents)],
        points=points,
        left_out=dict.fromkeys(latents, 2),
        settings=AtlasConfig(probe="p"),
    )


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("maps", [[["low", "middle", "high"]], [["low"], ["middle", "high"]]])
def test_every_concept_stands_in_its_map_once(width: int, maps: list[list[str]]) -> None:
    graph = make_graph(30, 20, 10, seed=2)
    latents = {level.name: list(range(level.n_latents)) for level in graph.meta.levels}
    figure = atlas_figure(graph, an_atlas(latents, maps), width)
    found = {key: trace for trace in figure["data"] for key in trace.get("ids", ())}
    assert set(found) == set(graph.nodes["id"])
    assert sum(len(trace.get("ids", ())) for trace in figure["data"]) == len(graph.nodes)
    assert sum(len(trace["x"]) for trace in figure["data"]) == sum(map(len, latents.values()))
    assert {trace["type"] for trace in figure["data"]} == {"scattergl"}
    box = {name: at for at, levels in enumerate(maps) for name in levels}
    for trace in figure["data"]:
        level = trace["name"].partition(",")[0]
        ground = figure["layout"]["shapes"][box[level]]
        assert all(ground["x0"] < x < ground["x1"] for x in trace["x"])
        assert all(ground["y0"] < y < ground["y1"] for y in trace["y"])
    json.dumps(figure, allow_nan=False)


def test_what_is_not_on_the_atlas_is_said() -> None:
    graph = make_graph(30, 20, 10, seed=2)
    some = {level.name: list(range(level.n_latents // 2)) for level in graph.meta.levels}
    placed = sum(node.index < len(some[node.level]) for node in graph.nodes)
    said = atlas_figure(graph, an_atlas(some))["layout"]["meta"]["said"]
    assert 0 < placed < 60 and f"{placed} of 60 concepts" in said and "6 more" in said and "one map" in said


def test_hostile_labels_stay_text() -> None:
    graph = make_graph(24, 16, 10, seed=1, hostile=True)
    latents = {level.name: list(range(level.n_latents)) for level in graph.meta.levels}
    figure = atlas_figure(graph, an_atlas(latents), 1400)
    texts = [text for trace in figure["data"] for key in ("text", "hovertext") for text in trace.get(key, ())]
    assert any("&lt;" in text for text in texts)
    for text in texts:
        tags = {part.partition(">")[0].strip("/ ") for part in text.split("<")[1:]}
        assert tags <= {"b", "br"}, text
    assert not any(payload in json.dumps(figure) for payload in HOSTILE if "<" in payload)
