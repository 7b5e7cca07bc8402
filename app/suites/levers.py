"""Lever rows: on how many concepts a lever beats its random control, beside the two other ways of steering."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.suites.rows import Row, interval_row
from probes.metrics.intervals import bootstrap
from steering.evaluation import ArmResult, ConceptResult, LeverEvaluationConfig

AIM_WORDS = 14 / 20
TRUSTED_JUDGE = 0.7


def lever_rows(results: Sequence[ConceptResult], config: LeverEvaluationConfig) -> Iterator[Row]:
    """Counts of concepts whose interval over prompts lies above the random control of equal norm."""
    control = bootstrap([[result.control_damage for result in results]])
    yield interval_row("levers.random.damage", [*control[:3], control.n], unit="nats per token", better="up")
    for arm in dict.fromkeys(arm.arm for result in results for arm in result.arms):
        yield from _arm_rows(arm, [result.arm(arm) for result in results], config)
    trusted = [result for result in results if (result.judge_auroc or 0) >= TRUSTED_JUDGE]
    scores = [result.judge_auroc for result in results if result.judge_auroc is not None]
    if scores:
        value = bootstrap([scores])
        unit = "area under the ROC curve, held out, mean over concepts"
        yield interval_row("levers.judge.auroc", [*value[:3], value.n], unit=unit, better="up")
    for arm in dict.fromkeys(arm.arm for result in trusted for arm in result.arms):
        judged = [found.judged for found in (result.arm(arm) for result in trusted) if found.judged]
        yield Row(
            name=f"levers.{arm}.judged",
            value=sum(gain.clear for gain in judged),
            n=len(judged),
            unit=f"concepts above the random control, judges of {TRUSTED_JUDGE} or better",
            better="up",
        )


def _arm_rows(name: str, arms: Sequence[ArmResult], config: LeverEvaluationConfig) -> Iterator[Row]:
    gentle = [arm.words.clear and -arm.damage <= config.damage for arm in arms]
    yield Row(
        name=f"levers.{name}.words",
        value=sum(gentle),
        n=len(arms),
        unit=f"concepts above the random control at damage of {config.damage:g} or less",
        better="up",
        aim=round(AIM_WORDS * len(arms)) if name == "lever" else None,
    )
    for what, values, unit in (
        ("words_gain", [arm.words.value for arm in arms], "nats over the random control, mean over concepts"),
        ("damage", [arm.damage for arm in arms], "nats per token"),
        ("reread_gain", [arm.reread.value for arm in arms], "typical activations over the random control"),
    ):
        found = bootstrap([values])
        yield interval_row(f"levers.{name}.{what}", [*found[:3], found.n], unit=unit, better="up")
    reread = sum(arm.reread.clear for arm in arms)
    unit = "concepts above the random control, read by the unsteered subject"
    yield Row(name=f"levers.{name}.reread", value=reread, n=len(arms), unit=unit, better="up")
