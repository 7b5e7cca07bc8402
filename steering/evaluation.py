"""Do levers move what they name? Each against random latents, a difference of means, and simply asking.

Concepts are drawn by a rule before anything is measured. Strengths and the wording of the request are
chosen per arm on tuning prompts; everything reported comes from other prompts. Two questions are asked:
(a) log p of the concept's held-out context words while the subject follows its own unsteered text, and
what the lever costs that text (damage); (b) the text written under the lever, read again by the unsteered
subject (the latent's own activity) and by a judge that sees words only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from concept_graphs.companions import companions_of
from concept_graphs.context_words import Around, context_words
from concept_graphs.contexts import Firings, Text, firings, strongest
from concept_graphs.describe import describe
from concept_graphs.tables import Node
from probes.activations.rows import shard_rows
from probes.activations.store import ActivationStore
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.hierarchy.probe import Level, Probe
from probes.metrics.intervals import bootstrap
from probes.subjects.text_autoregressive import TextAutoregressive
from probes.training.randomness import permutation
from steering.arms import Arm, Bench, draw_prompts, mark_windows, strongest_within
from steering.controls import prompt_asking_for, random_lever
from steering.edits import compile_lever, direction_edit
from steering.judge import Judge, JudgeBench, Windows
from steering.levers import Lever, lever_of
from steering.scoring import activity

TUNING_MARGIN = 0.8  # of the damage allowed: prompts differ, and a strength must hold on others
CLEARLY_ON = 0.5  # of a typical activation, for the judge's positive windows


class LeverEvaluationConfig(Frozen):
    """How levers are evaluated."""

    level: str = Field(default="middle", description="Level the concepts come from.")
    concepts: int = Field(default=20, description="Concepts to evaluate.", ge=1, le=500)
    skip: int = Field(default=0, description="Concepts of the drawn order to leave out first.", ge=0)
    lowest_frequency: float = Field(default=1e-3, description="Rarer concepts are not drawn.", ge=0, le=1)
    highest_frequency: float = Field(default=1e-2, description="Commoner ones are not drawn.", ge=0, le=1)
    detection: float = Field(default=0.7, description="Lowest detection score of the label.", ge=0, le=1)
    prompts: int = Field(default=20, description="Held-out prompts measured on.", ge=2, le=500)
    tuning_prompts: int = Field(default=10, description="Other prompts to choose strengths on.", ge=2, le=500)
    prompt_tokens: int = Field(default=16, description="Tokens per prompt.", ge=2, le=1024)
    new_tokens: int = Field(default=40, description="Tokens written per prompt.", ge=1, le=1024)
    temperature: float = Field(default=0.7, description="Sampling temperature; 0 is greedy.", ge=0, le=5)
    words: int = Field(default=10, description="Context words per concept.", ge=1, le=100)
    around: tuple[int, int] = Field(
        default=(4, 4), description="Tokens before and after a firing that count as its context."
    )
    strengths: tuple[float, ...] = Field(
        default=(0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0),
        description="Strengths tried on the tuning prompts.",
        min_length=1,
    )
    damage: float = Field(default=0.2, description="Most damage allowed, nats per token.", gt=0)
    companions: int = Field(
        default=8, description="Latents of the level that move together with the concept's own.", ge=0
    )
    controls: int = Field(default=3, description="Random latents of equal norm per concept.", ge=1, le=20)
    seed: int = Field(default=0, description="Seed of concepts, prompts, controls and texts.", ge=0)


class Gain(Frozen):
    """A mean over prompts of arm minus random control, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """The interval lies above zero."""
        return self.low > 0


class ArmResult(Frozen):
    """One way of steering towards one concept, on the measured prompts."""

    arm: str = Field(description="lever, companions, difference_of_means or asking.")
    strength: float | None = Field(description="Chosen on the tuning prompts; null for asking.")
    damage: float = Field(description="Mean change of log p of the unsteered text, nats per token.")
    words: Gain = Field(description="Log p of the context words, nats.")
    reread: Gain = Field(description="Activity of the latent in the written text, typical activations.")
    judged: Gain | None = Field(default=None, description="The judge's log odds; null without a judge.")


class ConceptResult(Frozen):
    """All arms of one concept."""

    concept: str
    label: str
    context_words: list[str]
    control_damage: float = Field(description="Damage of the random controls at the lever's strength.")
    judge_auroc: float | None = Field(default=None, description="How well the judge finds the concept, held out.")
    arms: list[ArmResult]
    samples: dict[str, str] = Field(default={}, description="The first prompt, and what each arm wrote.")

    def arm(self, name: str) -> ArmResult:
        return next(arm for arm in self.arms if arm.arm == name)


class _Evidence(NamedTuple):
    """Where the drawn concepts fire; latents are numbered in the order drawn."""

    train: Firings
    train_text: Text
    held: Firings
    held_text: Text


