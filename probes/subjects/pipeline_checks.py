"""What would make hooks on a pipeline's denoiser see nothing, or something else, without a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from probes.addresses import HookPoint
from probes.errors import WorkbenchError

_PROJECTIONS = frozenset({"to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj"})


def refuse_exchanged(pipeline: Any, root: nn.Module, now: nn.Module) -> None:
    """The pipeline calls another denoiser than the one this subject was opened with."""
    if now is root:
        return
    compiled = type(now).__name__ == "OptimizedModule"
    raise WorkbenchError(
        "compiled-root" if compiled else "exchanged-root",
        f"The denoiser of {type(pipeline).__name__} is {'compiled' if compiled else 'another one now'}",
        "hooks on the one this subject was opened with would silently not fire",
        "Compile its blocks one by one instead." if compiled else "Open the pipeline again.",
    )


def refuse_cached(root: Any) -> None:
    """A block cache skips blocks, whose hooks then fire on what was merely passed through."""
    if getattr(root, "is_cache_enabled", False):
        raise WorkbenchError(
            "block-cache",
            "The denoiser has a block cache enabled",
            "blocks it skips would seem to add nothing, and edits there would come and go",
            "Call disable_cache() on it first.",
        )


def refuse_fused(root: nn.Module, points: Sequence[HookPoint]) -> None:
    """Fused projections are computed as one; the single ones are still there and never run."""
    for point in points:
        parent, _, name = point.path.rpartition(".")
        if name in _PROJECTIONS and _is_fused(dict(root.named_modules()).get(parent)):
            raise WorkbenchError(
                "fused-projections",
                f"{point} does not run by itself",
                "the projections of this attention are fused into one",
                "Call unfuse_qkv_projections() on the pipeline first, or hook the whole block.",
            )


def _is_fused(attention: Any) -> bool:
    """Older attention classes keep their flag when they are unfused, but take their old processor back."""
    if not getattr(attention, "fused_projections", False):
        return False
    return hasattr(attention, "unfuse_projections") or "Fused" in type(attention.processor).__name__


def module_tree(root: nn.Module, depth: int = 2, most: int = 24) -> str:
    """The upper modules of a denoiser with their classes, for choosing where to hook."""
    upper = [(path, module) for path, module in root.named_modules() if path and path.count(".") < depth]
    shown = [f"{path} ({type(module).__name__})" for path, module in upper[:most]]
    return ", ".join(shown) + (f" and {len(upper) - most} more" if len(upper) > most else "")
