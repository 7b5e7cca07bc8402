"""The lever rack: what is changed, by how much, and where."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from app.components.base import Drawn
from probes.addresses import Unit
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.masks import Mask

# More sliders than this are no experiment any more, and each costs a forward pass of its own.
MOST_LEVERS = 12


class LeverRow(Frozen):
    """One row of the rack: a concept, what is done to it, how strongly and where."""

    key: str = Field(description="Name of the row, unique in the rack.", min_length=1, max_length=80)
    concept: str = Field(description="Id of the concept, such as middle/123.", pattern=r"^[a-z][a-z0-9_-]*/[0-9]+$")
    label: str = Field(description="What the concept is called on screen.", max_length=400)
    level: str = Field(description="Name of the concept's level.", max_length=40)
    level_index: int = Field(default=0, description="Place of the level; 0 is the lowest.", ge=0)
    weights: dict[str, float] = Field(
        default_factory=dict, description="Latent to weight; empty means the concept alone.", max_length=64
    )
    companions: dict[str, float] = Field(
        default_factory=dict, description="Latent to weight of what may be moved along.", max_length=16
    )
    operation: str = Field(default="add", description="Name of the operation.", pattern=r"^[a-z_]{1,40}$")
    strength: Annotated[float, Field(ge=-8, le=8)] = Field(default=1.0, description="In typical activations.")
    aim: Annotated[float, Field(ge=0, le=8)] = Field(
        default=1.0, description="Level that set and cap move to, in typical activations."
    )
    target: int | None = Field(default=None, description="Latent of the same level that a swap moves to.", ge=0)
    donor: str = Field(default="", description="Text, or prompt, whose activations a patch copies.", max_length=4000)
    where: Literal["all", "prompt", "generated"] = Field(default="all", description="Which tokens are changed.")
    branch: Literal["cond", "uncond", "both"] = Field(default="cond", description="Guidance branch, for pictures.")
    noise: tuple[Unit, Unit] | None = Field(default=None, description="Noise interval; none for the level's own.")
    cells: Mask | None = Field(default=None, description="Cells of the picture; none for all.")
    limit: float | None = Field(default=None, description="Largest share of an activation.", gt=0, le=100)

    def latents(self) -> dict[int, float]:
        """Latent index to weight."""
        return {int(k): v for k, v in self.weights.items()} or {int(self.concept.partition("/")[2]): 1.0}


class Rack(Frozen):
    """All levers of the rack, in order."""

    levers: tuple[LeverRow, ...] = Field(default=(), max_length=MOST_LEVERS, description="The rows.")


def rack_of(value: Any) -> Rack:
    """What the browser sent, checked. Raises `WorkbenchError` for anything that is no rack."""
    return validated(Rack, value or {}, what="The lever rack")


def with_lever(rack: Rack, row: LeverRow) -> Rack:
    """The rack with one more lever. Raises `WorkbenchError` when it is full; a second lever on the same
    concept is allowed (two places, two operations) and gets a key of its own."""
    if len(rack.levers) >= MOST_LEVERS:
        raise WorkbenchError(
            "rack-full", "No lever was added", f"the rack holds {MOST_LEVERS}", "Remove a lever first."
        )
    taken = {lever.key for lever in rack.levers}
    key, at = row.concept, 2
    while key in taken:
        key, at = f"{row.concept}#{at}", at + 1
    return Rack(levers=(*rack.levers, row.model_copy(update={"key": key})))


class LeverRack(Drawn):
    """Value: a `Rack` as JSON. Props: `operations` (name, sentence, low, high, start, needs), `shares` (row key
    to the share of the residual norm at strength 1), `concepts` (level to [latent, label]: what a swap can move
    to), `kind` (text, pictures or rows: what the levers act on), `guidance` (scale, where pictures are guided).
    Event: `change`."""

    source: ClassVar[str] = "lever_rack"

    def __init__(self, value: Any = None, **props: Any) -> None:
        # None is a parameter of its own: gradio takes a parameter whose name the script quotes for an event, and would
        # copy the bound event, the whole application with it, whenever a page is asked for.
        props = {"operations": [], "shares": {}, "concepts": {}, "kind": "text", "guidance": None, **props}
        super().__init__(value or {"levers": []}, **props)
