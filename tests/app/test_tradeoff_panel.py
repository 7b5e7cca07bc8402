"""What the trade-off panel says where its rows are missing."""

from __future__ import annotations

from typing import Any

import pytest

from app.components.tradeoff_panel import needs_rows
from probes.errors import WorkbenchError


def test_a_graph_whose_store_is_not_here_says_which_to_make(data_home: Any) -> None:
    with pytest.raises(WorkbenchError) as refused:
        needs_rows("text", "bundled/smollm2-135m")
    said = str(refused.value)
    assert "'text'" in said and "Capture bundled/smollm2-135m" in said
