"""A batch of inputs as the arguments one pipeline takes."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from probes.errors import WorkbenchError, first_line
from probes.subjects.image_inputs import ImageInputs

# The size that was asked for and not the nearest of a list, the prompt as it was written.
PLAIN: dict[str, Any] = {"use_resolution_binning": False, "clean_caption": False}


def arguments_for(
    pipeline: Any, inputs: ImageInputs, generators: Sequence[torch.Generator], *, name: str
) -> dict[str, Any]:
    """What to call the pipeline with for one picture per generator. Raises `WorkbenchError` for what it does not
    take and for what it must have."""
    signature, count = inspect.signature(type(pipeline).__call__), len(generators)
    given: dict[str, Any] = {key: _spread(key, value, count) for key, value in inputs.extra.items()}
    if inputs.prompts:
        given["prompt"] = _one_each(inputs.prompts, count)
    if inputs.negative:
        given["negative_prompt"] = [inputs.negative] * count
    chosen = {"guidance_scale": inputs.guidance, "height": inputs.height, "width": inputs.width}
    given |= {key: value for key, value in chosen.items() if value is not None}
    taken = signature.parameters
    strange = [key for key in given if key not in taken]
    if strange:
        raise WorkbenchError(
            "not-taken",
            f"{name} does not take {', '.join(strange)}",
            f"its pipeline takes {', '.join(key for key in taken if key != 'self')}",
            "Leave it out, or choose a pipeline that takes it.",
        )
    own: dict[str, Any] = {"num_inference_steps": inputs.steps, "generator": list(generators)}
    if "prompt" not in taken:
        own["batch_size"] = count
    given = {key: value for key, value in (PLAIN | given | own).items() if key in taken}
    try:
        signature.bind(pipeline, **given)
    except TypeError as error:
        raise refused_inputs(name, error) from error
    return given


def refused_inputs(name: str, error: Exception) -> WorkbenchError:
    """A pipeline's own words about what it was given, as the one error type."""
    return WorkbenchError("bad-inputs", f"{name} refuses the inputs", first_line(error), "Change them and try again.")


def seeds_of(inputs: ImageInputs, seeds: Sequence[int] | None) -> tuple[int, ...]:
    """One seed per picture; a single one is taken for all of them."""
    chosen = tuple(inputs.seeds if seeds is None else seeds)
    rows = max(
        [len(inputs.prompts), 1, *(len(value) for key, value in inputs.extra.items() if _per_picture(key, value))]
    )
    if len(chosen) == 1:
        return chosen * rows
    if rows > 1 and rows != len(chosen):
        raise _uneven("Seeds", f"{len(chosen)} seeds for {rows}")
    return chosen


def _per_picture(name: str, value: Any) -> bool:
    """Whether an argument holds one condition for each picture."""
    named = name == "class_labels" or "embeds" in name or name.endswith("attention_mask")
    return named and hasattr(value, "__len__")


def _spread(name: str, value: Any, count: int) -> Any:
    """A condition given once, for every picture."""
    if not _per_picture(name, value) or len(value) != 1:
        return value
    return value.repeat(count, *[1] * (value.ndim - 1)) if isinstance(value, Tensor) else list(value) * count


def _one_each(values: Sequence[str], count: int) -> list[str]:
    if len(values) not in (1, count):
        raise _uneven("Prompts", f"{len(values)} prompts for {count}")
    return list(values) if len(values) == count else list(values) * count


def _uneven(what: str, why: str) -> WorkbenchError:
    return WorkbenchError("uneven-rows", f"{what} and pictures do not match", why, "Give one each.")
