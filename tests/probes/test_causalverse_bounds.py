"""Tables of CausalVerse that are small on disk and large in memory: refused early, and read in the room they need."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probes.worlds.causalverse import exported, gathered, parquet
from probes.worlds.causalverse.layouts import find_split
from probes.worlds.causalverse.metavalues import read_metavalue
from probes.worlds.causalverse.world import CausalVerse
from tests.fixtures import causalverse as made

PICTURE = made.shard_rows(1)[0]["image"]["bytes"]


def repeated(folder: Path, text: str, rows: int, picture: bytes = PICTURE) -> Path:
    """A folder with one shard whose every row has this text and picture, each stored once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    of = pa.array([0] * rows, pa.int32())
    columns = {
        name: pa.DictionaryArray.from_arrays(of, pa.array([value]))
        for name, value in (("image", picture), ("metavalue", text))
    }
    path = folder / "slope-00000-of-00001.parquet"
    pq.write_table(pa.table(columns), path, compression="zstd", dictionary_pagesize_limit=2**24, store_schema=False)
    assert path.stat().st_size < 2**15
    return folder


def wide(keys: int) -> str:
    return json.dumps({f"k{at}": at * 1.5 for at in range(keys)})


def test_a_text_that_repeats_is_read_once_and_its_rows_take_no_room_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """400,000 values are 3 MiB as numbers; as objects of each row they were over 40."""
    folder, read = repeated(tmp_path, wide(400), 1000), []

    def counted(text: str, what: str) -> Any:
        read.append(what)
        return read_metavalue(text, what)

    monkeypatch.setattr(gathered, "read_metavalue", counted)
    tracemalloc.start()
    columns = parquet.read_parquet(folder, find_split(folder, "slope", "parquet"), made.SIDE).factors
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(columns) == 400 and all(len(values) == 1000 for values in columns.values())
    assert read == ["row 1 of slope"] and peak < 12 * 2**20


@pytest.mark.parametrize(
    ("limit", "most", "said"),
    [
        ("MOST_VALUES", 999, "it has 1,200 values in all columns, more than 999"),
        ("MOST_COLUMNS", 11, "it has 12 columns, more than 11"),
        ("MOST_CHARACTERS", 1000, "characters of metavalue up to row 8, more than 1,000"),
    ],
)
def test_what_rows_would_take_is_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, said: str
) -> None:
    taken = []

    def texts() -> Any:
        for row in range(100):
            taken.append(row)
            yield wide(12)

    folder = repeated(tmp_path, wide(12), 100)
    monkeypatch.setattr(gathered, limit, most)
    monkeypatch.setattr(gathered, "BLOCK", 8)
    assert said in made.refusal(folder)
    with pytest.raises(Exception, match="more than"):
        gathered.gathered(texts(), 100, "slope")
    assert len(taken) <= 8


def test_keys_that_differ_from_row_to_row_make_no_more_columns_than_are_allowed(tmp_path: Path) -> None:
    rows = [
        {**made.shard_rows(1)[0], "metavalue": json.dumps({f"k{at}.{key}": 1 for key in range(9)})} for at in range(200)
    ]
    made.write_shards(tmp_path, rows)
    assert "columns, more than 1,000" in made.refusal(tmp_path)


def test_a_text_of_many_mebibytes_is_measured_before_it_is_decoded(tmp_path: Path) -> None:
    folder = repeated(tmp_path, json.dumps({"a": "x" * 2**22}), 1000)
    tracemalloc.start()
    said = made.refusal(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "row 1 of slope cannot be used: its metavalue has 4,194,313 bytes" in said and peak < 2**21


def test_a_table_of_more_values_than_are_allowed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made.make_causalverse_fixture(tmp_path, "exported")
    monkeypatch.setattr(exported, "MOST_VALUES", 50)
    assert "it has 56 values in all columns, more than 50" in made.refusal(folder)


def test_a_metavalue_that_is_no_text_is_refused(tmp_path: Path) -> None:
    for value in ({"a": 1}, 1, [1.0], b"{}"):
        made.write_shards(tmp_path, [{**row, "metavalue": value} for row in made.shard_rows()])
        assert "its column metavalue holds no text" in made.refusal(tmp_path)


@pytest.mark.parametrize("most", [1, 2**30])
def test_pictures_are_the_same_however_few_are_in_memory_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """A picture that repeats is stored once: a batch may be as large as its whole group of rows for every row."""
    folder = made.make_causalverse_fixture(tmp_path, "parquet")
    expected = made.everything(made.opened(folder)).fields["x"]
    seen: list[int] = []
    batches = parquet._batches

    def watched(shard: Any, column: str, groups: list[int], rows: int, name: str) -> Any:
        for batch in batches(shard, column, groups, rows, name):
            seen.extend([len(batch)] * (column == "image"))
            yield batch

    monkeypatch.setattr(parquet, "_batches", watched)
    monkeypatch.setattr(parquet, "MOST_AT_ONCE", most)
    assert (made.everything(made.opened(folder)).fields["x"] == expected).all()
    assert max(seen) == (1 if most == 1 else 5)


def test_columns_hold_what_their_texts_say_whatever_its_kind() -> None:
    """Against a table made row by row; reserved columns keep their exact words, so that 7 is not 7.0."""
    random = np.random.default_rng(0)
    rows: list[dict[str, Any]] = [
        {
            "id": int(at) if at % 3 else float(at),
            "a": float(random.normal()),
            "b": int(random.integers(9)),
            "c": [1, 2.5][at % 2],
            "d": ["iron", 3, 4.5, True, None][at % 5],
            "e": 10**30 if at == 500 else 1,
            **({"late": at} if at > 300 else {}),
        }
        for at in range(700)
    ]
    found = gathered.gathered(map(json.dumps, rows), len(rows), "it")
    assert list(found) == ["id", "a", "b", "c", "d", "e", "late"]
    for name in ("id", "d", "e", "late"):
        values = [row.get(name) for row in rows]
        assert list(found[name]) == values and list(map(type, found[name])) == list(map(type, values))
    for name in ("a", "b", "c"):
        assert isinstance(found[name], np.ndarray) == (name != "c")
        assert list(found[name]) == [row[name] for row in rows]


def test_repeated_rows_open_as_a_world(tmp_path: Path) -> None:
    """Two texts that take turns, of which each is read once."""
    rows = [
        {**made.shard_rows(1)[0], "metavalue": json.dumps({"a": at % 2, "b": "no" if at % 2 else "yes"})}
        for at in range(40)
    ]
    made.write_shards(tmp_path, rows)
    found: CausalVerse = made.opened(tmp_path)
    drawn = made.everything(found).factors
    assert found.names == ("a", "b") and (drawn[:, 0] == 1 - drawn[:, 1]).all() and len(drawn) == 40
