"""Rows, spans and addresses."""

from __future__ import annotations

import pytest
import torch

from probes.activations.rows import RowKind, pool_max, pool_mean, pool_running
from probes.addresses import HookPoint, Selector, parse_address
from probes.errors import WorkbenchError


def test_span_means_leave_masked_tokens_out() -> None:
    x = torch.arange(12.0).reshape(1, 6, 2)
    usable = torch.tensor([[False, True, True, True, True, False]])
    pooled, rows = pool_mean(x, usable, 4)
    assert pooled.shape == (1, 2, 2)
    assert pooled[0, 0].tolist() == [4.0, 5.0]
    assert rows.tolist() == [[True, False]]


def test_running_mean_ends_at_the_span_mean_and_sees_no_later_token() -> None:
    torch.manual_seed(0)
    x, usable = torch.randn(2, 10, 3), torch.rand(2, 10) > 0.3
    usable[:, [3, 7]] = True
    positions = torch.arange(10).expand(2, 10)
    running = pool_running(x, usable, positions, 4)
    pooled, _ = pool_mean(x, usable, 4)
    torch.testing.assert_close(running[:, [3, 7]], pooled[:, :2])
    changed = x.clone()
    changed[:, 6:] += 100
    torch.testing.assert_close(pool_running(changed, usable, positions, 4)[:, :6], running[:, :6])


def test_running_mean_from_the_middle_of_a_text() -> None:
    x = torch.randn(1, 10, 3)
    usable, positions = torch.ones(1, 10, dtype=torch.bool), torch.arange(10)[None]
    whole = pool_running(x, usable, positions, 4)
    part = pool_running(x[:, 4:], usable[:, 4:], positions[:, 4:], 4)
    torch.testing.assert_close(whole[:, 4:], part)


def test_max_pooling_and_window_counts() -> None:
    assert pool_max(torch.tensor([[1.0, 3.0, 2.0]]), 2).tolist() == [[3.0, 2.0]]
    assert RowKind.parse("span(16)").windows(33) == 3
    assert [str(RowKind.parse(text)) for text in ("token", "cell", "span(4)")] == ["token", "cell", "span(4)"]
    with pytest.raises(WorkbenchError, match="token, cell or span"):
        RowKind.parse("word")


def test_addresses_round_trip_and_refuse_what_they_do_not_know() -> None:
    point, selector = parse_address("layers.15:update@rows=0+2,positions=4-9,noise=0.25-0.5,branch=both")
    assert str(point) == "layers.15:update"
    assert Selector.parse(str(selector)) == selector
    assert selector.positions == (4, 9)
    for bad in ("layers..3", "layers.3:output", "", "layers.3;rm"):
        with pytest.raises(WorkbenchError):
            HookPoint.parse(bad)
    for bad in ("colour=red", "positions=some", "noise=0.9-0.1", "rows=x"):
        with pytest.raises(WorkbenchError):
            Selector.parse(bad)
