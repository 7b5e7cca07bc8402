"""The pool of subjects: lazy, one person at a time, bounded."""

from __future__ import annotations

import threading
import time

import pytest

from app.models import ModelPool


def test_a_subject_is_loaded_once_and_on_first_use() -> None:
    loaded: list[str] = []

    def load(ref: str) -> str:
        loaded.append(ref)
        return ref.upper()

    pool = ModelPool(load)
    assert pool.held == ()
    for _ in range(2):
        with pool.use("a") as subject:
            assert subject == "A"
    assert loaded == ["a"] and pool.held == ("a",)


def test_the_least_recently_used_subject_goes_first() -> None:
    pool = ModelPool(str, keep=2)
    for ref in ("a", "b", "a", "c"):
        with pool.use(ref):
            pass
    assert pool.held == ("a", "c")


def test_two_threads_take_turns() -> None:
    pool, inside, worst = ModelPool(str), [0], [0]

    def work() -> None:
        with pool.use("a"):
            inside[0] += 1
            worst[0] = max(worst[0], inside[0])
            time.sleep(0.02)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == [1]


def test_a_failed_load_is_not_kept_and_frees_the_pool() -> None:
    def load(ref: str) -> str:
        if ref == "broken":
            raise ValueError(ref)
        return ref

    pool = ModelPool(load)
    with pytest.raises(ValueError, match="broken"), pool.use("broken"):
        pass
    done: list[str] = []

    def work() -> None:
        with pool.use("sound") as subject:
            done.append(subject)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert done == ["sound"] and pool.held == ("sound",)
