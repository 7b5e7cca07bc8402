"""Subject: any transformers causal language model, with no code for a particular family.

What differs between families is found by looking: the block list is the module list as long as the
config says there are layers; positions come from the call's own arguments; a block's output may be a
tensor or a tuple.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper

from probes.addresses import HookPoint
from probes.errors import WorkbenchError
from probes.hooks import Reads
from probes.subjects.subject import Call, EarlyStop, PointTable, Where
from probes.subjects.tokens import TokenizerFacts


class Generated(NamedTuple):
    """`tokens` is `batch pos` (prompt and continuation), `prompt_length` the number of prompt tokens."""

    tokens: Tensor
    prompt_length: int


@dataclass
class _Progress:
    """What a generation in progress knows and a single call does not."""

    prompt_length: int
    cached: bool
    seen: int = 0


_restarting: ContextVar[TextAutoregressive | None] = ContextVar("restarting", default=None)


class TextAutoregressive(Reads):
    """A frozen causal language model: run it, generate from it, restart it from stored activations."""

    kind = "text_autoregressive"

    def __init__(self, model: Any, tokenizer: Any, *, name: str, revision: str = "") -> None:
        self.model: Any = model.eval().requires_grad_(False)
        text_config = self.model.config.get_text_config()
        self.name, self.revision = name, revision
        self.facts = TokenizerFacts.read(tokenizer) if tokenizer is not None else TokenizerFacts.absent(model)
        self.tokenizer = tokenizer
        self.root: nn.Module = getattr(model, getattr(model, "base_model_prefix", ""), model)
        self.blocks_path, self.blocks = _find_blocks(model, text_config)
        self.n_layers = len(self.blocks)
        self.d_model = int(text_config.hidden_size)
        self.points = PointTable(model, [self.layer_point(i) for i in range(self.n_layers)])
        self.lock = threading.RLock()
        self._progress: _Progress | None = None

    # -- addresses ---------------------------------------------------------------------------------

    def layer_point(self, index: int) -> HookPoint:
        """The output of block `index`."""
        if not 0 <= index < self.n_layers:
            raise WorkbenchError(
                "no-such-level",
                f"There is no layer {index}",
                f"{self.name} has {self.n_layers} layers",
                f"Choose a layer from 0 to {self.n_layers - 1}.",
            )
        return HookPoint(path=f"{self.blocks_path}.{index}", tap="out")

    def layer_at(self, fraction: float) -> HookPoint:
        """The block at a fraction of the depth: 0.2, 0.5 and 0.8 of 30 layers are 6, 15 and 24."""
        return self.layer_point(min(int(fraction * self.n_layers + 1e-9), self.n_layers - 1))

    def fraction_of(self, point: HookPoint) -> float:
        """Where a point inside a block, or its output, lies in the depth; 1 for what follows the blocks."""
        rest = point.path.removeprefix(f"{self.blocks_path}.").partition(".")[0]
        return int(rest) / self.n_layers if point.path.startswith(self.blocks_path) and rest.isdigit() else 1.0

    def block_of(self, point: HookPoint) -> int:
        """The index of the block a point is the output of; raises `WorkbenchError` for other points."""
        prefix, _, index = point.path.rpartition(".")
        if prefix != self.blocks_path or not index.isdigit() or point.tap != "out":
            raise WorkbenchError(
                "not-a-block",
                f"{point} is not the output of a block",
                "a run can be restarted only between blocks",
                f"Use points such as {self.layer_point(0)}.",
            )
        return int(index)

    # -- the adapter: what a call says about its tokens -----------------------------------------------

    def where(self, call: Call) -> Where:
        """Positions, padding and which tokens were generated, from the call's own arguments."""
        tokens = call.kwargs.get("input_ids", call.args[0] if call.args else None)
        given: Tensor = tokens if tokens is not None else call.kwargs["inputs_embeds"]
        shape, device = given.shape[:2], given.device
        past = _past_length(call.kwargs)
        if past is None:  # without a cache every call starts at the first token again
            past = self._progress.seen if self._progress and self._progress.cached else 0
        positions = (past + torch.arange(shape[1], device=device)).expand(shape)
        padding = None
        mask = call.kwargs.get("attention_mask")
        if isinstance(mask, Tensor) and mask.ndim == 2:
            padding = mask[:, -shape[1] :] == 0
        prompt = self._progress.prompt_length if self._progress else shape[1] + past
        if self._progress:
            self._progress.seen = past + shape[1]
        special = None
        if tokens is not None and self.facts.special_ids:
            special = torch.isin(tokens, torch.tensor(sorted(self.facts.special_ids), device=device))
        return Where(
            call=call.index,
            branches=("cond",) * shape[0],
            positions=positions,
            generated=positions >= prompt,
            padding=padding,
            special=special,
        )

    # -- running -----------------------------------------------------------------------------------

    def run(self, tokens: Tensor, padding: Tensor | None = None, *, gradients: bool = False) -> None:
        """Run the blocks on `batch pos` token ids, no language-model head, for what hooks see."""
        mask = None if padding is None else (~padding).long()
        with torch.set_grad_enabled(gradients), contextlib.suppress(EarlyStop):
            self.root(input_ids=tokens.to(self.device), attention_mask=mask, use_cache=False)

    @torch.no_grad()
    def logits(self, tokens: Tensor, padding: Tensor | None = None) -> Tensor:
        """Next-token logits, `batch pos vocabulary`, float32."""
        mask = None if padding is None else (~padding).long()
        return self.model(input_ids=tokens.to(self.device), attention_mask=mask, use_cache=False).logits.float()

    @contextlib.contextmanager
    def restarted(self, point: HookPoint, x: Tensor) -> Iterator[None]:
        """Within the block, calls take the activation `x` (`batch pos d_model`) at `point` as computed and
        run only the blocks after it. Hooks at `point` still see and edit it."""
        last = self.block_of(point)
        as_tuple = self._blocks_return_tuples()
        x = x.to(self.device, self.dtype)

        def give(out: Tensor) -> Any:
            return (out,) if as_tuple else out

        def instead(block: nn.Module, index: int) -> Callable[..., Any]:
            computed = block.forward

            def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
                if _restarting.get() is not self:  # a plain run of another thread
                    return computed(hidden_states, *args, **kwargs)
                return give(x if index == last else hidden_states)

            return forward

        with self.lock:
            token = _restarting.set(self)
            try:
                for index, block in enumerate(self.blocks[: last + 1]):
                    block.forward = instead(block, index)
                yield
            finally:
                _restarting.reset(token)
                for block in self.blocks[: last + 1]:
                    block.__dict__.pop("forward", None)

    def _blocks_return_tuples(self) -> bool:
        if not hasattr(self, "_tuples"):
            seen: list[bool] = []
            handle = self.blocks[0].register_forward_hook(lambda _m, _a, out: seen.append(isinstance(out, tuple)))
            try:
                self.run(torch.zeros(1, 2, dtype=torch.long))
            finally:
                handle.remove()
            self._tuples = seen[0]
        return self._tuples

    @contextlib.contextmanager
    def prompt_of(self, length: int) -> Iterator[None]:
        """Within the block, single calls count their tokens from `length` on as generated."""
        with self.lock:
            before, self._progress = self._progress, _Progress(prompt_length=length, cached=False)
            try:
                yield
            finally:
                self._progress = before

    # -- generating --------------------------------------------------------------------------------

    @torch.no_grad()
    def generate(
        self,
        tokens: Tensor,
        *,
        seeds: Sequence[int],
        max_new_tokens: int = 40,
        temperature: float = 0.7,
        stop_at_end: bool = True,
        use_cache: bool = True,
    ) -> Generated:
        """Continue `batch pos` prompts of equal length.

        Sampling adds Gumbel noise that depends on (row seed, step) only, so two runs with the same seed
        differ by what the subject computed and by nothing else. `temperature` 0 is greedy. The end token
        of a finished row is followed by padding.
        """
        if len(seeds) != tokens.shape[0]:
            raise ValueError("one seed per row")
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if limit and tokens.shape[1] + max_new_tokens > limit:
            raise WorkbenchError(
                "prompt-too-long",
                f"{tokens.shape[1]} prompt tokens and {max_new_tokens} new ones do not fit",
                f"{self.name} has a context of {limit}",
                "Shorten the prompt or ask for fewer tokens.",
            )
        processors = LogitsProcessorList()
        if temperature > 0:
            processors += [TemperatureLogitsWarper(temperature), _GumbelNoise(seeds, tokens.shape[1])]
        pad = self.facts.pad_id if self.facts.pad_id is not None else 0
        end = {} if stop_at_end else {"min_new_tokens": max_new_tokens}
        with self.lock:
            self._progress = _Progress(prompt_length=tokens.shape[1], cached=use_cache)
            try:
                out = self.model.generate(
                    input_ids=tokens.to(self.device),
                    attention_mask=torch.ones_like(tokens, device=self.device),
                    logits_processor=processors,
                    max_new_tokens=max_new_tokens,
                    do_sample=False,
                    num_beams=1,
                    use_cache=use_cache,
                    pad_token_id=pad,
                    **end,
                )
            finally:
                self._progress = None
        return Generated(out, tokens.shape[1])

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype


