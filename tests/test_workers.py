"""What workers of one test run keep together, and what they begin with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.fixtures.workers import LONGEST, SHARED, deal_out

TESTS = Path(__file__).parent


class Item(SimpleNamespace):
    """Stands for a collected test."""

    def __init__(self, file: str, *fixtures: str) -> None:
        super().__init__(location=(f"tests/{file}", 0, "test"), fixturenames=fixtures, group="")

    __hash__ = object.__hash__

    def add_marker(self, mark: Any) -> None:
        self.group = mark.args[0]


def test_what_uses_the_browser_is_one_group_and_every_other_file_is_one() -> None:
    items = [
        Item("app/test_jobs.py", "tmp_path"),
        Item("browser/test_atlas.py", "page", "chromium"),
        Item("test_main_job.py", "whale"),
        Item("app/test_jobs.py"),
        Item("browser/test_tour.py", "chromium"),
    ]
    given: list[Any] = list(items)
    deal_out(given)
    assert [item.group for item in items] == ["app/jobs", "chromium", "main_job", "app/jobs", "chromium"]
    assert given == [items[1], items[4], items[2], items[0], items[3]], "the longest first, and nothing else moves"


def test_what_is_begun_first_is_there() -> None:
    for name in LONGEST:
        folder, _, last = name.rpartition("/")
        assert name in SHARED or (TESTS / folder / f"test_{last}.py").is_file(), name
