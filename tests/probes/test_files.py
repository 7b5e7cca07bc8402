from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import files
from probes.errors import WorkbenchError
from probes.processes import alive, start_of

TRAVERSALS = [
    "", ".", "..", "../x", "..\\x", "a/b", "/etc/passwd", "//etc", "a/../..", "..%2f", "..%252f", "%2e%2e",
    "a%00", "a\x00b", "a#b", "a?b", "a b", "a:b", "C:\\x", "~", "~root", "-x", ".hidden", "x.", "a..b", "con",
    "nul.txt", "com1", "lpt9.log", "A", "ü", "a\u2215b", "a\uff0fb", "a\u202eb", "\u2024\u2024/", "a\n",
    "a\r\nb", "$HOME", "*", "x" * 65, "proc/self/root", "file:///etc",
]  # fmt: skip


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_name_leaves_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(WorkbenchError) as caught:
        files.confined(tmp_path, name)
    assert caught.value.code == "bad-name"


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    with pytest.raises(WorkbenchError):
        files.confined(root, "out")
    assert files.confined(root, "inside") == root / "inside"


@given(st.text(max_size=200))
def test_every_title_becomes_a_usable_name(title: str) -> None:
    name = files.slug(title)
    assert files.is_slug(name)
    assert files.slug(name) == name


def test_slugs_keep_what_can_be_read() -> None:
    assert files.slug("Ships & Whales, run 2") == "ships-whales-run-2"
    assert files.slug("Café") == "cafe"
    assert files.slug("???", fallback="train") == "train"
    assert files.slug("CON.txt") != "con.txt"


def test_a_failed_write_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "value.json"
    files.write_json(path, {"a": 1})

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "device failed")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="device failed"):
        files.write_json(path, {"a": 2})
    assert files.read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}, {"a": object()}])
def test_what_is_not_json_is_not_written(tmp_path: Path, value: object) -> None:
    with pytest.raises(WorkbenchError) as caught:
        files.write_json(tmp_path / "x.json", value)
    assert caught.value.code == "not-json"
    assert list(tmp_path.iterdir()) == []


def test_any_text_survives_json(tmp_path: Path) -> None:
    strange = {"lone surrogate": "\ud800", "nul": "\x00", "bidi": "\u202e", "script": "</script>"}
    files.write_json(tmp_path / "x.json", strange)
    assert files.read_json(tmp_path / "x.json") == strange


@pytest.mark.parametrize(
    "content", ["", "{", "NaN", '{"a": Infinity}', "[-1e999]", "[" * 100_000, "1" * 5000, b"\xff\xfe"]
)
def test_bad_json_is_one_sentence(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(WorkbenchError) as caught:
        files.read_json(path)
    assert caught.value.code == "bad-json"


def test_other_peoples_infinities_are_read_on_request(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"low": -Infinity}')
    assert files.read_json(tmp_path / "x.json", finite=False) == {"low": float("-inf")}


def test_json_has_a_size_limit(tmp_path: Path) -> None:
    files.write_json(tmp_path / "x.json", "x" * 2000)
    with pytest.raises(WorkbenchError, match="larger than"):
        files.read_json(tmp_path / "x.json", limit=1000)


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "made"

    def broken() -> None:
        with files.commit_directory(target) as folder:
            (folder / "a").write_text("a")
            assert not target.exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert list(tmp_path.iterdir()) == []
    with files.commit_directory(target) as folder:
        (folder / "a").write_text("a")
    assert (target / "a").read_text() == "a"
    with pytest.raises(WorkbenchError, match="exists"), files.commit_directory(target):
        pass
    with files.commit_directory(target, replace=True) as folder:
        (folder / "b").write_text("b")
    assert [p.name for p in target.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def dead_process() -> tuple[int, float]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = start_of(process.pid)
    assert started is not None and alive(process.pid, started)
    process.communicate(b"\n")
    return process.pid, started


def test_only_the_leftovers_of_dead_processes_are_swept(tmp_path: Path) -> None:
    pid, started = dead_process()
    orphan = tmp_path / f".tmp-{pid}-{started:.0f}-0123abcd"
    orphan.mkdir()
    (orphan / "half").write_text("x")
    mine = tmp_path / f".tmp-{os.getpid()}-{start_of(os.getpid()):.0f}-0123abcd"
    mine.mkdir()
    reused = tmp_path / f".tmp-{os.getpid()}-{1}-0123abcd"
    reused.write_text("an earlier process with this pid")
    other = tmp_path / ".tmp-somebody-else"
    other.mkdir()
    assert sorted(files.sweep(tmp_path)) == sorted([orphan, reused])
    assert sorted(tmp_path.iterdir()) == sorted([mine, other])


def test_a_kill_while_replacing_a_folder_does_not_lose_the_old_one(tmp_path: Path) -> None:
    pid, started = dead_process()
    aside = tmp_path / f".tmp-{pid}-{started:.0f}-0123abcd-was-probe"
    aside.mkdir()
    (aside / "content").write_text("good")
    files.sweep(tmp_path)
    assert (tmp_path / "probe" / "content").read_text() == "good"


def test_too_little_space_is_refused_before_writing_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError) as caught:
        files.ensure_space(tmp_path / "not" / "yet" / "there", 2**60)
    assert caught.value.code == "disk-full"
    assert "needed" in caught.value.why and "free" in caught.value.why
    files.ensure_space(tmp_path, 1)


def test_a_full_disk_is_said_in_one_sentence_and_costs_nothing_old(tmp_path: Path) -> None:
    """In a child, because a file-size limit stays with its process."""
    path = tmp_path / "x.json"
    files.write_json(path, "old")
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from probes.files import write_json; from probes.errors import WorkbenchError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: write_json(Path(sys.argv[1]), 'x' * 200_000)\n"
        "except WorkbenchError as error: print(error.code, error.why)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("disk-full 195.3 KiB needed"), done.stderr
    assert json.loads(path.read_text()) == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert files.sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_publishing_is_one_step_and_never_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def finished(name: str) -> Path:
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
        return tmp_path / name

    files.publish(finished("a"), tmp_path / "out" / "done")
    assert (tmp_path / "out" / "done" / "x").read_text() == "a" and not (tmp_path / "a").exists()
    with pytest.raises(WorkbenchError, match="exists"):
        files.publish(finished("b"), tmp_path / "out" / "done")
    rename = files.os.replace

    def across_disks(source: Path, target: Path) -> None:
        if source == tmp_path / "b":
            raise OSError(errno.EXDEV, "another disk")
        rename(source, target)

    monkeypatch.setattr(files.os, "replace", across_disks)
    files.publish(tmp_path / "b", tmp_path / "out" / "far")
    assert (tmp_path / "out" / "far" / "x").read_text() == "b" and not (tmp_path / "b").exists()
