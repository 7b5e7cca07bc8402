"""How a loop is compiled: by numba on first use, and kept in a cache folder.

Arrays are C-contiguous; numbers are float32, latents and entries int64. Sums may be taken in any order
(`reassoc`), which is what lets them run in vector registers, but always in the same one: a result is a function
of its inputs, whatever the number of threads. NaN and infinity keep their meaning, so that a diverging training
is still noticed. A loop and those it calls share a file: the cache follows the file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

Array = np.ndarray[Any, Any]
Loop = TypeVar("Loop", bound=Callable[..., Any])


def loop(function: Loop) -> Loop:
    """Compiled without the interpreter's lock, so that threads may share the work."""
    return cast(Loop, njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})(function))
