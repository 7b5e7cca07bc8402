"""A sheet for a human reader: random latents, each with contexts from different held-out documents.

The latents are drawn from a whole dictionary, not from a graph, so that the reader judges the dictionary
and not the choice of what to draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from concept_graphs.describe import describe
from concept_graphs.tables import Example, Node
from probes.activations.store import ActivationStore
from probes.hierarchy.probe import Level
from probes.subjects.text_autoregressive import TextAutoregressive
from probes.training.randomness import permutation

LOWEST_FREQUENCY, HIGHEST_FREQUENCY = 2e-4, 0.1
STRONG = 0.5  # of the context's largest value: such tokens are marked
MARGIN = 24


class Card(NamedTuple):
    """One latent as a reader sees it."""

    node: Node
    contexts: list[Example]


def draw_latents(level: Level, count: int, seed: int) -> list[int]:
    """Latents of a readable frequency, drawn at random."""
    frequency = level.space.table.frequency
    fits = ((frequency >= LOWEST_FREQUENCY) & (frequency <= HIGHEST_FREQUENCY)).nonzero().flatten()
    drawn = fits[permutation(len(fits), seed, f"reading {level.record.name}")[:count]]
    return sorted(int(latent) for latent in drawn)


def reading_sheet(
    subject: TextAutoregressive,
    store: ActivationStore,
    levels: Iterable[Level],
    *,
    count: int = 20,
    contexts: int = 3,
    seed: int = 0,
) -> dict[str, list[Card]]:
    """Cards per level. Labels come from training text, their scores and the contexts from held-out text;
    a latent that fires in fewer held-out documents has fewer contexts."""
    sheet = {}
    for level in levels:
        latents = draw_latents(level, count, seed)
        found = describe(subject, store, level, latents, count=contexts, companions=0, examples_from="held_out")
        sheet[level.name] = [Card(node, found.examples.get(node.id, [])) for node in found.nodes]
    return sheet


def as_markdown(sheet: dict[str, list[Card]]) -> str:
    """The sheet as text: strong tokens stand in [brackets]."""
    lines = [
        "# Reading sheet",
        "",
        "Random latents; three contexts each, from different held-out documents. [Brackets] mark tokens with "
        "at least half of the context's largest value. Is there one clear concept?",
    ]
    for level, cards in sheet.items():
        lines += ["", f"## {level}"]
        for card in cards:
            node = card.node
            score = "unscored" if node.detection is None else f"detection {node.detection:.2f}"
            lines += ["", f"### {node.id}: {node.label} ({score}, frequency {node.frequency or 0.0:.1e})", ""]
            lines += [f"Found by: {', '.join(' '.join(token.split()) or '␣' for token in node.label_tokens)}", ""]
            lines += [f"- {context.document}: {_marked(context)}" for context in card.contexts]
    return "\n".join(lines) + "\n"


def _marked(context: Example) -> str:
    """The tokens around the peak, strong ones in brackets, on one line."""
    strong = STRONG * max(max(context.values), 1e-9)
    start, stop = max(0, context.peak - MARGIN), context.peak + MARGIN
    shown: Sequence[tuple[str, float]] = list(zip(context.tokens, context.values, strict=True))[start:stop]
    text = "".join(f"[{token}]" if value >= strong else token for token, value in shown)
    return " ".join(text.split())
