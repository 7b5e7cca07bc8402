"""The worlds: data whose truth is known."""

from __future__ import annotations

from probes.registry import Registry

_HIERARCHIES = {
    "storeys": ("probes.worlds.storeys:Storeys", "Three views, each computed from the concepts below."),
    "generated": ("probes.worlds.generated:Generated", "Three views, each computed from the concepts above."),
}
# Worlds of levels whose edges are known; their rows also have `Options`, so that a config can hold one's dials.
HIERARCHIES = Registry("world of levels", _HIERARCHIES)

WORLDS = Registry(
    "world",
    {
        "mixture": ("probes.worlds.mixture:Mixture", "Independent concepts in one vector."),
        "tree": ("probes.worlds.family:Tree", "Wholes that come with a named part nearly always."),
        "loose": ("probes.worlds.family:Loose", "Wholes that mostly come without their named parts."),
        **_HIERARCHIES,
    },
)

FACTOR_WORLDS = Registry(
    "world of factors",
    {
        "vectors": ("probes.worlds.vectors:Vectors", "A few factors behind an invertible mixing, in many domains."),
        "causalverse": (
            "probes.worlds.causalverse.world:CausalVerse",
            "A folder of CausalVerse pictures, tables or recordings, with the factors their authors wrote down.",
        ),
        "ball_room": (
            "probes.worlds.ball_room.world:BallRoom",
            "Pictures of a room whose eight factors cause each other.",
        ),
    },
)
