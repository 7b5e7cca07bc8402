"""Compile every loop once, so that no training waits for it: `python -P -m probes.kernels.warm_up`.

The first use on a machine takes seconds; afterwards the cache folder answers. A server starts this in a process
of its own, at low priority, and imports nothing of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from probes.artefacts import home
from probes.kernels.choice import cache_folder, compiled_here, kernels_for, loops_key, narrow_pays
from probes.provenance import ROOT


def warm_up() -> bool:
    """Call each loop on a few small tensors; False where the torch path is taken."""
    import torch

    if not compiled_here():
        return False
    import numpy as np

    from probes.kernels import fast
    from probes.kernels.strongest import Best, Firings

    x, w, b = torch.ones(4, 8), torch.ones(40, 8), torch.zeros(40)
    kernels = kernels_for(x, w, b)
    kernels.select(x, w, b, 3, narrow=True)
    value, index = kernels.select(x, w, b, 3)
    kernels.above(x, w, b, b)
    kernels.accumulate(index, value, x, 40)
    fast.decoder_gradients(x, value, index, w)
    kernels.remove_along(w.clone(), w)
    kernels.normalise(w)
    kernels.keep_strongest(Firings(*(np.ones(1) for _ in range(4))), Best.none(2, 2))
    _draw_a_selection()
    narrow_pays()
    return True


def _draw_a_selection() -> None:
    import numpy as np

    from probes.worlds.selection import Composition, Selecting, select

    whole = Composition.of(np.ones((1, 2), dtype=np.bool_), needed=1.0)
    how = Selecting(share=0.5, spread=0.1, orphans=0.5, most=1, sweeps=1)
    select([whole], 1, np.random.default_rng(0), how)


def is_warm() -> bool:
    """Did a warm-up finish for these loops under this version of numba? Imports neither."""
    return _mark().is_file()


def _mark() -> Path:
    return cache_folder() / f"warm-{loops_key()}"


def start_in_background() -> None:
    """Warm up in a process of its own, at the lowest priority, where that was not done yet."""
    if is_warm():
        return
    inherited = os.environ.get("PYTHONPATH")
    environment = {"FULCRUM_HOME": str(home()), "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), inherited]))}
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "probes.kernels.warm_up"],
            cwd=cache_folder(),
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return  # where nothing can be kept there is nothing to warm up
    threading.Thread(target=process.wait, daemon=True, name="kernels-warm-up").start()


def main() -> None:
    if hasattr(os, "nice"):
        os.nice(19)
    if warm_up():
        _mark().touch()


if __name__ == "__main__":
    main()
