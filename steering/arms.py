"""The bench levers are compared on: the same prompts, the same seeds, and one arm per way of steering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from probes.activations.rows import RowKind
from probes.errors import WorkbenchError
from probes.hooks import Edit, hooked
from probes.subjects.text_autoregressive import TextAutoregressive
from probes.training.randomness import permutation
from steering.scoring import next_token_scores, of_tokens


class Arm(NamedTuple):
    """A way of steering: edits at a strength, or text put before the prompt (then strength is not used)."""

    name: str
    edits: Callable[[float], list[Edit]] | None = None
    prefix: str = ""


class Followed(NamedTuple):
    """The subject made to follow its unsteered text under an arm, both `prompt`, nats: mean log p of the
    chosen words over places and words, and the change of log p of the unsteered text (damage)."""

    words: np.ndarray
    damage: np.ndarray


@dataclass(frozen=True)
class Bench:
    """Prompts `prompt pos`, their unsteered continuations `prompt new`, and log p of those tokens."""

    subject: TextAutoregressive
    prompts: Tensor
    plain: Tensor
    plain_scores: Tensor
    seed: int
    temperature: float

    @classmethod
    def set_up(
        cls, subject: TextAutoregressive, prompts: Tensor, *, new_tokens: int, seed: int, temperature: float
    ) -> Bench:
        """Write the unsteered continuations once."""
        empty = cls(subject, prompts, torch.zeros(len(prompts), new_tokens), torch.zeros(0), seed, temperature)
        plain = empty.write(Arm("unsteered"), 0.0)
        scores = of_tokens(next_token_scores(subject, prompts, plain), plain)
        return cls(subject, prompts, plain, scores, seed, temperature)

    def part(self, chosen: slice) -> Bench:
        """The same bench on some of its prompts."""
        rows = self.prompts[chosen], self.plain[chosen], self.plain_scores[chosen]
        return Bench(self.subject, *rows, self.seed + (chosen.start or 0), self.temperature)

    def asked(self, prefix: str) -> Tensor:
        """The prompts with text before them, `prompt pos`."""
        if not prefix:
            return self.prompts
        ids = self.subject.tokenizer(prefix, add_special_tokens=False, return_tensors="pt").input_ids
        return torch.cat([ids.expand(len(self.prompts), -1), self.prompts], dim=1)

    def follow(self, arm: Arm, strength: float, words: Sequence[int]) -> Followed:
        """Scores of the unsteered text under an arm."""
        edits = arm.edits(strength) if arm.edits else []
        scores = next_token_scores(self.subject, self.asked(arm.prefix), self.plain, edits)
        damage = of_tokens(scores, self.plain) - self.plain_scores
        return Followed(scores[..., list(words)].mean(dim=(1, 2)).numpy(), damage.mean(dim=1).numpy())

    def write(self, arm: Arm, strength: float) -> Tensor:
        """What the subject writes under an arm, `prompt new`, from the same noise in every arm."""
        edits = arm.edits(strength) if arm.edits else []
        with hooked(self.subject, write=edits):
            out = self.subject.generate(
                self.asked(arm.prefix),
                seeds=[self.seed + row for row in range(len(self.prompts))],
                max_new_tokens=self.plain.shape[1],
                temperature=self.temperature,
                stop_at_end=False,
            )
        return out.tokens[:, out.prompt_length :]

    def texts(self, written: Tensor) -> list[str]:
        """Continuations as text, without the prompts."""
        return list(self.subject.tokenizer.batch_decode(written, skip_special_tokens=True))


def strongest_within(bench: Bench, arm: Arm, strengths: Sequence[float], limit: float) -> float:
    """The largest strength whose mean damage on this bench stays within `limit` nats per token; the
    smallest when none does."""
    for strength in sorted(strengths, reverse=True):
        if -float(bench.follow(arm, strength, [0]).damage.mean()) <= limit:
            return strength
    return min(strengths)


def draw_prompts(
    tokens: np.ndarray, usable: np.ndarray, document: np.ndarray, *, count: int, length: int, seed: int
) -> Tensor:
    """`prompt pos` openings of chunks drawn at random, from different documents while there are enough.

    `tokens`, `usable`: `chunk pos`; `document`: `chunk`. The first position may be a sink, and so not
    usable. Raises `WorkbenchError` when the text is too short.
    """
    whole = np.asarray(usable[:, 1:length].all(axis=1))
    order = permutation(len(tokens), seed, "lever prompts").numpy()
    order = order[whole[order]]
    _, first = np.unique(document[order], return_index=True)
    order = np.concatenate([order[np.sort(first)], np.delete(order, first)])
    if len(order) < count:
        raise WorkbenchError(
            "too-little-text",
            "Levers cannot be evaluated on this text",
            f"it gives {len(order)} prompts of {length} tokens, and {count} are wanted",
            "Give more text, or ask for fewer or shorter prompts.",
        )
    return torch.from_numpy(tokens[order[:count], :length].astype(np.int64))


def mark_windows(
    latent: np.ndarray,
    value: np.ndarray,
    chunk: np.ndarray,
    row: np.ndarray,
    *,
    kind: RowKind,
    shape: tuple[int, int],
    length: int,
    clear: float,
    which: int,
) -> np.ndarray:
    """Per window of `length` tokens (whole windows of each chunk, in order): 1 where a latent is on with at
    least `clear`, 0 where it never fires, −1 in between."""
    mine = latent == which
    position = row[mine] * kind.span
    inside = position < shape[1] // length * length
    at = chunk[mine][inside] * (shape[1] // length) + position[inside] // length
    largest = np.zeros(shape[0] * (shape[1] // length))
    np.maximum.at(largest, at, value[mine][inside])
    return np.where(largest >= clear, 1, np.where(largest > 0, -1, 0))
