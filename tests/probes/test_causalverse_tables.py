"""Tables and pictures of CausalVerse that are not usable, or made to harm: each is refused in one sentence."""

from __future__ import annotations

import csv
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from probes.errors import WorkbenchError
from probes.worlds.causalverse import exported, images, world
from tests.fixtures import causalverse as made

Break = Callable[[Path], Any]


def table(folder: Path) -> Path:
    return folder / "SLOPE" / "SLOPE.csv"


def rewritten(change: Callable[[list[dict[str, Any]]], Any]) -> Break:
    """The table after `change` to its rows."""

    def broken(folder: Path) -> None:
        with table(folder).open(newline="") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
        change(rows)
        made.write_table(table(folder), rows)

    return broken


def without(column: str) -> Break:
    return rewritten(lambda rows: [row.pop(column) for row in rows])


def with_value(column: str, value: str, at: int = 0) -> Break:
    return rewritten(lambda rows: rows[at].update({column: value}))


def everywhere(column: str, value: str) -> Break:
    return rewritten(lambda rows: [row.update({column: value}) for row in rows])


def text(change: Callable[[str], str]) -> Break:
    return lambda folder: table(folder).write_text(change(table(folder).read_text()))


TABLES: dict[str, made.Case] = {
    "no render_path": (without("render_path"), "no column render_path"),
    "no factors": (
        rewritten(lambda rows: [[row.pop(k) for k in ("h", "r", "m", "material")] for row in rows]),
        "no factor",
    ),
    "nothing": (text(lambda _: ""), "a column has no name"),
    "no rows": (text(lambda all_of_it: all_of_it.splitlines()[0]), "it has no rows"),
    "ragged": (text(lambda all_of_it: all_of_it + "1,2\n"), "row 25 has 2 values for 7 columns"),
    "twice": (text(lambda all_of_it: all_of_it.replace("material", "m", 1)), "the column 'm' is there twice"),
    "huge field": (with_value("material", "x" * 200_000), "field larger than field limit"),
    "unclosed quote": (text(lambda all_of_it: all_of_it + '"'), "no readable table"),
    "no utf-8": (lambda folder: table(folder).write_bytes(b"id,m\n\xff\xfe,1"), "no readable table"),
    "many columns": (text(lambda _: ",".join(map(str, range(2000))) + "\n"), "2,000 columns, more than 1,000"),
    "few rows": (rewritten(lambda rows: rows.__delitem__(slice(4, None))), "4 rows for 4 factors"),
    "one id": (everywhere("id", "7"), "all rows have one id"),
    "missing": (with_value("m", " "), "column 'm' of SLOPE.csv cannot be used: it has no value in 1 of 24 rows"),
    "none": (with_value("m", "None"), "no value in 1 of 24 rows"),
    "no word": (with_value("material", ""), "no value in 1 of 24 rows"),
    "nan": (with_value("m", "nan"), "NaN, infinite or beyond float32 in 1 of 24 rows"),
    "infinite": (with_value("m", "-inf"), "NaN, infinite or beyond float32 in 1 of 24 rows"),
    "too large": (with_value("m", "1e39"), "NaN, infinite or beyond float32 in 1 of 24 rows"),
    "constant": (everywhere("m", "3"), "m never changes in its training part. Set leave_out to m"),
    "constant word": (everywhere("material", "=cmd()"), "material never changes"),
    "constant but for float32": (
        rewritten(lambda rows: [r.update(m=f"{1e9 + int(r['id']):.0f}") for r in rows]),
        "m never",
    ),
    "no view": (with_value("view", ""), "view or domain is empty in 1 rows"),
    "bad name": (text(lambda all_of_it: all_of_it.replace("material", "\x1b[2J", 1)), "no usable name"),
}


def outside(folder: Path) -> Path:
    """A picture beside the folder."""
    path = folder.parent / f"{folder.name}-secret.png"
    made.drawn(made.scenes(1)[0], 0).save(path)
    return path


def linked(folder: Path) -> None:
    (folder / "SLOPE" / "000000.png").unlink()
    (folder / "SLOPE" / "000000.png").symlink_to(outside(folder))


def linked_folder(folder: Path) -> None:
    (folder / "more").symlink_to(outside(folder).parent)
    with_value("render_path", f"more/{outside(folder).name}")(folder)


def looped(folder: Path) -> None:
    (folder / "loop").symlink_to(folder / "loop")
    with_value("render_path", "loop/a.png")(folder)


PATHS: dict[str, made.Case] = {
    "absolute": (lambda folder: with_value("render_path", str(outside(folder)))(folder), "is absolute"),
    "home": (with_value("render_path", "~/a.png"), "is absolute"),
    "drive": (with_value("render_path", "C:a.png"), "is absolute"),
    "climbs": (lambda f: with_value("render_path", f"SLOPE/../../{outside(f).name}")(f), "climbs out of its folder"),
    "backslash": (with_value("render_path", "SLOPE\\000000.png"), "has a backslash"),
    "address": (with_value("render_path", "http://localhost/a.png"), "is a web address, and nothing is fetched"),
    "file address": (lambda f: with_value("render_path", f"file://{outside(f)}")(f), "is a web address"),
    "control": (with_value("render_path", "a\x00b.png"), "no usable path"),
    "empty": (with_value("render_path", ""), "no usable path"),
    "long": (with_value("render_path", "a" * 5000), "no usable path"),
    "a folder": (with_value("render_path", "SLOPE"), "names a file that is missing"),
    "missing": (
        with_value("render_path", "SLOPE/none.png", 3),
        "row 4 of SLOPE.csv cannot be used: render_path 'SLOPE/none.png' names",
    ),
    "a link": (linked, "'000000.png' is a link that leads out of the folder"),
    "through a link": (linked_folder, "is a link that leads out of the folder"),
    "a loop": (looped, "cannot be used"),
}


