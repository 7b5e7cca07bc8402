"""Captions of pictures of the room, from a small grammar, of the scene, its objects, or their attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from probes.worlds.ball_room.concepts import (
    ATTRIBUTES,
    OBJECTS,
    PLAIN,
    PLAIN_SCENE,
    SCENES,
    attribute,
    is_scene,
    shows,
)
from probes.worlds.process import Floats, Indices

Granularity = Literal["scene", "objects", "attributes"]
Told = Literal["none", "scene", "objects", "attributes", "mixed"]
Slots = Mapping[str, Indices]  # what stands at a slot of a template, `row`, places in `WORDS`

GRANULARITIES: tuple[Granularity, ...] = ("scene", "objects", "attributes")
FILL = ""
# Of an attribute caption: what comes before a noun and what after. A noun stands where any of its attributes does.
CLAUSES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ball": (("ball size", "stripe frequency", "ball hue"), ("ball height", "ball x")),
    "box": ((), ("box x",)),
    "light": ((), ("light",)),
    "shadow": ((), ("shadow offset",)),
}
# A slot is in braces; any other word stands as it is. Each row takes one template at random.
TEMPLATES: Mapping[Granularity, tuple[str, ...]] = {
    "scene": ("a {scene}", "picture of a {scene}"),
    "objects": ("a {ball} and a {box} at {time}", "{time} with a {box} and a {ball}"),
    "attributes": ("{ball} {box} {light} {shadow}", "{box} {ball} {light} {shadow}", "{light} {shadow} {ball} {box}"),
}


def _vocabulary() -> tuple[str, ...]:
    """Every word once, in the order in which the grammar comes to it."""
    said = [word for templates in TEMPLATES.values() for line in templates for word in line.split() if word[0] != "{"]
    nouns = [*SCENES, PLAIN_SCENE, *PLAIN.values(), *(word for kind in OBJECTS.values() for word in kind), *CLAUSES]
    attributes = [word for bins in ATTRIBUTES.values() for word in bins.words]
    return tuple(dict.fromkeys([FILL, *said, *nouns, *attributes]))


WORDS = _vocabulary()
PLACE = {word: at for at, word in enumerate(WORDS)}


def captions(
    factors: Floats, granularity: Granularity | Literal["mixed"], mentioned: float, random: np.random.Generator
) -> Indices:
    """What rooms with factors `row factor` are told by, `row word`, filled up with 0.

    `mentioned` is the share of attributes that an attribute caption names, one at least; mixed takes a granularity
    at random for each row.
    """
    wanted = GRANULARITIES if granularity == "mixed" else (granularity,)
    which = random.integers(len(wanted), size=len(factors))
    longest = max(_length(name) for name in wanted)
    told = np.zeros((len(factors), longest), dtype=np.int64)
    for at, name in enumerate(wanted):
        rows = np.flatnonzero(which == at)
        words = _captions(factors[rows], name, mentioned, random)
        told[rows, : words.shape[1]] = words
    return told


def _captions(factors: Floats, granularity: Granularity, mentioned: float, random: np.random.Generator) -> Indices:
    """All of one granularity, `row word`."""
    if granularity == "attributes":
        slots = _clauses(factors, mentioned, random)
    else:
        slots = {
            name: words[:, None] for name, words in (_scene if granularity == "scene" else _objects)(factors).items()
        }
    templates = TEMPLATES[granularity]
    which = random.integers(len(templates), size=len(factors))
    told = np.zeros((len(factors), _length(granularity)), dtype=np.int64)
    for at, template in enumerate(templates):
        rows = np.flatnonzero(which == at)
        parts = [slots[word[1:-1]][rows] if word[0] == "{" else _said(word, len(rows)) for word in template.split()]
        words = np.concatenate(parts, axis=1)
        told[rows, : words.shape[1]] = _closed_up(words)
    return told


def _scene(factors: Floats) -> Slots:
    found = np.full(len(factors), PLACE[PLAIN_SCENE])
    for scene in SCENES:
        found[is_scene(factors, scene)] = PLACE[scene]
    return {"scene": found}


def _objects(factors: Floats) -> Slots:
    found = {kind: np.full(len(factors), PLACE[word]) for kind, word in PLAIN.items()}
    for kind, words in OBJECTS.items():
        for word in words:
            found[kind][shows(factors, kind, word)] = PLACE[word]
    return found


def _clauses(factors: Floats, mentioned: float, random: np.random.Generator) -> Slots:
    """Noun to its clause, `row word`, 0 where an attribute is not named."""
    dice = random.random((len(factors), len(ATTRIBUTES)))
    named = (dice < mentioned) | (dice == dice.min(axis=1, keepdims=True))
    words = {
        name: np.where(named[:, at], np.array([PLACE[word] for word in bins.words])[attribute(factors, name)], 0)
        for at, (name, bins) in enumerate(ATTRIBUTES.items())
    }
    clauses = {}
    for noun, (before, after) in CLAUSES.items():
        around = np.any([words[name] > 0 for name in before + after], axis=0)
        parts = [*(words[name] for name in before), around * PLACE[noun], *(words[name] for name in after)]
        clauses[noun] = np.stack(parts, axis=1)
    return clauses


def _said(word: str, rows: int) -> Indices:
    return np.full((rows, 1), PLACE[word])


def _closed_up(words: Indices) -> Indices:
    """`row word`, what fills up moved behind the words, whose order stays."""
    return np.take_along_axis(words, np.argsort(words == 0, axis=1, kind="stable"), axis=1)


def _length(granularity: Granularity) -> int:
    """Most words of a caption."""
    if granularity == "attributes":
        return len(ATTRIBUTES) + len(CLAUSES)
    return max(len(template.split()) for template in TEMPLATES[granularity])


def text(words: Sequence[int]) -> str:
    """A caption as it reads."""
    return " ".join(WORDS[word] for word in words if word)
