"""A store larger than memory is mixed through a rolling buffer, as a function of seed and step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from probes.activations.mixing import RollingOrder
from probes.activations.places import Places
from probes.activations.rows import MixedRows, RowKind
from probes.activations.store import ActivationStore
from tests.fixtures.stores import D_MODEL, make_store

WIDTH = 2 * D_MODEL  # bytes of a token row in half precision


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    return ActivationStore(make_store(tmp_path_factory.mktemp("mixing") / "store", chunks=24))


def rows_of(store: ActivationStore, *, held: int, span: int = 1, seed: int = 0, batch: int = 32) -> MixedRows:
    """Mixed rows of a store of 2,232 usable token rows, through a buffer of `held` token rows."""
    point = store.index.points[1].point
    return MixedRows(store, Places(point), RowKind(span=span), batch=batch, seed=seed, buffer_bytes=held * WIDTH)


def left(order: RollingOrder) -> list[int]:
    """All arrivals in the order in which they leave."""
    found: list[int] = []
    for block in range(order.blocks + 1):
        before = torch.arange(len(order.block(block - 1))) + order.block(block - 1).start if block else torch.zeros(0)
        late = before[order.late(block - 1)] if block else before
        now = torch.tensor(order.block(block)) if block < order.blocks else torch.zeros(0)
        found += torch.cat([late, now])[order.leaving(block)].long().tolist()
        assert len(found) == int(order.ends[block])
    return found


@pytest.mark.parametrize(("n", "window"), [(1000, 100), (1037, 64), (90, 100), (7, 1)])
def test_every_row_leaves_once_and_waits_no_longer_than_the_window(n: int, window: int) -> None:
    found = left(RollingOrder(n, window, 0, 0))
    assert sorted(found) == list(range(n))
    waited = torch.tensor(found).argsort() - torch.arange(n)  # the order of leaving less that of arriving
    assert int(waited.abs().max()) <= window


def test_the_order_differs_by_epoch_and_seed_and_neighbours_part() -> None:
    first = left(RollingOrder(1000, 200, 0, 0))
    assert first != left(RollingOrder(1000, 200, 0, 1)) != left(RollingOrder(1000, 200, 1, 0))
    place = torch.tensor(first).argsort()
    apart = (place[1:] - place[:-1]).abs().double()[100:-200]
    # Two independent uniform waits differ by a third of the window on average.
    assert float(apart.mean()) == pytest.approx(200 / 3, rel=0.1)


def batches(rows: MixedRows, steps: range) -> list[Tensor]:
    return [rows.batch_at(step)["x"] for step in steps]


def keys(parts: list[Tensor]) -> list[tuple[float, ...]]:
    return [tuple(row) for row in torch.cat(parts).tolist()]


def test_an_epoch_gives_every_row_at_most_once_and_leaves_out_less_than_a_batch(store: ActivationStore) -> None:
    rows = rows_of(store, held=600)
    steps = rows.n_rows // 32
    seen = keys(batches(rows, range(steps)))
    every = keys([rows.rows_of(shard) for shard in rows.shards])
    assert len(set(every)) == len(every) == rows.n_rows
    assert len(set(seen)) == len(seen) == steps * 32
    assert set(seen) <= set(every)
    assert seen != keys(batches(rows, range(steps, 2 * steps)))


@pytest.mark.parametrize("span", [1, 4])
def test_a_batch_is_a_function_of_the_step_whatever_was_read_before(store: ActivationStore, span: int) -> None:
    rows = rows_of(store, held=500 if span == 1 else 200, span=span)
    steps = 2 * (rows.n_rows // 32)
    one_after_the_other = batches(rows, range(steps))
    for step in (steps - 1, 0, steps // 2, steps // 2 - 1, 1):
        assert torch.equal(rows.batch_at(step)["x"], one_after_the_other[step])
        fresh = rows_of(store, held=500 if span == 1 else 200, span=span)
        assert torch.equal(fresh.batch_at(step)["x"], one_after_the_other[step])


def test_the_buffer_stays_in_its_budget_and_shards_are_read_as_they_come(
    store: ActivationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(store, held=600)
    read: list[int] = []
    whole = MixedRows.rows_of
    monkeypatch.setattr(MixedRows, "rows_of", lambda self, shard: (read.append(shard), whole(self, shard))[1])
    batches(rows, range(rows.n_rows // 32))
    held = [part for part in vars(rows._held).values() if isinstance(part, Tensor) and part.ndim == 2]
    assert sum(part.numel() * part.element_size() for part in held) <= 600 * WIDTH
    blocks = -(-rows.n_rows // 300)
    assert len(read) <= len(rows.shards) + blocks  # each once, and once more where a block ends inside it


def test_batches_mix_shards_that_a_buffer_holds_together(store: ActivationStore) -> None:
    rows = rows_of(store, held=2000)
    source = {key: shard for shard in rows.shards for key in keys([rows.rows_of(shard)])}
    mixed = [len({source[key] for key in keys([rows.batch_at(step)["x"]])}) for step in range(20, 40)]
    assert min(mixed) >= 2


def test_a_store_that_fits_is_shuffled_whole(store: ActivationStore) -> None:
    rows = rows_of(store, held=10**6)
    source = {key: shard for shard in rows.shards for key in keys([rows.rows_of(shard)])}
    assert {source[key] for key in keys([rows.batch_at(0)["x"]])} == set(rows.shards)
    assert not torch.equal(rows.batch_at(0)["x"], rows_of(store, held=10**6, seed=1).batch_at(0)["x"])
