"""The suites: what `evaluate` can measure. Adding one is one file that ends in its `SUITE`, and one row here."""

from __future__ import annotations

from probes.registry import Registry

SUITES = Registry(
    "suite",
    {
        "main-job": ("app.suites.main_job:SUITE", "Dictionaries, edges, labels and levers of one text graph."),
        "graph": (
            "app.suites.graph_evidence:SUITE",
            "Edges of a graph by proposal, and how many survive interventions.",
        ),
        "dictionaries": ("app.suites.dictionary_table:SUITE", "Architectures trained on one store, in one table."),
        "worlds": ("app.suites.worlds:SUITE", "Architectures on data whose truth is known."),
        "identifiability": (
            "app.suites.identifiability:SUITE",
            "Known graphs: every edge proposal, and interventions, against the truth.",
        ),
        "known-graph": (
            "app.suites.known_graph:SUITE",
            "One world with its dials set: its known graph beside the recovered one.",
        ),
        "grid": (
            "app.suites.grid:SUITE",
            "Tasks under constraints on a world whose factors are known: components beside information.",
        ),
        "colours": ("app.suites.colours:SUITE", "Levers that turn colours on the toy, read by rules."),
        "bands": ("app.suites.bands:SUITE", "Ways of coding noise bands of images."),
        "emoji": ("app.suites.emoji:SUITE", "What the bundled emoji pipeline draws, read by a judge."),
        "steering-image": (
            "app.suites.steering_image:SUITE",
            "Levers on the bundled emoji pipeline: hierarchical, flat, difference of means.",
        ),
        "image-graph": ("app.suites.image_graph:SUITE", "A graph of the emoji pipeline against Unicode's groups."),
        "tradeoff": ("app.suites.tradeoff:SUITE", "Edges of a probe's selection maps against held-out bits."),
        "description-length": (
            "app.suites.description:SUITE",
            "Bits per level of text, where higher levels are narrower and where they are not.",
        ),
        "orientation": (
            "app.suites.orientation:SUITE",
            "Composes or generates: the diagnostic on worlds of both.",
        ),
        "speed": ("app.suites.speed:SUITE", "Training, encoding and capture against other libraries."),
    },
)


def section(name: str) -> str:
    """The config section of a suite: its name as an identifier."""
    return name.replace("-", "_")
