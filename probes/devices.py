"""Where the heavy sums run: a device by name. `auto` takes a CUDA device where there is one, else the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from probes.errors import WorkbenchError

Device = Literal["auto", "cpu", "cuda", "mps"]
CPU = torch.device("cpu")


def device_named(name: str) -> torch.device:
    """Raises `WorkbenchError` for one that this machine or this build of PyTorch lacks."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "cpu")
    if not there.get(name.partition(":")[0], False):
        known = ", ".join(found for found, here in there.items() if here)
        raise WorkbenchError(
            "no-device",
            f"There is no device {name[:40]!r} here",
            f"PyTorch {torch.__version__} finds {known}",
            "Choose one of these or auto, or install a PyTorch build for it (make TORCH=torch run).",
        )
    return torch.device(name)


def batches_on(
    device: torch.device, batch_at: Callable[[int], Mapping[str, Tensor]]
) -> Callable[[int], dict[str, Tensor]]:
    """The same batches, each tensor on the device."""
    return lambda step: {name: part.to(device) for name, part in batch_at(step).items()}
