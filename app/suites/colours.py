"""Colour rows: do levers turn the toy's colours, and what else do they change? Rules read every picture.

A strength is chosen per arm on pictures of other seeds than the rows are about. Random latents are given the
strength of the chosen ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from app.suites.rows import Row, of_interval
from app.suites.suite import Suite
from probes.configs import Frozen
from probes.errors import Stopped
from probes.metrics.intervals import bootstrap
from probes.runs import Run

if TYPE_CHECKING:
    from steering.doses import Doses

ARMS = ("chosen", "random", "difference of means")
GAIN_AIM = 0.3
DICTIONARY, CHOOSING, TUNING, SCORING = 0, 50_000, 60_000, 70_000  # where the seeds of each stage start


class ColoursConfig(Frozen):
    """What is measured of colour swaps on the toy."""

    pairs: int = Field(default=6, description="Pairs of colours, of six.", ge=1, le=6)
    features: int = Field(default=8, description="Latents per colour and block.", ge=1, le=64)
    n_latents: int = Field(default=256, description="Latents of each block's dictionary.", ge=32, le=4096)
    training_steps: int = Field(default=500, description="Steps a dictionary is trained for.", ge=1, le=100_000)
    strengths: tuple[float, ...] = Field(
        default=(0.0, 0.5, 1.0, 2.0, 4.0), description="Strengths that are measured.", min_length=2
    )
    apart: bool = Field(default=True, description="Whether each block alone and each branch is measured too.")


def colour_rows(config: ColoursConfig, run: Run) -> Iterator[Row]:
    """Rows of every arm, and of the chosen latents in each block alone and on each branch.

    Raises `Stopped` when the run is asked to stop.
    """
    from probes.subjects.image_diffusion import ImageDiffusion
    from probes.subjects.loading import load_subject
    from steering.colour_dictionaries import BLOCKS, SMALL, dictionary, rows_of
    from steering.colour_swaps import PAIRS, ColourSwapConfig, learn, swap_colours
    from steering.doses import working_strength

    swaps = ColourSwapConfig(features=config.features, strengths=config.strengths)
    pairs = PAIRS[: config.pairs]
    run.begin(steps=8 if config.apart else 3, message="training dictionaries")
    _next(run, 0, "training dictionaries")
    subject = load_subject("bundled/toy", of=ImageDiffusion)
    optimiser = SMALL.optimiser.model_copy(update={"steps": config.training_steps})
    training = SMALL.model_copy(update={"n_latents": config.n_latents, "optimiser": optimiser})
    recorded = rows_of(subject, BLOCKS, (DICTIONARY,), swaps)
    spaces = {point: dictionary(rows, point, config=training) for point, rows in recorded.items()}
    _next(run, 1, "choosing strengths")
    known = learn(subject, spaces, swaps, first_seed=CHOOSING)
    tuned = swap_colours(subject, spaces, known, swaps, first_seed=TUNING, pairs=pairs)
    at = {name: working_strength(doses) for name, doses in tuned.items()}
    at["random"] = at["chosen"]
    _next(run, 2, "steering")
    scored = swap_colours(subject, spaces, known, swaps, first_seed=SCORING, pairs=pairs)
    _next(run, 3, "each block and branch alone")
    yield from _arms(scored, at)
    yield from _response(scored["chosen"])
    if not config.apart:
        return
    one = swaps.model_copy(update={"strengths": (at["chosen"],)})
    apart = [(f"alone.{point.path}", {point: space}, one) for point, space in spaces.items()]
    apart += [(f"branch.{name}", spaces, one.model_copy(update={"branch": name})) for name in ("both", "uncond")]
    for done, (name, some, how) in enumerate(apart, start=4):
        found = swap_colours(subject, some, known, how, first_seed=SCORING, pairs=pairs, only=("chosen",))["chosen"]
        yield of_interval(f"colours.{name}.turned", bootstrap([found.effect[0]]), TURNED, "up")
        _next(run, done, name)


def _next(run: Run, done: int, message: str) -> None:
    """Say which stage comes next, unless none should."""
    if run.stop_requested():
        raise Stopped
    run.progress(done)
    run.update(message=message)


TURNED = "share of pictures whose colour is the one asked for; interval over pictures"


def _arms(scored: dict[str, Doses], at: dict[str, float]) -> Iterator[Row]:
    """Each arm at its strength, the chosen latents against both others, and the fronts."""
    from steering.doses import beyond, front_area, points

    dearest = max(float(doses.collateral.mean(axis=1).max()) for doses in scored.values())
    for arm, doses in scored.items():
        name, row = f"colours.{arm.replace(' ', '_')}", doses.at(at[arm])
        yield Row(name=f"{name}.strength", value=at[arm], unit="typical activations; chosen on other seeds")
        yield of_interval(f"{name}.turned", bootstrap([doses.effect[row]]), TURNED, "up")
        for kept, table in doses.kept.items():
            unit = f"share of pictures whose {kept} stayed; interval over pictures"
            yield of_interval(f"{name}.{kept}_kept", bootstrap([table[row]]), unit, "up")
        unit = "root mean square outside the thing, of a range of 1"
        yield of_interval(f"{name}.collateral", bootstrap([doses.collateral[row]]), unit, "down")
        unit = "root mean square distance to the nearest picture of the world, of a range of 1"
        yield of_interval(f"{name}.off_manifold", bootstrap([doses.off_manifold[row]]), unit, "down")
        area = front_area(points([doses]), dearest)
        yield Row(name=f"{name}.front_area", value=area, unit=f"mean best share up to {dearest:.3f}", better="up")
    for other in ARMS[1:]:
        found = beyond(scored["chosen"], scored[other], at["chosen"], at[other])
        name = f"colours.chosen_beyond_{other.replace(' ', '_')}"
        aim = GAIN_AIM if other == "random" else None
        yield of_interval(name, found, "difference of shares, paired by picture", "up", aim=aim)


def _response(chosen: Doses) -> Iterator[Row]:
    """The chosen latents at every strength, and whether more does more."""
    for strength, found in zip(chosen.strengths, chosen.response(), strict=True):
        yield of_interval(f"colours.chosen.turned_at_{strength:g}", found, TURNED)
    yield Row(
        name="colours.chosen.monotone", value=chosen.monotone(), unit="Spearman over strengths", better="up", aim=0.9
    )


SUITE = Suite(
    ColoursConfig,
    colour_rows,
    presets={
        "tiny": {"pairs": 1, "strengths": [0.0, 1.0, 2.0], "training_steps": 300, "apart": False},
        "small": {"pairs": 2},
    },
)
