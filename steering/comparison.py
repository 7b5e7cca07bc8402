"""What a comparison of steered with unsteered text holds: the format of `steer --json` and of pinned runs."""

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
