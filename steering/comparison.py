"""What a comparison of steered with unsteered output holds: the format of `steer --json` and of pinned runs."""

from __future__ import annotations

from pydantic import Field

from probes.configs import Frozen
from steering.levers import Lever


class Continuation(Frozen):
    """A continuation: its token pieces, and per token the change of the log-probability of the *unsteered*
    text under these edits (nats; None where that text had ended)."""

    name: str = Field(description="What was done: unsteered, steered, or the control's name.")
    prompt: str = Field(description="The prompt it continues.")
    tokens: list[str] = Field(description="Generated token pieces.")
    text: str = Field(description="Generated text.")
    damage: float | None = Field(default=None, description="Mean change of the unsteered text's log-probability.")
    damage_per_token: list[float] = Field(default=[], description="The same for each unsteered token, in nats.")


class LeverReport(Frozen):
    """What one lever did."""

    lever: Lever
    places: int = Field(description="Places where it applied.")
    moved: int = Field(description="Places where it changed the activation.")
    share: float = Field(description="Mean |change| / |activation| over the places that moved.")
    largest_share: float = Field(description="The largest such share.")
    clipped: int = Field(default=0, description="Places where the change was cut to the lever's limit.")
    beyond: int = Field(default=0, description="Places where a latent ended above its largest training code.")
    effective: float | None = Field(default=None, description="The strength that reaches the guided output.")


class Comparison(Frozen):
    """Steered against unsteered, same prompt, same seed, with controls."""

    schema_version: int = Field(default=1, description="Version of this format.")
    subject: str
    probe: str
    prompt: str
    seed: int
    temperature: float
    unsteered: Continuation
    steered: Continuation
    controls: list[Continuation] = []
    levers: list[LeverReport] = []
    notices: list[str] = []
    command: str = Field(default="", description="The command line that does it again; empty where it is not known.")


class Shots(Frozen):
    """The pictures of one way of making them, one per seed, and how far they are from the unsteered ones."""

    name: str = Field(description="What was done: unsteered, steered, or the control's name.")
    prompt: str = Field(description="The prompt they were made from.")
    pictures: list[str] = Field(description="Per seed a file name, or the picture itself as a data address.")
    rmse: list[float] = Field(default=[], description="Per seed, root mean square difference, values from 0 to 1.")
    rmse_inside: list[float] = Field(default=[], description="The same where a mask of a lever weighs it.")
    rmse_outside: list[float] = Field(default=[], description="The same where no mask does; empty without a mask.")
    drift: list[float] = Field(
        default=[], description="Per seed, |difference| / |activation| at the last hook point and step."
    )


class Preview(Frozen):
    """What an unsteered picture looks like on its way: latents mapped to colours, linearly."""

    noise: float = Field(description="Noise left at the step; 1 is pure noise.")
    picture: str = Field(description="A file name or a data address.")


class PictureComparison(Frozen):
    """Steered against unsteered pictures: same prompt, same seeds, with controls."""

    schema_version: int = Field(default=1, description="Version of this format.")
    subject: str
    probe: str
    prompt: str
    negative: str = ""
    seeds: list[int]
    steps: int
    guidance: float | None = Field(default=None, description="Guidance scale; none where one branch runs alone.")
    noise: list[float] = Field(description="Noise left at each step, the first first.")
    unsteered: Shots
    steered: Shots
    difference: list[str] = Field(description="Per seed |steered − unsteered|, brightened by the gain.")
    gain: float = Field(default=1.0, description="What differences are multiplied by in their pictures.")
    controls: list[Shots] = []
    levers: list[LeverReport] = []
    previews: list[Preview] = []
    notices: list[str] = []
    command: str = Field(default="", description="The command line that does it again; empty where it is not known.")


Pinned = Comparison | PictureComparison  # what a report can show
