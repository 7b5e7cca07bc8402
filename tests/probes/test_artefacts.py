from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest

from probes import artefacts
from probes.artefacts import Manifest, Parent, available, parent_of, read_manifest, resolve, write_manifest
from probes.errors import WorkbenchError


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(artefacts, "BUNDLED", tmp_path / "assets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def make(folder: Path, name: str = "text", content: str = "hello") -> Path:
    (folder / "shards").mkdir(parents=True)
    (folder / "graph.json").write_text(content)
    (folder / "shards" / "0.txt").write_text("zero")
    write_manifest(folder, kind="graph", name=name, figures={"edges": 3, "unknown": None})
    return folder


def test_a_manifest_lists_every_file_and_finds_every_change(folders: Path) -> None:
    folder = make(folders / "home" / "graphs" / "mine")
    manifest = read_manifest(folder, verify=True)
    assert set(manifest.files) == {"graph.json", "shards/0.txt"}
    assert manifest.figures == {"edges": 3, "unknown": None}
    (folder / "graph.json").write_text("jello")
    read_manifest(folder)
    with pytest.raises(WorkbenchError, match=r"graph.json differs"):
        read_manifest(folder, verify=True)
    (folder / "graph.json").write_text("longer than before")
    with pytest.raises(WorkbenchError, match=r"has 18 bytes"):
        read_manifest(folder, verify=True)
    (folder / "shards" / "0.txt").unlink()
    (folder / "graph.json").write_text("hello")
    with pytest.raises(WorkbenchError, match=r"0.txt is missing"):
        read_manifest(folder, verify=True)


def test_figures_must_be_numbers_json_knows(folders: Path) -> None:
    folder = folders / "x"
    folder.mkdir()
    with pytest.raises(WorkbenchError):
        write_manifest(folder, kind="graph", name="x", figures={"loss": float("nan")})
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "manifest.json", "", "a//b", "a\\b", "a\x00", ".x"])
def test_a_manifest_cannot_name_a_file_outside(name: str) -> None:
    with pytest.raises(ValueError, match="file inside"):
        Manifest(kind="graph", name="x", files={name: {"sha256": "0" * 64, "bytes": 1}})  # type: ignore[dict-item]


def test_a_newer_format_is_refused(folders: Path) -> None:
    folder = make(folders / "x")
    data = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(data | {"schema_version": 2}))
    with pytest.raises(WorkbenchError, match="schema_version"):
        read_manifest(folder)


def test_names_are_resolved_in_every_form(folders: Path) -> None:
    mine = make(folders / "home" / "graphs" / "mine")
    shipped = make(folders / "assets" / "graphs" / "text")
    elsewhere = make(folders / "elsewhere")
    assert resolve("mine", "graph") == mine
    assert resolve("bundled/text", "graph") == resolve("bundled-text", "graph") == shipped
    assert resolve(elsewhere, "graph") == resolve(str(elsewhere), "graph") == elsewhere
    assert available("graph") == ["mine", "bundled/text"]
    assert artefacts.artefact_path("graph", "My Graph!") == folders / "home" / "graphs" / "my-graph"


def test_single_file_lever_sets_have_names_too(folders: Path) -> None:
    file = folders / "home" / "levers" / "whales.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    assert resolve("whales", "levers") == file
    assert available("levers") == ["whales"]


@pytest.mark.parametrize(
    "ref",
    [
        "none",
        "bundled/none",
        "bundled/../../x",
        "../graphs/mine",
        "..",
        "",
        "a/b/c",
        "~",
        "bundled/",
        "x\x00",
    ],
)
def test_what_does_not_exist_is_said_with_what_does(folders: Path, ref: str) -> None:
    make(folders / "home" / "graphs" / "mine")
    with pytest.raises(WorkbenchError) as caught:
        resolve(ref, "graph")
    assert caught.value.code == "not-found"
    assert "mine" in caught.value.why


def test_a_browser_can_name_artefacts_but_no_paths(folders: Path) -> None:
    elsewhere = make(folders / "elsewhere")
    mine = make(folders / "home" / "graphs" / "mine")
    assert resolve("mine", "graph", names_only=True) == mine
    for ref in (str(elsewhere), "memory://x", "file:///etc"):
        with pytest.raises(WorkbenchError) as caught:
            resolve(ref, "graph", names_only=True)
        assert caught.value.code == "not-found"


def upload(url: str, folder: Path) -> None:
    files, root = fsspec.core.url_to_fs(url)
    for path in folder.rglob("*"):
        if path.is_file():
            files.pipe_file(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def test_an_address_is_copied_once_and_checked(folders: Path) -> None:
    upload("memory://good/text", make(folders / "source"))
    found = resolve("memory://good/text", "graph")
    assert (found / "shards" / "0.txt").read_text() == "zero"
    assert resolve("memory://good/text", "graph") == found
    with pytest.raises(WorkbenchError, match="is a graph, not a probe"):
        resolve("memory://good/text/", "probe")


@pytest.mark.parametrize("change", ["differs", "missing", "longer"])
def test_a_damaged_address_leaves_nothing_in_the_cache(folders: Path, change: str) -> None:
    url = f"memory://{change}/text"
    upload(url, make(folders / "source"))
    files, root = fsspec.core.url_to_fs(url)
    if change == "missing":
        files.rm(f"{root}/shards/0.txt")
    else:
        files.pipe_file(f"{root}/shards/0.txt", b"zerO" if change == "differs" else b"zero and more")
    with pytest.raises(WorkbenchError):
        resolve(url, "graph")
    assert [path for path in (folders / "home" / "cache").rglob("*") if path.is_file()] == []


def test_offline_means_offline() -> None:
    with pytest.raises(WorkbenchError) as caught:
        resolve("s3://bucket/graph", "graph")
    assert caught.value.code == "offline"


def test_parents_carry_the_hash_of_their_manifest(folders: Path) -> None:
    from probes.files import sha256_of

    folder = make(folders / "home" / "graphs" / "mine")
    assert parent_of("mine", "graph") == Parent(ref="mine", sha256=sha256_of(folder / "manifest.json"))
