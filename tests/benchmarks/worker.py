"""One trainer in a process of its own: `python -m tests.benchmarks.worker NAME '{"d": ...}'`.

Answers go to the standard output it was started with; what a library prints goes to standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from importlib import import_module
from pathlib import Path

import torch

from probes.kernels.warm_up import warm_up
from tests.benchmarks.channel import Channel, Finished
from tests.benchmarks.ours import TRAINERS
from tests.benchmarks.setting import Setting

MODULES = {"sparsify": "sparsify", "SAELens": "sae_lens", "dictionary_learning": "dictionary_learning.trainers.top_k"}


def kilobytes(what: str) -> int:
    """A line of this process's status, such as VmHWM; 0 where the system has none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text("utf-8").splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1])
    return 0


def _small_step() -> None:
    """What a library and torch load on first use is no part of a trainer's memory, whoever's it is."""
    weight = torch.nn.Parameter(torch.ones(64, 64))
    optimiser = torch.optim.Adam([weight], fused=True)
    (torch.ones(64, 64) @ weight).sum().backward()
    optimiser.step()


def main(name: str, setting: Setting) -> None:
    answers = os.dup(1)
    os.dup2(2, 1)
    torch.set_num_threads(1)
    channel = Channel(setting.batches(), answers)
    chosen = TRAINERS
    if name in TRAINERS:
        warm_up()
    else:
        from tests.benchmarks.peers import PEERS

        chosen = PEERS
        for word in name.split():
            import_module(MODULES.get(word, "torch"))
    _small_step()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "utf-8")  # the peak so far is forgotten
    before = kilobytes("VmRSS")
    channel.peak = lambda: (kilobytes("VmHWM") - before) / 1024
    with contextlib.suppress(Finished):
        chosen[name](setting, channel)


if __name__ == "__main__":
    main(sys.argv[1], Setting(**json.loads(sys.argv[2])))
