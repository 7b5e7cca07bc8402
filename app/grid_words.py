"""What a grid says, in plain sentences computed from its rows; no gradio, no torch."""

from __future__ import annotations

from collections.abc import Iterator

from app.grids import ALONE, MEASURES, Opened, Pair, in_words, marked
from app.suites.rows import Row
from concept_graphs.text import number, percent

CONTROL = "kl"  # pulls latents to one Gaussian, which every rotation leaves as it is: it can tell no factor from a mix


def sentences(found: Opened) -> list[str]:
    """Everything the numbers say, the most asked first."""
    said = [*_largest(found), *_told(found), *_counted(found), *_control(found), *_by_task(found), *_interaction(found)]
    return [*said, *_paid(found), *_chance(found), _over(found)]


def above(row: Row | None) -> bool:
    """Whether the whole interval of a gain lies above zero; one world has no interval."""
    return row is not None and row.seeds > 1 and row.low is not None and row.low > 0


def below(row: Row | None) -> bool:
    """Whether the whole interval of a gain lies below zero."""
    return row is not None and row.seeds > 1 and row.high is not None and row.high < 0


def gain(row: Row | None) -> str:
    """A gain with its sign and, where there are several worlds, its interval."""
    if row is None or row.value is None:
        return "unknown"
    if row.seeds < 2 or row.low is None or row.high is None:
        return _signed(row.value)
    return f"{_signed(row.value)} [{_fixed(row.low)}, {_fixed(row.high)}]"


def _signed(value: float) -> str:
    return ("+" if value >= 0 else "") + _fixed(value)


def _fixed(value: float) -> str:
    """To the digits of what it is a difference of, however small it is."""
    return f"{value:.2f}".replace("-", "−")


def _named(found: Opened, pair: Pair) -> str:
    return f"{marked(pair[1], found.file.told)} under {in_words(pair[0])}"


def _largest(found: Opened) -> Iterator[str]:
    """The pair that gains most."""
    if not found.pairs:
        yield "No constraint was trained beside a task: there is nothing to compare."
        return
    shown = [pair for pair in found.pairs if above(found.row(*pair, "mcc_gained"))]
    best = max(shown or found.pairs, key=lambda pair: found.value(*pair, "mcc_gained") or 0.0)
    row = found.row(*best, "mcc_gained")
    if row is None or (row.value or 0.0) <= 0:
        yield "No constraint gains MCC over the task alone under any task, on average over worlds."
        return
    with_it, alone = found.value(*best, "mcc"), found.value(best[0], ALONE, "mcc")
    said = f"{_named(found, best)}: {gain(row)}, from {number(alone)} of the task alone to {number(with_it)}"
    if shown:
        yield f"MCC gains most by {said}."
    elif row.seeds < 2:
        yield f"MCC gains most by {said}; one world has no interval."
    else:
        yield f"No constraint is shown to gain MCC. The largest gain, whose interval holds zero, is of {said}."


def _told(found: Opened) -> Iterator[str]:
    """Whose gain is not one of structure alone."""
    told = [name for name in found.file.constraints if name in found.file.told]
    if told:
        each = " and ".join(f"{in_words(name)} is told {found.file.told[name]}" for name in told)
        yield (
            f"In training {each}, whatever the task: what it gains under a task that is told nothing is not to be held "
            "against constraints that are told nothing either."
        )


def _counted(found: Opened) -> Iterator[str]:
    """How many gains and losses there are, and how many of their intervals chance alone would put beside zero."""
    rows = [found.row(*pair, "mcc_gained") for pair in found.pairs]
    told = [row for row in rows if row is not None and row.seeds > 1]
    if told:
        yield (
            f"Of {len(told)} pairs, the interval of the gain lies above zero for {sum(map(above, told))} and below it "
            f"for {sum(map(below, told))}; of so many 95 % intervals about {number(0.05 * len(told), 1)} would lie "
            "beside zero by chance."
        )


def _control(found: Opened) -> Iterator[str]:
    """Whether the control gains as much as the best constraint under the same task."""
    for task in dict.fromkeys(task for task, _ in found.pairs):
        others = [pair for pair in found.pairs if pair[0] == task and pair[1] != CONTROL]
        own = found.row(task, CONTROL, "mcc_gained")
        if own is None or not others:
            continue
        best = max(others, key=lambda pair: found.value(*pair, "mcc_gained") or 0.0)
        row = found.row(*best, "mcc_gained")
        if row is not None:
            said = (
                f"the control {CONTROL} changes MCC by {gain(own)}{_beside(own, row, marked(best[1], found.file.told))}"
            )
            yield f"Under {in_words(task)} {said}."


