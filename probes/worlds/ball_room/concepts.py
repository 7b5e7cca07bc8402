"""Words that pictures of the room can be told by, as data: attributes are ranges of factors, objects are ranges of
several, and a scene is some combinations of objects.

Nothing is in two scenes, and nothing is two objects of one kind: what a picture shows decides its words. Where rows
are selected, those that are no scene are left out, so that the parts of a scene depend on each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from probes.worlds.ball_room.graph import NAMES
from probes.worlds.process import Floats, Indices
from probes.worlds.world import Flags


class Bins(NamedTuple):
    """Words of a factor from low to high, and where one gives way to the next."""

    words: tuple[str, ...]
    cuts: tuple[float, ...] = (-1 / 3, 1 / 3)


ATTRIBUTES: Mapping[str, Bins] = {
    "light": Bins(("left", "overhead", "right")),
    "box x": Bins(("left", "middle", "right")),
    "ball size": Bins(("small", "medium", "large")),
    "ball hue": Bins(("red", "yellow", "green", "cyan", "blue"), (-2 / 3, -1 / 3, 1 / 3, 2 / 3)),
    "ball x": Bins(("left", "middle", "right")),
    "ball height": Bins(("low", "floating", "high")),
    "shadow offset": Bins(("left", "below", "right")),
    "stripe frequency": Bins(("broad-striped", "striped", "fine-striped")),
}

LOW, HIGH = (-1.0, -0.2), (0.2, 1.0)
# Kind of object to its words; each means that these factors are in these ranges.
OBJECTS: Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]] = {
    "time": {"dawn": {"light": LOW}, "dusk": {"light": HIGH}},
    "ball": {
        "pebble": {"ball size": LOW, "ball height": LOW},
        "bubble": {"ball size": LOW, "ball height": HIGH},
        "melon": {"ball size": HIGH, "ball height": LOW},
        "balloon": {"ball size": HIGH, "ball height": HIGH},
    },
    "box": {"bench": {"box x": LOW}, "counter": {"box x": HIGH}},
}
PLAIN: Mapping[str, str] = {"time": "day", "ball": "ball", "box": "box"}  # where no word of the kind fits
SCENES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "beach": {"time": ("dawn",), "ball": ("pebble",), "box": ("bench",)},
    "market": {"time": ("dawn",), "ball": ("melon", "balloon"), "box": ("counter",)},
    "garden": {"time": ("dusk",), "ball": ("bubble", "pebble"), "box": ("counter",)},
    "fair": {"time": ("dusk",), "ball": ("balloon",), "box": ("bench", "counter")},
}
PLAIN_SCENE = "room"


def attribute(factors: Floats, name: str) -> Indices:
    """Places in the words of a factor, `row`."""
    return np.searchsorted(ATTRIBUTES[name].cuts, factors[:, NAMES.index(name)])


def shows(factors: Floats, kind: str, word: str) -> Flags:
    """Whether rooms with these factors `row factor` show an object, `row`."""
    inside = np.ones(len(factors), dtype=np.bool_)
    for name, (low, high) in OBJECTS[kind][word].items():
        value = factors[:, NAMES.index(name)]
        inside &= (value >= low) & (value <= high)
    return inside


def is_scene(factors: Floats, scene: str) -> Flags:
    """Whether of each kind they show an object of the scene, `row`."""
    kinds = SCENES[scene].items()
    return np.all([np.any([shows(factors, kind, word) for word in words], axis=0) for kind, words in kinds], axis=0)


def is_any_scene(factors: Floats) -> Flags:
    """The rule of selection, `row`."""
    return np.any([is_scene(factors, scene) for scene in SCENES], axis=0)