def chosen_concepts(
    frequency: Tensor, config: LeverEvaluationConfig, described: Callable[[list[int]], Sequence[Node]]
) -> list[Node]:
    """Latents of a whole dictionary in the frequency band, in random order, whose label finds them well
    enough; `frequency` is `n_latents`, `described` gives the nodes of some latents.

    Drawn from the dictionary and not from a graph, so that nothing an intervention showed plays a part.
    Raises `WorkbenchError` when none qualifies.
    """
    band = (frequency >= config.lowest_frequency) & (frequency <= config.highest_frequency)
    fits = band.nonzero().flatten()
    order = fits[permutation(len(fits), config.seed, "lever concepts")].tolist()
    wanted, batch = config.skip + config.concepts, 2 * (config.skip + config.concepts)
    found: list[Node] = []
    for at in range(0, len(order), batch):
        nodes = described([int(latent) for latent in order[at : at + batch]])
        found += [node for node in nodes if (node.detection or 0) >= config.detection]
        if len(found) >= wanted:
            break
    if len(found) <= config.skip:
        raise WorkbenchError(
            "no-concepts",
            f"No concept of level {config.level} can be evaluated",
            "none has a frequency in the band and a detection score above the floor",
            "Widen the band or lower the floor.",
        )
    return found[config.skip : wanted]