def declared(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is that large."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" * 99)),
        (b"IEND", b""),
    ]
    parts = (struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def picture(content: bytes | Callable[[Path], Any]) -> Break:
    """The first picture, replaced."""

    def broken(folder: Path) -> None:
        path = folder / "SLOPE" / "000000.png"
        path.write_bytes(content) if isinstance(content, bytes) else content(path)

    return broken


PICTURES: dict[str, made.Case] = {
    "text": (picture(b"<html>"), "The picture of row 1 of SLOPE.csv cannot be used: it is no PNG or JPEG"),
    "empty": (picture(b""), "no PNG or JPEG"),
    "cut off": (picture(lambda path: path.write_bytes(path.read_bytes()[:60])), "no PNG or JPEG"),
    "other kind": (picture(lambda path: Image.new("RGB", (4, 4)).save(path, format="BMP")), "no PNG or JPEG"),
    "large": (picture(declared(5000, 5000)), "5000 x 5000 pixels, more than 16,777,216"),
    "larger": (picture(declared(12_000, 9_000)), "more than 16,777,216"),
    "absurd": (picture(declared(2**31 - 1, 2**31 - 1)), "more than 16,777,216"),
    "no pixels": (picture(declared(0, 0)), "no PNG or JPEG"),
    "deep": (picture(lambda path: Image.new("I;16", (4, 4)).save(path, format="PNG")), "not of eight bits"),
}


CASES = {
    f"{kind}: {name}": case
    for kind, cases in (("table", TABLES), ("path", PATHS), ("picture", PICTURES))
    for name, case in cases.items()
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_usable_is_one_sentence(tmp_path: Path, case: str) -> None:
    folder = made.make_causalverse_fixture(tmp_path / "in", "exported")
    broken, said = CASES[case]
    broken(folder)
    assert said in made.refusal(folder)


def test_files_beyond_their_limit_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made.make_causalverse_fixture(tmp_path, "exported")
    monkeypatch.setattr(images, "MOST_BYTES", 50)
    assert "it has more than 0 MiB" in made.refusal(folder)
    monkeypatch.setattr(exported, "MOST_BYTES", 50)
    assert "SLOPE.csv cannot be used: it has more than 0 MiB" in made.refusal(folder)


def test_formulas_and_markup_are_words(tmp_path: Path) -> None:
    folder = made.make_causalverse_fixture(tmp_path, "exported")
    for value in ("=HYPERLINK(1)", "<script>", "1_000"):
        with_value("material", value)(folder)
        assert "material (4 words)" in made.opened(folder).card["factors"]


def test_a_folder_without_what_is_asked_for_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"no folder is named\. Give folder"):
        world.CausalVerse(world.CausalVerseOptions())
    assert "there is no such folder" in made.refusal(tmp_path / "none")
    assert "it holds no SPLIT/SPLIT.csv" in made.refusal(tmp_path)
    folder = made.make_causalverse_fixture(tmp_path, "exported")
    assert "the folder holds SLOPE (exported)" in made.refusal(folder, split="FALL")
    assert "the folder holds SLOPE (exported)" in made.refusal(folder, split="../SLOPE")
    assert "it holds no" in made.refusal(folder, layout="video")
    made.make_causalverse_fixture(folder, "parquet")
    assert "it holds SLOPE (exported), slope (parquet). Say which with split" in made.refusal(folder, split="slope")
    assert made.opened(folder, split="slope", layout="parquet").domains == 2


def test_names_in_the_config_that_no_column_has_are_refused(tmp_path: Path) -> None:
    folder = made.make_causalverse_fixture(tmp_path, "exported")
    assert "no column is called 'x'. Name some of h, r, m, material" in made.refusal(folder, leave_out=("x",))
    said = made.refusal(folder, leave_out=("m",), answers=("m",))
    assert "no factor is called 'm'. Name some of h, r, material" in said
    assert "no column but reserved ones is left" in made.refusal(folder, leave_out=("*",))


def test_more_rows_or_memory_than_there_are_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = made.opened(made.make_causalverse_fixture(tmp_path, "exported"))
    for rows in (21, 0, -1):
        with pytest.raises(
            WorkbenchError, match=rf"its training part has 20 rows, and {rows} are asked for. Draw 1 to 20"
        ):
            found.draw(rows, 0)
    with pytest.raises(WorkbenchError, match="its testing part has 4 rows"):
        found.draw(5, 0, "test")
    monkeypatch.setattr(world, "MOST_DRAWN", 2**12)
    with pytest.raises(WorkbenchError, match=r"GiB of memory\. Draw fewer rows, or set a smaller size or lag"):
        found.draw(20, 0)


def test_a_table_or_scene_behind_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    real = made.make_causalverse_fixture(tmp_path / "real", "exported")
    (tmp_path / "in" / "SLOPE").mkdir(parents=True)
    (tmp_path / "in" / "SLOPE" / "SLOPE.csv").symlink_to(table(real))
    assert "leads out of the folder" in made.refusal(tmp_path / "in")