class _GumbelNoise(LogitsProcessor):
    """Turns greedy choice into sampling with noise that is a function of (seed, step)."""

    def __init__(self, seeds: Sequence[int], prompt_length: int) -> None:
        self.seeds, self.prompt_length = tuple(seeds), prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        step = input_ids.shape[1] - self.prompt_length
        noise = torch.stack([_gumbel(seed, step, scores.shape[1]) for seed in self.seeds])
        return scores.float() + noise.to(scores.device)


def _gumbel(seed: int, step: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
    uniform = torch.rand(size, generator=generator).clamp_(1e-20, 1 - 1e-7)
    return -torch.log(-torch.log(uniform))


def _find_blocks(model: nn.Module, config: Any) -> tuple[str, nn.ModuleList]:
    """The list of blocks: the shallowest module list as long as the config's number of layers."""
    layers = config.num_hidden_layers
    found = [
        (path, module)
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == layers
    ]
    if not found:
        raise WorkbenchError(
            "no-blocks",
            "The model's blocks were not found",
            f"no module list has {layers} entries",
            "Open it as a `module` subject and name the hook points yourself.",
        )
    return min(found, key=lambda item: item[0].count("."))


def _past_length(kwargs: Mapping[str, Any]) -> int | None:
    """How many tokens came before this call, where the call's arguments say so."""
    cache = next((value for value in kwargs.values() if hasattr(value, "get_seq_length")), None)
    if cache is None:
        return None
    try:
        return int(cache.get_seq_length())
    except (ValueError, TypeError, NotImplementedError):
        return None
