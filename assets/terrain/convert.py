"""The terrain network's ONNX graph as the weights of diffusers' own `UNet2DModel`.

Convolutions and linear maps keep their names from training in the graph. The affine parts of the group
normalisations do not: the export turned each into an InstanceNormalization, a Reshape, a Mul and an Add with
unnamed constants, so they are taken in the order in which the graph runs them.

The network reads its difficulty, a number from 0 to 1, through a linear map, a SiLU and another linear map.
Stock pipelines hand on class labels instead, so labels 0 to 99 stand for difficulty label / 99, as in the
package's own interface, and the first linear map is written in the sines that `class_embed_type="timestep"`
makes of a label (see `label_columns`). A label need not be whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

LABELS = 100
WIDTHS = (32, 32, 64, 96, 128)
LAYERS = 4
ATTENTION_FROM = 2  # levels of a lower resolution than 64 have attention
CONFIG: dict[str, Any] = {
    "sample_size": 128,
    "in_channels": 1,
    "out_channels": 1,
    "layers_per_block": LAYERS,
    "block_out_channels": WIDTHS,
    "down_block_types": ("ResnetDownsampleBlock2D",) * 2 + ("AttnDownBlock2D",) * 3,
    "up_block_types": ("AttnUpBlock2D",) * 3 + ("ResnetUpsampleBlock2D",) * 2,
    "resnet_time_scale_shift": "scale_shift",
    "downsample_type": "resnet",
    "upsample_type": "resnet",
    "attention_head_dim": 32,
    "norm_num_groups": 32,
    "attn_norm_num_groups": 32,
    "norm_eps": 1e-5,
    "time_embedding_type": "positional",
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "class_embed_type": "timestep",
    "num_class_embeds": LABELS,
}
SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 40,
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "sigma_data": 0.5,
    "rho": 7.0,
}


def converted(path: Path) -> dict[str, Tensor]:
    """The state of a `UNet2DModel(**CONFIG)`, float32, from the package's ONNX file."""
    graph = onnx.load(str(path)).graph
    constants = {tensor.name: _tensor(tensor) for tensor in graph.initializer}
    named = {name.removeprefix("network."): constants[name] for name in constants if name.startswith("network.")}
    norms = _group_norms(graph, constants)
    state: dict[str, Tensor] = {}

    def copy(source: str, target: str) -> None:
        for part in ("weight", "bias"):
            state[f"{target}.{part}"] = named.pop(f"{source}.{part}")

    def norm(target: str) -> None:
        state[f"{target}.weight"], state[f"{target}.bias"] = next(norms)

    copy("time_embed.0", "time_embedding.linear_1")
    copy("time_embed.2", "time_embedding.linear_2")
    copy("label_emb.0", "class_embedding.linear_1")
    copy("label_emb.2", "class_embedding.linear_2")
    slope = state["class_embedding.linear_1.weight"][:, 0] / (LABELS - 1)
    state["class_embedding.linear_1.weight"] = label_columns(slope)
    copy("input_blocks.0.0", "conv_in")
    for source, target, kind in _blocks():
        if kind == "resnet":
            norm(f"{target}.norm1")
            norm(f"{target}.norm2")
            copy(f"{source}.in_layers.2", f"{target}.conv1")
            copy(f"{source}.emb_layers.1", f"{target}.time_emb_proj")
            copy(f"{source}.out_layers.3", f"{target}.conv2")
            if f"{source}.skip_connection.weight" in named:
                copy(f"{source}.skip_connection", f"{target}.conv_shortcut")
        else:
            norm(f"{target}.group_norm")
            weight, bias = (named.pop(f"{source}.qkv.{part}") for part in ("weight", "bias"))
            for at, name in enumerate(("to_q", "to_k", "to_v")):
                state[f"{target}.{name}.weight"] = weight.chunk(3)[at].flatten(1)
                state[f"{target}.{name}.bias"] = bias.chunk(3)[at]
            copy(f"{source}.proj_out", f"{target}.to_out.0")
            state[f"{target}.to_out.0.weight"] = state[f"{target}.to_out.0.weight"].flatten(1)
    norm("conv_norm_out")
    copy("out.2", "conv_out")
    if named or next(norms, None) is not None:
        raise ValueError(f"the graph holds more than was taken from it: {sorted(named)[:5]}")
    return {name: part.contiguous() for name, part in state.items()}


def label_columns(slope: Tensor) -> Tensor:
    """Weights `d 32` on the cosines and sines of a label that give slope · label, `slope` being `d`.

    sin(f n) ≈ f n − (f n)³ / 6. Of the two slowest sines, f and g, the sum a sin(f n) + b sin(g n) with
    a f + b g = 1 and a f³ + b g³ = 0 has no cubic term, and is n to one part in 10⁸ over all labels.
    """
    half = WIDTHS[0] // 2
    g, f = (math.exp(-math.log(10_000) * at / half) for at in (half - 2, half - 1))
    columns = torch.zeros(len(slope), 2 * half)
    columns[:, -1] = slope * (g**2 / (f * (g**2 - f**2)))
    columns[:, -2] = slope * (-(f**2) / (g * (g**2 - f**2)))
    return columns


def _blocks() -> Iterator[tuple[str, str, str]]:
    """Name in the graph, name in diffusers and kind of every residual and attention block, as they run."""
    last = len(WIDTHS) - 1
    for level in range(last + 1):
        for layer in range(LAYERS):
            source, target = f"input_blocks.{1 + level * (LAYERS + 1) + layer}", f"down_blocks.{level}"
            yield f"{source}.0", f"{target}.resnets.{layer}", "resnet"
            if level >= ATTENTION_FROM:
                yield f"{source}.1", f"{target}.attentions.{layer}", "attention"
        if level < last:
            yield f"input_blocks.{(level + 1) * (LAYERS + 1)}.0", f"down_blocks.{level}.downsamplers.0", "resnet"
    yield "middle_block.0", "mid_block.resnets.0", "resnet"
    yield "middle_block.1", "mid_block.attentions.0", "attention"
    yield "middle_block.2", "mid_block.resnets.1", "resnet"
    for level in range(last + 1):
        attends = last - level >= ATTENTION_FROM
        for layer in range(LAYERS + 1):
            source, target = f"output_blocks.{level * (LAYERS + 1) + layer}", f"up_blocks.{level}"
            yield f"{source}.0", f"{target}.resnets.{layer}", "resnet"
            if attends:
                yield f"{source}.1", f"{target}.attentions.{layer}", "attention"
            if layer == LAYERS and level < last:
                yield f"{source}.{1 + attends}", f"{target}.upsamplers.0", "resnet"


def _group_norms(graph: Any, constants: dict[str, Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Scale and shift of every group normalisation, `channel` each, in the order of the graph."""
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def after(name: str, kind: str) -> Any:
        return next(node for node in readers[name] if node.op_type == kind)

    for node in graph.node:
        if node.op_type == "InstanceNormalization":
            scaled = after(after(node.output[0], "Reshape").output[0], "Mul")
            shifted = after(scaled.output[0], "Add")
            yield _constant(scaled, constants), _constant(shifted, constants)


def _constant(node: Any, constants: dict[str, Tensor]) -> Tensor:
    return next(constants[name] for name in node.input if name in constants).flatten()


def _tensor(initializer: Any) -> Tensor:
    return torch.from_numpy(np.array(numpy_helper.to_array(initializer)))
