"""What workers of one test run keep together, and what they begin with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fixtures.workers import LONGEST, TOGETHER, group_of, put_longest_first

TESTS = Path(__file__).parent


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/browser/test_atlas.py::test_a[wide::x]", "browser"),
        ("tests/browser/test_tour.py::test_b", "browser"),
        ("tests/probes/formats/test_assemble.py::test_c[a/b]", "probes/formats/test_assemble.py"),
        ("tests/test_tour.py::test_d", "test_tour.py"),
    ],
)
def test_a_group_is_a_file_or_all_that_uses_the_browser(nodeid: str, group: str) -> None:
    assert group_of(nodeid) == group


def test_the_longest_come_first_and_nothing_else_moves() -> None:
    names = "app/test_x.py::b test_main_job.py::a app/test_x.py::a browser/test_y.py::a test_main_job.py::b".split()
    items: list[Any] = [SimpleNamespace(nodeid=f"tests/{name}") for name in names]
    put_longest_first(items)
    assert [item.nodeid.removeprefix("tests/") for item in items] == [names[at] for at in (3, 1, 4, 0, 2)]


def test_what_is_begun_first_is_there() -> None:
    for name in LONGEST:
        assert name in TOGETHER or (TESTS / name).is_file(), name