def _beside(control: Row, best: Row, name: str) -> str:
    """How the control stands to the best other constraint."""
    said = f"{name}, the best of the others ({gain(best)})"
    if control.seeds < 2 or control.high is None or control.low is None or best.low is None or best.high is None:
        more = (control.value or 0.0) >= (best.value or 0.0)
        return f", {'no less than' if more else 'less than'} {said}"
    if control.high < best.low:
        return f", less than {said}"
    return f", more than {said}" if control.low > best.high else f", not told apart from {said}"


def _by_task(found: Opened) -> Iterator[str]:
    """Constraints whose gain is above zero under one task and not under another."""
    for constraint in found.file.constraints:
        tasks = [task for task, other in found.pairs if other == constraint]
        rows = {task: found.row(task, constraint, "mcc_gained") for task in tasks}
        gains = [task for task in tasks if above(rows[task])]
        rest = [task for task in tasks if not above(rows[task])]
        if gains and rest:
            lost = [in_words(task) for task in rest if below(rows[task])]
            also = f" (it loses under {', '.join(lost)})" if lost else ""
            yield (
                f"{_capital(marked(constraint, found.file.told))} gains under {', '.join(map(in_words, gains))}, "
                f"and not under {', '.join(map(in_words, rest))}{also}."
            )


def _capital(said: str) -> str:
    return said[:1].upper() + said[1:]


def _interaction(found: Opened) -> Iterator[str]:
    """What the test says of whether the effect of a constraint depends on the task."""
    untested = []
    for measure, called in MEASURES.items():
        share, p = found.row("variance", measure, "interaction"), found.value("variance", measure, "p")
        if share is None or p is None:
            untested.append(called)
            continue
        verdict = "depends on the task" if p <= 0.05 else "is not shown to depend on the task"
        yield (
            f"What a constraint does to {called} {verdict}: the interaction takes {percent(share.value, 1)} of the "
            f"variance, where 95 % of chance stays below {percent(share.baseline, 1)} (p = {number(p, 3)}; "
            f"{share.note})."
        )
    if len(untested) < len(MEASURES):
        yield (
            "Chance keeps each world's table together: pairs may differ in how much they vary from world to world. It "
            "takes what they vary by for normal: where a pair turns out in one of two ways, few worlds can agree by "
            "luck, and more of them tell."
        )
    if untested:
        yield (
            f"Whether constraints act on {' and '.join(untested)} alike under all tasks was not tested: that takes two "
            "tasks, two constraints that can be had with each of them, and two worlds."
        )


def _paid(found: Opened) -> Iterator[str]:
    """Where information fell while components came apart."""
    paid = []
    for pair in found.pairs:
        up, down = found.row(*pair, "mcc_gained"), found.row(*pair, "r2_gained")
        if up is None or down is None:
            continue
        single = up.seeds < 2 and (up.value or 0.0) > 0 > (down.value or 0.0)
        if single or (above(up) and below(down)):
            paid.append(f"{_named(found, pair)} (MCC {gain(up)}, R² {gain(down)})")
    if paid:
        yield f"R² fell while MCC rose: {'; '.join(paid)}."
    elif found.pairs:
        yield "For no pair is R² shown to fall while MCC rises."


def _chance(found: Opened) -> Iterator[str]:
    """The level that MCC has without any relation."""
    rows = [row for name, row in found.rows.items() if name.endswith(".mcc") and row.baseline is not None]
    levels = [row.baseline for row in rows if row.baseline is not None]
    if levels:
        low, high = number(min(levels)), number(max(levels))
        level = low if low == high else f"{low} to {high}"
        yield f"By chance, with factors shuffled, MCC would be {level}."


def _over(found: Opened) -> str:
    worlds = max((row.seeds for row in found.rows.values()), default=0)
    kind = in_words(found.file.world)
    if worlds > 1:
        return f"Numbers are means over {worlds} worlds of kind {kind}, with 95 % intervals over worlds (Student's t)."
    return f"Numbers are of one world of kind {kind}: more seeds give intervals."
