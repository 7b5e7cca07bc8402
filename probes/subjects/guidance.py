"""Which guidance branch each row of a denoiser call belongs to. Layouts differ between pipelines."""

from __future__ import annotations

from typing import Any

from probes.errors import WorkbenchError

UNCOND_FIRST = ("uncond", "cond")
COND_FIRST = ("cond", "uncond")
COND_FIRST_PIPELINES = frozenset(
    {"DiTPipeline", "LuminaPipeline", "StableCascadePriorPipeline", "WuerstchenPriorPipeline"}
)
THREE_CHUNKS = {
    "StableDiffusionInstructPix2PixPipeline": ("cond", "image", "uncond"),
    "StableDiffusionXLInstructPix2PixPipeline": ("cond", "image", "uncond"),
    "DreamLitePipeline": ("uncond", "image", "cond"),
}
PERTURBED = ("uncond", "cond", "perturbed")


def branches_of(pipeline: Any, rows: int, pictures: int, context: str | None) -> tuple[str, ...]:
    """The branch of each of a call's `rows`, one chunk of all `pictures` per branch.

    `context` is what the pipeline itself calls the branch of this call, where it runs each branch by itself.
    Raises `WorkbenchError` where rows cannot be told apart.
    """
    if rows == pictures:
        return (context if context in {"cond", "uncond"} else "cond",) * rows
    chunks, rest = divmod(rows, pictures)
    names = _layout(pipeline, chunks)
    if rest or names is None:
        raise WorkbenchError(
            "unknown-rows",
            f"The rows of {type(pipeline).__name__} cannot be told apart",
            f"it calls its denoiser with {rows} rows for {pictures} pictures",
            "Add its layout to the guidance table, or run it without guidance.",
        )
    return tuple(name for name in names for _ in range(pictures))


def _layout(pipeline: Any, chunks: int) -> tuple[str, ...] | None:
    name = type(pipeline).__name__
    if chunks == 2:
        return COND_FIRST if name in COND_FIRST_PIPELINES else UNCOND_FIRST
    if chunks == 3:
        return PERTURBED if "PAG" in name else THREE_CHUNKS.get(name)
    return None
