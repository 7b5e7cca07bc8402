"""Shards of CausalVerse that are not usable, or made to harm: each is refused in one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from probes.errors import WorkbenchError
from probes.worlds.causalverse import parquet
from probes.worlds.causalverse.metavalues import read_metavalue
from tests.fixtures import causalverse as made

Break = Callable[[Path], Any]


def shard(at: int = 0, **more: Any) -> Break:
    """All shards written again with a value of one row replaced."""

    def broken(folder: Path) -> None:
        rows = made.shard_rows()
        rows[at].update(more)
        made.write_shards(folder / "data", rows)

    return broken


def shards_without(column: str) -> Break:
    return lambda folder: made.write_shards(
        folder / "data", [{name: value for name, value in row.items() if name != column} for row in made.shard_rows()]
    )


SECOND = "slope-00001-of-00002.parquet"
CASES: dict[str, made.Case] = {
    "a shard missing": (lambda folder: (folder / "data" / SECOND).unlink(), "shard 1 of 2 is missing"),
    "not parquet": (lambda folder: (folder / "data" / SECOND).write_bytes(b"PAR1"), "no parquet file that can be read"),
    "lfs pointer": (lambda folder: (folder / "data" / SECOND).write_text("version https://git-lfs"), "no parquet file"),
    "no image": (shards_without("image"), "it has no column image"),
    "no metavalue": (shards_without("metavalue"), "it has no column metavalue"),
    "path alone": (shard(image={"bytes": None, "path": "/etc/hostname"}), "a path in its place is never followed"),
    "no picture": (
        shard(image={"bytes": b"GIF89a", "path": None}),
        "row 1 of shard 0 of slope cannot be used: it is no PNG",
    ),
    "nonsense": (shard(metavalue="no factors at all"), "row 1 of slope cannot be used: its metavalue 'no factors"),
    "null": (shard(metavalue=None), "is no JSON object"),
    "a list": (shard(metavalue="[1, 2]"), "is no JSON object"),
    "long": (shard(metavalue="{" + " " * 70_000 + "}"), "has 70,002 characters, more than 65,536"),
    "a lack": (shard(metavalue='{"id": 0, "view": 0, "h": 1, "r": 1, "material": "a"}'), "column 'm' of slope"),
    "not a number": (shard(3, metavalue='{"id": 1, "view": 1, "h": NaN, "r": 1, "m": 2, "material": "a"}'), "NaN"),
    "huge number": (
        shard(3, metavalue=f'{{"id": 1, "view": 1, "h": {"9" * 400}, "r": 1, "m": 2, "material": "a"}}'),
        "infinite",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_usable_is_one_sentence(tmp_path: Path, case: str) -> None:
    folder = made.make_causalverse_fixture(tmp_path / "in", "parquet")
    broken, said = CASES[case]
    broken(folder)
    assert said in made.refusal(folder)


def test_a_shard_behind_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    shards = made.make_causalverse_fixture(tmp_path / "shards", "parquet") / "data" / "slope-00000-of-00002.parquet"
    shards.rename(tmp_path / "away.parquet")
    shards.symlink_to(tmp_path / "away.parquet")
    assert "leads out of its folder" in made.refusal(tmp_path / "shards")


def test_without_pyarrow_shards_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made.make_causalverse_fixture(tmp_path, "parquet")
    monkeypatch.setattr(parquet, "MOST_TEXT", 10)
    assert "bytes of metavalue, more than 10" in made.refusal(folder)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "pip install fulcrum-workbench[parquet]" in made.refusal(folder)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 60_000,
        '{"a":' * 5_000,
        "{'a': " + "-" * 16_000 + "1}",
        "{'a': " + "~" * 9_000 + "1}",
        "{'a': __import__('os').system('true')}",
        "{'a': 9**9**9}",
        "{'a': {1}}",
        "{'a': b'x'}",
        "{'a': 1j}",
        "{[]: 1}",
        json.dumps({str(at): 1 for at in range(2000)}),
        '{"a": {"b": 1}, "a.b": 2}',
        "a: 1, __b",
        "{}",
        "",
    ],
)
def test_text_that_is_no_plain_table_of_factors_is_refused(text: str) -> None:
    with pytest.raises(WorkbenchError, match=r"(its metavalue|is a|is there twice|more than 1,000)"):
        read_metavalue(text, "row 1")
