"""Steered and unsteered text from the same seed, with what each lever did and what it damaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from probes.errors import WorkbenchError
from probes.hierarchy.probe import Probe
from probes.hooks import Edit, hooked
from probes.subjects.text_autoregressive import TextAutoregressive
from steering.comparison import Comparison, Continuation, LeverReport
from steering.controls import (
    Contexts,
    ControlRun,
    difference_of_means,
    norm_of,
    prompt_asking_for,
    random_lever,
)
from steering.edits import compile_levers, direction_edit, lever_report
from steering.levers import Lever

LARGE_SHARE = 0.5


def compare(
    subject: TextAutoregressive,
    probe: Probe,
    levers: Sequence[Lever],
    prompt: str,
    *,
    seed: int = 0,
    max_new_tokens: int = 40,
    temperature: float = 0.7,
    controls: bool = True,
    concept: str = "",
    contexts: Contexts | None = None,
) -> Comparison:
    """Continue a prompt with and without levers.

    With `controls`, three more continuations: random latents of equal norm, the difference-of-means
    direction at equal norm (where `contexts` of the concept are given), and the plain prompt that asks
    for `concept`. Raises `WorkbenchError` for an empty prompt and for levers the probe does not carry.
    """
    tokens = prompt_tokens(subject, prompt)
    edits, effects = compile_levers(levers, probe, subject)
    plain = _continue(subject, tokens, [], seed, max_new_tokens, temperature)
    steered = _continue(subject, tokens, edits, seed, max_new_tokens, temperature)
    unsteered = _described(subject, "unsteered", prompt, plain, tokens)
    report = [lever_report(lever, effect) for lever, effect in zip(levers, effects, strict=True)]
    made = [
        _run_control(subject, run, prompt, plain, tokens, seed, max_new_tokens, temperature)
        for run in (_controls(subject, probe, levers, seed, concept, contexts) if controls and levers else [])
    ]
    found = _described(subject, "steered", prompt, steered, tokens, _damage(subject, plain, tokens, edits))
    return Comparison(
        subject=subject.name,
        probe=probe.ref,
        prompt=prompt,
        seed=seed,
        temperature=temperature,
        unsteered=unsteered,
        steered=found,
        controls=made,
        levers=report,
        notices=_notices(report, unsteered, found),
    )


def prompt_tokens(subject: TextAutoregressive, prompt: str) -> Tensor:
    """`1 pos` token ids of a prompt, with the beginning-of-text token where the tokenizer adds one."""
    ids: Tensor = subject.tokenizer(prompt, return_tensors="pt").input_ids
    if ids.shape[1] == 0:
        raise WorkbenchError("empty-prompt", "The prompt is empty", "there is nothing to continue", "Write a prompt.")
    return ids


def _continue(
    subject: TextAutoregressive,
    tokens: Tensor,
    edits: Sequence[Edit],
    seed: int,
    new: int,
    temperature: float,
) -> Tensor:
    """The generated token ids, `pos`, the end token included."""
    with hooked(subject, write=edits):
        out = subject.generate(tokens, seeds=[seed], max_new_tokens=new, temperature=temperature)
    return out.tokens[0, out.prompt_length :]


def log_probabilities(
    subject: TextAutoregressive, tokens: Tensor, continuation: Tensor, edits: Sequence[Edit]
) -> Tensor:
    """log p of each token of a continuation `pos` after the prompt `1 pos`, under the edits, in nats."""
    both = torch.cat([tokens[0], continuation])[None]
    with hooked(subject, write=edits), subject.prompt_of(tokens.shape[1]):
        logits = subject.logits(both)[0, tokens.shape[1] - 1 : -1]
    return logits.log_softmax(dim=-1).gather(1, continuation[:, None])[:, 0]


def _damage(subject: TextAutoregressive, plain: Tensor, tokens: Tensor, edits: Sequence[Edit]) -> Tensor:
    """Change of log p of the unsteered continuation under the edits, `pos`, nats (negative = damage)."""
    return log_probabilities(subject, tokens, plain, edits) - log_probabilities(subject, tokens, plain, [])


def _described(
    subject: TextAutoregressive,
    name: str,
    prompt: str,
    generated: Tensor,
    tokens: Tensor,
    damage: Tensor | None = None,
) -> Continuation:
    return Continuation(
        name=name,
        prompt=prompt,
        tokens=subject.facts.pieces(generated),
        text=subject.tokenizer.decode(generated, skip_special_tokens=True),
        damage=float(damage.mean()) if damage is not None and len(damage) else None,
        damage_per_token=[round(float(value), 4) for value in damage] if damage is not None else [],
    )


def _controls(
    subject: TextAutoregressive,
    probe: Probe,
    levers: Sequence[Lever],
    seed: int,
    concept: str,
    contexts: Contexts | None,
) -> list[ControlRun]:
    """The controls of the first lever, at the same places and the same norm."""
    lever = levers[0]
    level = probe.level(lever.level)
    other = random_lever(lever, level, seed)
    runs = [ControlRun("random latents of equal norm", compile_levers([other], probe, subject)[0])]
    if contexts and level.record.writes is None:
        vector = difference_of_means(subject, level, contexts)
        amount = norm_of(lever, level)
        runs.append(ControlRun("difference of means, equal norm", [direction_edit(level, vector, amount, lever)]))
    if concept:
        runs.append(ControlRun("a prompt that asks for it", [], prompt_asking_for(concept)))
    return runs


def _run_control(
    subject: TextAutoregressive,
    run: ControlRun,
    prompt: str,
    plain: Tensor,
    tokens: Tensor,
    seed: int,
    new: int,
    temperature: float,
) -> Continuation:
    asked = run.prefix + prompt
    start = prompt_tokens(subject, asked) if run.prefix else tokens
    generated = _continue(subject, start, run.edits, seed, new, temperature)
    before = log_probabilities(subject, tokens, plain, [])
    damage = log_probabilities(subject, start, plain, run.edits) - before
    return _described(subject, run.name, asked, generated, start, damage)


def _notices(report: Sequence[LeverReport], unsteered: Continuation, steered: Continuation) -> list[str]:
    notices = []
    for at, found in enumerate(report, start=1):
        if found.moved == 0:
            notices.append(f"Lever {at} moved nothing: it changed no activation at any of {found.places} places.")
        elif found.share > LARGE_SHARE:
            notices.append(
                f"Lever {at} changes the activation by {found.share:.0%} of its norm; above 50 % text decays."
            )
    if report and unsteered.tokens == steered.tokens:
        notices.append("The text did not change: at this strength the levers did not alter any chosen token.")
    return notices
