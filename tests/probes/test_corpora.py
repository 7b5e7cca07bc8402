"""Reading corpora: what is bundled, what a person may give, and what is refused with which words."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
from pathlib import Path

import pytest

from probes.activations.corpora import BUNDLED, Document, bundled_names, held_out, read_corpus, split
from probes.errors import WorkbenchError

MANIFEST = json.loads((BUNDLED / "manifest.json").read_text(encoding="utf-8"))["corpora"]


def refused(ref: Path | str, code: str) -> WorkbenchError:
    with pytest.raises(WorkbenchError) as caught:
        list(read_corpus(str(ref)))
    assert caught.value.code == code
    return caught.value


@pytest.mark.parametrize("name", sorted(MANIFEST))
def test_a_bundled_corpus_is_what_its_manifest_says(name: str) -> None:
    entry = MANIFEST[name]
    packed = (BUNDLED / entry["file"]).read_bytes()
    assert hashlib.sha256(packed).hexdigest() == entry["sha256"] and len(packed) == entry["bytes"]
    documents = list(read_corpus(f"bundled/{name}"))
    assert len(documents) == entry["documents"] == len({document.id for document in documents})
    assert sum(len(document.text.split()) for document in documents) == entry["words"]
    assert {label for document in documents for label in document.labels} == set(entry["labels"])


def test_every_bundled_corpus_has_a_manifest_entry_and_together_they_are_large() -> None:
    assert bundled_names() == sorted(f"bundled/{name}" for name in MANIFEST)
    assert sum(entry["words"] for entry in MANIFEST.values()) > 3_000_000


def test_labels_say_who_spoke_when() -> None:
    first = next(read_corpus("bundled/state-of-the-union"))
    assert first.id == "1790-washington"
    assert first.labels == {"year": 1790, "president": "George Washington", "party": "none", "century": 18}
    assert first.text.startswith("Fellow-Citizens of the Senate")


def test_chapters_come_in_the_order_of_the_book() -> None:
    chapters = [document.labels["chapter"] for document in read_corpus("bundled/moby-dick")]
    assert chapters == list(range(1, 137))


def test_wordnet_lines_are_lemmas_and_a_gloss_of_the_labelled_kind() -> None:
    documents = {document.id: document for document in read_corpus("bundled/wordnet")}
    assert documents["noun.Tops-000"].text.startswith("entity: that which is perceived")
    animals = [document for document in documents.values() if document.labels["lexname"] == "noun.animal"]
    assert {document.labels["part_of_speech"] for document in animals} == {"noun"}
    lines = [line for document in animals for line in document.text.splitlines()]
    assert any(line.startswith("dog, domestic dog, Canis familiaris: ") for line in lines)
    assert all(": " in line for line in lines)


def test_a_plain_file_is_one_document(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one\n\ntwo -- not a separator\n----\n", encoding="utf-8")
    (document,) = read_corpus(str(file))
    assert document == Document("a.txt", "one\n\ntwo -- not a separator\n----")


@pytest.mark.parametrize("separator", ["\f", "\n---\n", "\n---  \n"])
def test_separators_cut_a_file_into_documents(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "a.md"
    file.write_text(f"one\n\nstill one{separator}two{separator}{separator}three", encoding="utf-8")
    documents = list(read_corpus(str(file)))
    assert [document.text for document in documents] == ["one\n\nstill one", "two", "three"]
    assert [document.id for document in documents] == ["a.md#0", "a.md#1", "a.md#2"]


def test_a_folder_is_read_by_path_and_other_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("z.txt", "b/a.md", "b/picture.png"):
        (tmp_path / name).write_bytes(b"text" if name != "b/picture.png" else b"\x89PNG\x00")
    (tmp_path / "blank.txt").write_text(" \n", encoding="utf-8")
    assert [document.id for document in read_corpus(str(tmp_path))] == ["b/a.md", "z.txt"]


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_json_lines_plain_and_compressed(tmp_path: Path, suffix: str) -> None:
    lines = '{"id": "x", "text": "ÿne", "labels": {"n": 1}}\n\n{"text": "two"}\n'.encode()
    file = tmp_path / f"c.jsonl{suffix}"
    file.write_bytes({"": lambda raw: raw, ".gz": gzip.compress, ".xz": lzma.compress}[suffix](lines))
    assert list(read_corpus(str(file))) == [Document("x", "ÿne", {"n": 1}), Document(f"{file.name}#3", "two")]


def test_several_corpora_are_joined_and_their_ids_kept_apart(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    joined = list(read_corpus(f"{tmp_path / 'b.txt'}, {tmp_path / 'a.txt'}"))
    assert [document.id for document in joined] == ["b.txt/b.txt", "a.txt/a.txt"]


def test_windows_files_read_like_others(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n---\r\nthree")
    assert [document.text for document in read_corpus(str(file))] == ["one\ntwo", "three"]


def test_what_is_missing_is_named_with_what_exists(tmp_path: Path) -> None:
    assert "bundled/moby-dick" in refused("bundled/moby-dock", "no-such-corpus").how
    assert "nowhere.txt" in refused(tmp_path / "nowhere.txt", "no-such-corpus").what
    refused("bundled/../manifest", "no-such-corpus")
    refused(" , ", "no-corpus")


def test_empty_corpora_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n---\n \f", encoding="utf-8")
    refused(tmp_path / "a.txt", "empty-corpus")
    refused(tmp_path, "empty-corpus")


def test_the_byte_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("é".encode() + b"abc\xe9 d")
    assert "byte 5 (0xe9)" in refused(tmp_path / "a.txt", "not-utf-8").why
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}\n{"text": "\xff"}\n')
    assert "byte 24 (0xff)" in refused(tmp_path / "a.jsonl", "not-utf-8").why


def test_binary_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"PK\x03\x04")
    assert "byte 2" in refused(tmp_path / "a.txt", "binary-corpus").why
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    refused(tmp_path / "a.pdf", "corpus-format")


@pytest.mark.parametrize("line", ["not json", "[1]", '{"txt": "a"}', '{"text": 3}', '{"text": "a", "labels": 3}'])
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n' + line, encoding="utf-8")
    assert refused(tmp_path / "a.jsonl", "bad-corpus-line").what.startswith("Line 2 of a.jsonl")


@pytest.mark.parametrize(("name", "pack"), [("a.jsonl.gz", gzip.compress), ("a.jsonl.xz", lzma.compress)])
def test_a_damaged_archive_is_one_sentence(tmp_path: Path, name: str, pack: object) -> None:
    whole = pack(b'{"text": "a"}\n' * 1000)  # type: ignore[operator]
    for damaged in (whole[: len(whole) // 2], b"not an archive"):
        (tmp_path / name).write_bytes(damaged)
        refused(tmp_path / name, "unreadable-corpus")


def test_repeated_ids_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "a"}\n{"id": "1", "text": "b"}', encoding="utf-8")
    assert "'1'" in refused(tmp_path / "a.jsonl", "repeated-document").what
    refused(f"{tmp_path / 'a.txt'},{tmp_path / 'a.txt'}", "no-such-corpus")


def test_the_split_depends_on_the_id_alone() -> None:
    documents = [Document(f"d{n}", str(n)) for n in range(2000)]
    train, held = split(documents)
    assert sorted([*train, *held], key=lambda document: int(document.text)) == documents
    assert 190 < len(held) < 310
    again, _ = split(reversed(documents[::2]))
    assert {document.id for document in again} == {d.id for d in train} & {d.id for d in documents[::2]}


def test_a_larger_share_holds_out_a_superset() -> None:
    ids = [f"d{n}" for n in range(500)]
    small, large = ({i for i in ids if held_out(i, share)} for share in (0.1, 0.4))
    assert small < large
    assert split([Document("a", "")], share=1.0) == ([], [Document("a", "")])
