"""What is to be known about a denoiser: where to hook it, which output is the picture, what a call is about."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from probes.addresses import HookPoint
from probes.errors import WorkbenchError

# The place of the picture in what blocks of two streams return, where it is not the first.
MEMBERS = {
    "AuraFlowJointTransformerBlock": 1,
    "ChromaTransformerBlock": 1,
    "Cosmos3VLTextMoTDecoderLayer": 1,
    "Flux2TransformerBlock": 1,
    "FluxSingleTransformerBlock": 1,
    "FluxTransformerBlock": 1,
    "JointTransformerBlock": 1,
    "QwenImageTransformerBlock": 1,
}
_TIMES = ("timestep", "timesteps", "t")
_UNET_PARTS = ("down_blocks", "mid_block", "up_blocks")


def denoisers_of(pipeline: Any) -> tuple[nn.Module, ...]:
    """The modules a pipeline calls at its steps; the first is the one to study, a second takes over from it at low
    noise. Raises `WorkbenchError` where there is none."""
    parts = (getattr(pipeline, name, None) for name in ("unet", "transformer", "prior", "decoder", "transformer_2"))
    found = tuple(part for part in parts if isinstance(part, nn.Module))
    if found:
        return found
    raise WorkbenchError(
        "no-denoiser",
        f"{type(pipeline).__name__} has no denoiser",
        f"none of its parts ({', '.join(pipeline.components)}) is called unet or transformer",
        "Open another pipeline.",
    )


def suggested_points(root: nn.Module) -> tuple[HookPoint, ...]:
    """The updates of the residual blocks, in the order of the computation; none where no block is known."""
    paths = [path for path, _ in root.named_modules()]
    for inner in ("attentions", "resnets"):
        inside = [path for path in paths if re.fullmatch(rf"({'|'.join(_UNET_PARTS)})\.(\d+\.)?{inner}\.\d+", path)]
        if inside:
            in_order = sorted(inside, key=lambda path: _UNET_PARTS.index(path.partition(".")[0]))
            return tuple(HookPoint(path=path, tap="update") for path in in_order)
    lists = [(name, part) for name, part in root.named_children() if isinstance(part, nn.ModuleList) and len(part)]
    blocks = [(name, part) for name, part in lists if "Block" in type(part[0]).__name__ and "context" not in name]
    return tuple(HookPoint(path=f"{name}.{at}", tap="update") for name, part in blocks for at in range(len(part)))


def picture_member(module: nn.Module) -> int:
    """The place of the picture's activation among what a module returns: diffusers' own word, else the table's."""
    kind: Any = type(module)
    known = _registered(kind)
    return MEMBERS.get(kind.__name__, 0) if known is None else known


@lru_cache
def _registered(kind: Any) -> int | None:
    """What diffusers' registry of blocks says, which is private and may be gone in another version."""
    try:
        from diffusers.hooks._helpers import TransformerBlockRegistry

        found = TransformerBlockRegistry.get(kind).return_hidden_states_index
    except (ImportError, AttributeError, ValueError):
        return None
    return None if found is None else int(found)


def arguments_of(root: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a denoiser call by name, as far as they were given."""
    return {**dict(zip(_parameters(type(root).forward), args, strict=False)), **kwargs}


@lru_cache
def _parameters(forward: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(forward).parameters)[1:]


def sample_name(root: nn.Module) -> str:
    """The name of the argument that holds the noisy latents: the first one."""
    return _parameters(type(root).forward)[0]


def timestep_in(given: Mapping[str, Any]) -> float | None:
    """The timestep of a call, the largest where each row or token has its own."""
    found = next((given[name] for name in _TIMES if given.get(name) is not None), None)
    if found is None:
        return None
    return float(found.max()) if isinstance(found, Tensor) else float(found)


def canvas_of(root: nn.Module, given: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Frames, rows and columns a call is about, from its latents or, where these are packed into tokens, from
    what the call says of them; None where it says nothing."""
    sample = given[sample_name(root)]
    if isinstance(sample, (list, tuple)):
        sample = sample[0][None]
    if sample.ndim == 4:
        return 1, int(sample.shape[2]), int(sample.shape[3])
    if sample.ndim == 5:
        return _frames(root, sample), int(sample.shape[3]), int(sample.shape[4])
    ids = given.get("img_ids")
    if isinstance(ids, Tensor):
        rows, columns = (int(axis.max()) + 1 for axis in ids.reshape(-1, ids.shape[-1])[:, 1:3].T)
        return sample.shape[1] // (rows * columns), rows, columns
    shapes = given.get("img_shapes")
    if shapes:
        sizes = [tuple(size) for size in (shapes[0] if isinstance(shapes[0], list) else shapes)]
        if len({size[1:] for size in sizes}) == 1:
            return sum(int(size[0]) for size in sizes), int(sizes[0][1]), int(sizes[0][2])
        return None
    match [given.get(name) for name in ("num_frames", "height", "width")]:
        case [int(frames), int(rows), int(columns)]:
            return frames, rows, columns
    return None


def _frames(root: nn.Module, sample: Tensor) -> int:
    """Frames of a video's latents, `batch channel frame h w` or `batch frame channel h w`, after patching."""
    config: Any = root.config
    channels = config.get("in_channels")
    frames = sample.shape[1] if sample.shape[2] == channels != sample.shape[1] else sample.shape[2]
    size = config.get("patch_size")
    patch = config.get("patch_size_t") or (size[0] if isinstance(size, (list, tuple)) else 1)
    return -(-int(frames) // int(patch))
