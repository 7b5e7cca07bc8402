"""What was measured of each latent, as it lies in a probe's folder; read without torch.

A probe keeps a file of statistics beside the weights of each level, so that measuring again leaves the
weights as they are. Probes of before that had both in one file, and are still read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
HISTOGRAM_BINS = 16
NOISE_BINS = 20
# What can be known of every latent, and how much of each; what was not measured is absent.
STATISTICS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("typical", "frequency", "mean_active", "largest", "spread", "spread_floor"), ()),
    "quantiles": (len(QUANTILES),),
    "histogram": (HISTOGRAM_BINS,),
    **dict.fromkeys(("silent", "revived", "seed_agreement"), ()),
    # Of a trajectory: the mean activation at noise of each of equal bins from 0 to 1; −1 where there was no frame.
    "profile": (NOISE_BINS,),
}


def weights_file(level: str) -> str:
    return f"level-{level}.safetensors"


def statistics_file(level: str) -> str:
    return f"statistics-{level}.safetensors"


def read_latent(folder: Path, level: str, latent: int) -> dict[str, np.ndarray[Any, Any]]:
    """What is known of one latent, by name (see `STATISTICS`); nothing where the files or the latent are missing.

    For pages: it reads one row of each array, and never raises.
    """
    from safetensors import SafetensorError, safe_open

    found: dict[str, np.ndarray[Any, Any]] = {}
    for name in (weights_file(level), statistics_file(level)):
        if not (folder / name).is_file():
            continue
        try:
            with safe_open(folder / name, framework="np") as handle:
                for key in STATISTICS.keys() & set(handle.keys()):
                    part = handle.get_slice(key)
                    if part.get_shape()[1:] == list(STATISTICS[key]) and 0 <= latent < part.get_shape()[0]:
                        found[key] = np.asarray(part[latent : latent + 1][0])
        except (SafetensorError, OSError, ValueError):
            continue
    return found
