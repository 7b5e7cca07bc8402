"""What causal-learn needs around it: it may be missing, prints as it goes and draws from the libraries' own numbers."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from probes.errors import WorkbenchError


def of_library(module: str, name: str) -> Any:
    try:
        with quiet(0):
            return getattr(import_module(module), name)
    except ImportError:
        raise WorkbenchError(
            "library-missing",
            "Edges cannot be proposed by causal discovery",
            "causal-learn is not installed",
            "pip install fulcrum-workbench[graphs], or choose another proposal.",
        ) from None


@contextlib.contextmanager
def quiet(seed: int) -> Iterator[None]:
    """The library prints as it goes and draws from Python's and numpy's own random numbers: none leaves this block."""
    before, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        random.setstate(before)
        np.random.set_state(of_numpy)  # noqa: NPY002