def evaluate_levers(
    subject: TextAutoregressive,
    probe: Probe,
    store: ActivationStore,
    config: LeverEvaluationConfig,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> list[ConceptResult]:
    """Evaluate the levers of drawn concepts; their contexts and the prompts come from the store's text."""
    level = probe.level(config.level)

    def described(latents: list[int]) -> list[Node]:
        return describe(subject, store, level, latents, count=1, companions=0).nodes

    drawn = chosen_concepts(level.space.table.frequency, config, described)
    latents = [node.index for node in drawn]
    evidence = _Evidence(
        *firings(store, store.shards("train"), level, latents),
        *firings(store, store.shards("held_out"), level, latents),
    )
    text, count = evidence.held_text, config.tuning_prompts + config.prompts
    prompts = draw_prompts(
        text.tokens, text.usable, text.document, count=count, length=config.prompt_tokens, seed=config.seed
    )
    bench = Bench.set_up(
        subject,
        prompts,
        new_tokens=config.new_tokens,
        seed=config.seed * 10_007,
        temperature=config.temperature,
    )
    evaluation = _Evaluation(probe, level, bench, config, evidence, store, drawn)
    found = []
    for at in range(len(drawn)):
        found.append(evaluation.concept(at))
        report(at + 1, len(drawn))
    return found


class _Evaluation:
    """What all concepts share."""

    def __init__(
        self,
        probe: Probe,
        level: Level,
        bench: Bench,
        config: LeverEvaluationConfig,
        evidence: _Evidence,
        store: ActivationStore,
        drawn: Sequence[Node],
    ) -> None:
        self.probe, self.level, self.config = probe, level, config
        self.evidence, self.drawn, self.subject = evidence, drawn, bench.subject
        self.tuning = bench.part(slice(0, config.tuning_prompts))
        self.measured = bench.part(slice(config.tuning_prompts, None))
        latents = [node.index for node in drawn]
        self.together = companions_of(store, level, latents, count=config.companions)
        self.directions = difference_directions(store, level, evidence.train, len(drawn))
        self.judges = JudgeBench(
            _windows(bench, evidence.train_text, config.new_tokens),
            _windows(bench, evidence.held_text, config.new_tokens),
        )

    def concept(self, at: int) -> ConceptResult:
        config, node = self.config, self.drawn[at]
        words = context_words(
            self.evidence.held,
            self.evidence.held_text,
            self.level.rows,
            at,
            around=Around(*config.around),
            count=config.words,
        )
        together = lever_of(node.id).model_copy(update={"weights": self.together[at]})
        steered = (
            self._moved("lever", lever_of(node.id)),
            self._moved("companions", together),
            self._difference(at, node),
        )
        chosen = [(arm, self._strength(arm)) for arm in steered]
        chosen.append((self._asking(at, node, words), 0.0))
        controls = [(arm, chosen[0][1]) for arm in self._controls(node)]
        judge = self._judge(at)
        base = _mean([self._scored(arm, strength, words, node, judge) for arm, strength in controls])
        scored = [self._scored(arm, strength, words, node, judge) for arm, strength in chosen]
        shown = {"prompt": self.measured.prompts, "unsteered": self.measured.plain}
        shown |= {arm.name: found.written for (arm, _), found in zip(chosen, scored, strict=True)}
        return ConceptResult(
            concept=node.id,
            label=node.label,
            context_words=self.subject.facts.pieces(words),
            control_damage=float(base.damage.mean()),
            judge_auroc=None if judge is None or np.isnan(judge.auroc) else judge.auroc,
            arms=[_result(arm, strength, found, base) for (arm, strength), found in zip(chosen, scored, strict=True)],
            samples={name: self.measured.texts(tokens[:1])[0] for name, tokens in shown.items()},
        )

    def _strength(self, arm: Arm) -> float:
        limit = TUNING_MARGIN * self.config.damage
        return strongest_within(self.tuning, arm, self.config.strengths, limit)

    def _moved(self, name: str, lever: Lever) -> Arm:
        return Arm(name, lambda s: [compile_lever(lever.with_strength(s), self.probe, self.subject)])

    def _difference(self, at: int, node: Node) -> Arm:
        lever, direction = lever_of(node.id), self.directions[at]
        unit = float(self.level.space.table.typical[node.index] * self.level.space.w_dec[node.index].norm())
        return Arm("difference_of_means", lambda s: [direction_edit(self.level, direction, s * unit, lever)])

    def _controls(self, node: Node) -> list[Arm]:
        seeds = [self.config.seed * 1009 + draw for draw in range(self.config.controls)]
        return [self._moved("random", random_lever(lever_of(node.id), self.level, seed)) for seed in seeds]

    def _asking(self, at: int, node: Node, words: Sequence[int]) -> Arm:
        """The request that raises the context words most on the tuning prompts: by name, or by example."""
        best = strongest(self.evidence.train, len(self.drawn), 1)[at]
        prefixes = [prompt_asking_for(node.label)]
        if len(best):
            chunk = int(self.evidence.train.chunk[best[0]])
            used = self.evidence.train_text.tokens[chunk][self.evidence.train_text.usable[chunk]]
            prefixes.append(self.subject.tokenizer.decode(used) + "\n\n")
        arms = [Arm("asking", None, prefix) for prefix in prefixes]
        return max(arms, key=lambda arm: float(self.tuning.follow(arm, 0.0, words).words.mean()))

    def _judge(self, at: int) -> Judge | None:
        marked = []
        clear = CLEARLY_ON * float(self.level.space.table.typical[self.drawn[at].index])
        for found, text in (self.evidence[:2], self.evidence[2:]):
            marked.append(
                mark_windows(
                    found.latent,
                    found.value,
                    found.chunk,
                    found.row,
                    kind=self.level.rows,
                    shape=text.tokens.shape,
                    length=self.config.new_tokens,
                    clear=clear,
                    which=at,
                )
            )
        return self.judges.judge(*marked)

    def _scored(self, arm: Arm, strength: float, words: Sequence[int], node: Node, judge: Judge | None) -> _Scored:
        followed = self.measured.follow(arm, strength, words)
        written = self.measured.write(arm, strength)
        read = activity(self.subject, self.level, node.index, self.measured.prompts, written).numpy()
        judged = self.judges.read(judge, self.measured.texts(written)) if judge else None
        return _Scored(followed.words, followed.damage, read, judged, written)


class _Scored(NamedTuple):
    """All `prompt`; `written` is `prompt new`."""

    words: np.ndarray
    damage: np.ndarray
    read: np.ndarray
    judged: np.ndarray | None
    written: Tensor


def _mean(scored: Sequence[_Scored]) -> _Scored:
    judged = [found.judged for found in scored if found.judged is not None]
    return _Scored(
        np.mean([found.words for found in scored], axis=0),
        np.mean([found.damage for found in scored], axis=0),
        np.mean([found.read for found in scored], axis=0),
        np.mean(judged, axis=0) if judged else None,
        scored[0].written,
    )


def _result(arm: Arm, strength: float, found: _Scored, base: _Scored) -> ArmResult:
    judged = None if found.judged is None or base.judged is None else _gain(found.judged - base.judged)
    return ArmResult(
        arm=arm.name,
        strength=None if arm.edits is None else strength,
        damage=float(found.damage.mean()),
        words=_gain(found.words - base.words),
        reread=_gain(found.read - base.read),
        judged=judged,
    )


def _gain(paired: np.ndarray) -> Gain:
    found = bootstrap([paired])
    return Gain(value=found.value, low=found.low, high=found.high)


def _windows(bench: Bench, text: Text, length: int) -> Windows:
    """Whole windows of each chunk as text."""
    per = text.tokens.shape[1] // length
    tokens = text.tokens[:, : per * length].reshape(-1, length)
    return Windows(bench.texts(torch.from_numpy(tokens.astype(np.int64))), np.repeat(text.document, per))


def difference_directions(store: ActivationStore, level: Level, found: Firings, n: int) -> Tensor:
    """Per concept the mean activation of training rows where it is on minus that of all others, `n d_model`."""
    width = level.space.w_dec.shape[1]
    on_sum, on_count = torch.zeros(n, width, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    total, rows, seen = torch.zeros(width, dtype=torch.float64), 0, 0
    for shard in store.shards("train"):
        x, usable = shard_rows(store, shard, level.places, level.rows)
        total, rows = total + x[usable].double().sum(dim=0), rows + int(usable.sum())
        mine = (found.chunk >= seen) & (found.chunk < seen + len(x))
        at = torch.from_numpy(found.latent[mine])
        values = x[torch.from_numpy(found.chunk[mine] - seen), torch.from_numpy(found.row[mine])].double()
        on_sum.index_add_(0, at, values)
        on_count += torch.bincount(at, minlength=n)
        seen += len(x)
    off = (total - on_sum) / (rows - on_count).clamp_min(1)[:, None]
    return (on_sum / on_count.clamp_min(1)[:, None] - off).float()
