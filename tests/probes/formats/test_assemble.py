"""A probe made of other people's files: places, statistics, figures and maps, on a whole tiny model in a folder."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from app import jobs
from app.commands import main
from app.worker import execute, run_job
from probes.activations.store import ActivationStore
from probes.artefacts import artefact_path, read_manifest, resolve
from probes.errors import WorkbenchError
from probes.formats import assemble
from probes.formats.import_config import ImportConfig, level_names
from probes.formats.imported import dictionary_of
from probes.formats.registry import read_dictionary
from probes.hierarchy.probe import open_probe
from probes.hooks import HookPoint
from probes.runs import Run
from tests.fixtures.tiny_folder import D_MODEL, FEW, World, lens_folder, rows_of, tiny_world, transcoder_file


@pytest.fixture(scope="module")
def world(data_home: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world(tmp_path_factory.mktemp("tiny"))


def imported(name: str, **values: Any) -> Path:
    return run_job("import", name=name, maps=FEW, dtype="float32", **values)


@pytest.fixture(scope="module")
def assembled(world: World) -> str:
    imported("assembled", path=(world.low, world.high), store=world.store, licence="Apache-2.0")
    return "assembled"


def test_two_files_make_a_probe_with_statistics_and_maps(world: World, assembled: str) -> None:
    probe = open_probe(assembled)
    assert [level.name for level in probe.levels] == ["low", "high"]
    assert [str(level.record.point.point) for level in probe.levels] == ["model.layers.0:out", "model.layers.1:out"]
    assert probe.record.subject == world.subject and probe.record.maps == (("low", "high"),)
    store = ActivationStore(resolve(world.store, "store"))
    for level, path in zip(probe.levels, (world.low, world.high), strict=True):
        x = rows_of(store, 0 if level.name == "low" else 1)[:200]
        file = dictionary_of(read_dictionary(path), level.name)
        torch.testing.assert_close(level.space.encode(x).dense(), file.encode(x).dense())
        assert level.record.figures["l0"] == pytest.approx(4, abs=0.1) and level.record.k == 4
        assert float(level.statistics["frequency"].sum()) == pytest.approx(4, abs=0.2)
        assert bool((level.space.table.typical > 0).any())
    found = probe.map_between("low", "high")
    assert found is not None and len(found.source) > 0


def test_the_manifest_says_where_each_level_came_from(world: World, assembled: str) -> None:
    manifest = read_manifest(resolve(assembled, "probe"), verify=True)
    assert manifest.licence == "Apache-2.0"
    assert set(manifest.parents) == {"store", "dictionary.low", "dictionary.high"}
    found = read_dictionary(world.low)
    assert manifest.parents["dictionary.low"].ref == world.low
    assert manifest.parents["dictionary.low"].sha256 == found.hashes["sae_weights.safetensors"]
    assert "Level low: saelens dictionary for tiny, rule topk" in manifest.notes
    assert manifest.figures["low.l0"] == pytest.approx(4, abs=0.1) and "low-high.edges" in manifest.figures


def test_without_a_store_the_text_is_captured_at_every_place_it_needs(world: World, tmp_path: Path) -> None:
    """A transcoder needs two: what it reads, and what its output is held against."""
    path = transcoder_file(tmp_path / "t")
    text = {"corpus": world.text, "context": 32, "max_tokens": 20_000}
    imported("transcoding", path=(str(path),), subject=world.subject, text=text)
    (level,) = open_probe("transcoding").levels
    assert level.name == "middle"
    assert str(level.record.point.point) == "model.layers.1.mlp:in"
    assert level.record.writes == level.space.writes == HookPoint(path="model.layers.1.mlp")
    store = ActivationStore(resolve("transcoding", "store"))
    assert {str(info.point) for info in store.index.points} == {"model.layers.1.mlp:in", "model.layers.1.mlp:out"}
    shard = store.shards("held_out")[0]
    usable = store.usable(shard, level.record.point.point)
    x, y = (
        store.activations(shard, HookPoint.parse(f"model.layers.1.mlp:{tap}"))[usable].float() for tap in ("in", "out")
    )
    error = (y - level.space.reconstruct(x)).double().square().sum()
    total = (y.double() - y.double().mean(dim=0)).square().sum()
    assert level.record.figures["explained_variance"] == pytest.approx(float(1 - error / total), rel=1e-3)


@pytest.mark.parametrize("at", ["low", "high"])
def test_a_number_of_active_latents_far_off_is_refused(at: str, world: World, tmp_path: Path) -> None:
    store = ActivationStore(resolve(world.store, "store"))
    path = str(
        lens_folder(tmp_path / "s", rows_of(store, 0), "blocks.0.hook_resid_post", l0=40 if at == "low" else 1.5)
    )
    with pytest.raises(WorkbenchError, match="does not behave as its makers say") as caught:
        imported(f"far-{at}", path=(path,), store=world.store)
    assert caught.value.code == "wrong-sparsity"
    imported(f"kept-{at}", path=(path,), store=world.store, sparsity="keep")
    assert "Kept although 4.0 latents" in read_manifest(resolve(f"kept-{at}", "probe")).notes


def test_a_threshold_is_calibrated_where_that_is_asked_for(world: World, tmp_path: Path) -> None:
    store = ActivationStore(resolve(world.store, "store"))
    path = lens_folder(tmp_path / "s", rows_of(store, 0), "blocks.0.hook_resid_post", l0=1.5)
    imported("calibrated", path=(str(path),), level=("low",), store=world.store, sparsity="calibrate")
    (level,) = open_probe("calibrated").levels
    assert level.record.figures["l0"] == pytest.approx(1.5, rel=0.15)
    assert float(level.space.threshold[0]) > 0 and level.space.most_active == 4


def test_a_scale_the_file_leaves_open_is_measured_and_said(world: World, tmp_path: Path) -> None:
    folder = Path(world.low)
    copy = tmp_path / "open"
    copy.mkdir()
    said = json.loads((folder / "cfg.json").read_text())
    (copy / "cfg.json").write_text(json.dumps(said | {"normalize_activations": "expected_average_only_in"}))
    (copy / "sae_weights.safetensors").write_bytes((folder / "sae_weights.safetensors").read_bytes())
    imported("scaled", path=(str(copy),), store=world.store)
    assert "the mean norm" in read_manifest(resolve("scaled", "probe")).notes
    store, (level,) = ActivationStore(resolve(world.store, "store")), open_probe("scaled").levels
    file = read_dictionary(folder)
    ratio = (level.space.w_enc / file.w_enc).flatten().median()
    assert float(ratio) == pytest.approx(D_MODEL**0.5 / float(rows_of(store, 0).norm(dim=1).mean()), rel=0.1)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"level": ("low",)}, "2 dictionaries and 1 of --level"),
        ({"level": ("low", "low")}, "two levels have one name"),
        ({"point": ("model.layers.0:out", "model.layers.9:out")}, "no hook point model.layers.9:out"),
        ({"point": ("model.layers.0.mlp:out", "model.layers.1:out")}, "is not in the store"),
        ({"subject": "elsewhere", "store": ""}, "no subject 'elsewhere'"),
        ({"store": ""}, "neither a subject nor a store"),
        ({"memory": 1e-6}, "GiB are allowed"),
    ],
)
def test_what_cannot_be_assembled_is_said_in_one_sentence(values: dict[str, Any], sentence: str, world: World) -> None:
    with pytest.raises(WorkbenchError, match=sentence):
        imported("never", **({"path": (world.low, world.high), "store": world.store} | values))
    assert not artefact_path("probe", "never").exists()


def test_a_dictionary_of_another_width_and_one_without_a_place(world: World, tmp_path: Path) -> None:
    narrow = lens_folder(tmp_path / "n", torch.randn(200, D_MODEL), "blocks.0.hook_pattern")
    with pytest.raises(WorkbenchError, match=r"does not say where it reads.*--point"):
        imported("nowhere", path=(str(narrow),), store=world.store)
    held = {name: torch.zeros(shape) for name, shape in (("W_enc", (16, 96)), ("W_dec", (96, 16)), ("b_enc", (96,)))}
    save_file(held | {"b_dec": torch.zeros(16)}, narrow / "sae_weights.safetensors")
    (narrow / "cfg.json").write_text(json.dumps({"architecture": "standard", "d_in": 16, "d_sae": 96, "metadata": {}}))
    with pytest.raises(WorkbenchError, match="it reads 16 dimensions, and there are 32"):
        imported("narrow", path=(str(narrow),), point=("model.layers.0:out",), store=world.store)


def test_a_stopped_import_goes_on_with_the_level_that_is_missing(
    world: World, assembled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"name": "resumed", "path": (world.low, world.high), "store": world.store, "maps": FEW, "dtype": "float32"}
    run = jobs.new_run("import", jobs.config_for("import", values))
    worked: list[str] = []

    def stopping(name: str) -> None:
        plain = getattr(assemble, name)

        def watched(*given: Any, **more: Any) -> Any:
            worked.append(name)
            run.request_stop()
            return plain(*given, **more)

        monkeypatch.setattr(assemble, name, watched)

    stopping("measured_level")
    stopping("fit_map")
    for state in ("stopped", "stopped", "done"):
        made = execute(run)
        assert run.status().state == state and (made is not None) == (state == "done")
        if state != "done":
            jobs.prepare(run)
    assert worked == ["measured_level", "measured_level", "fit_map"]
    for one, other in zip(open_probe("resumed").levels, open_probe(assembled).levels, strict=True):
        assert torch.equal(one.space.w_enc, other.space.w_enc)
        assert all(torch.equal(one.statistics[key], other.statistics[key]) for key in one.statistics)


def test_the_command_takes_several_files_and_repeated_levels(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["import", world.low, world.high, "--level", "early", "--level", "late", "--subject", world.subject]
    given += [
        "--store",
        world.store,
        "--name",
        "commanded",
        "--maps.minimum_rows",
        "20",
        "--dtype",
        "float32",
        "--json",
    ]
    assert main(given) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["state"] == "done" and told["figures"]["early.l0"] == pytest.approx(4, abs=0.1)
    assert [level.name for level in open_probe("commanded").levels] == ["early", "late"]
    run = Run.open(told["run"])
    repeated = shlex.split(run.record().command)
    assert repeated[:4] == ["python", "-m", "app", "import"]
    assert jobs.load_config(run) == jobs.config_for("import", config_of(repeated[4:]))


def config_of(flags: list[str]) -> dict[str, Any]:
    """The values that flags of the import command stand for."""
    from app.commands import build_parser
    from app.config_flags import collect

    return collect(build_parser("import").parse_args(["import", *flags]), ImportConfig)


def test_names_of_levels_are_made_where_none_are_given() -> None:
    def names(count: int) -> tuple[str, ...]:
        return level_names(ImportConfig(name="x", path=tuple(f"p{at}" for at in range(count))))

    assert names(1) == ("middle",) and names(3) == ("low", "middle", "high")
    assert names(5) == ("level0", "level1", "level2", "level3", "level4")


# -- export ------------------------------------------------------------------------------------------------------


def test_an_exported_level_is_the_file_it_came_from(world: World, assembled: str, tmp_path: Path) -> None:
    assert main(["export", assembled, "--level", "low", "--format", "saelens", "--out", str(tmp_path / "out")]) == 0
    was, now = read_dictionary(world.low), read_dictionary(tmp_path / "out")
    for part in ("w_enc", "w_dec", "b_enc", "b_dec"):
        torch.testing.assert_close(getattr(now, part), getattr(was, part))
    assert (now.rule, now.k, now.reads) == (was.rule, was.k, was.reads)


def test_an_export_says_what_it_drops_and_what_that_changes(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ActivationStore(resolve(world.store, "store"))
    path = lens_folder(tmp_path / "s", rows_of(store, 0), "blocks.0.hook_resid_post", l0=1.5)
    imported("both-rules", path=(str(path),), level=("low",), store=world.store, sparsity="calibrate")
    out = str(tmp_path / "out")
    assert main(["export", "both-rules", "--level", "low", "--out", out, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "is dropped" in told["approximation"] and told["architecture"] in ("topk", "jumprelu")
    written = read_dictionary(out)
    codes = dictionary_of(written, "low").encode(rows_of(store, 0))
    assert written.l0 == pytest.approx(float(codes.l0().float().mean()), rel=0.2)
    other = "topk" if told["architecture"] == "jumprelu" else "jumprelu"
    assert main(["export", "both-rules", "--level", "low", "--out", out + "2", "--rule", other, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["architecture"] == other


def test_an_export_names_what_is_wrong(assembled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", assembled, "--level", "top", "--out", str(tmp_path / "x")]) == 2
    assert "There is no level called 'top'" in capsys.readouterr().err
    assert main(["export", "--level", "low", "--out", str(tmp_path / "x")]) == 2
    assert "probe" in capsys.readouterr().err
