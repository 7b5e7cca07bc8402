"""What a picture is made from. No torch."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from probes.configs import Frozen


class ImageInputs(Frozen):
    """A batch of pictures to make: one row per prompt, or one prompt with several seeds."""

    prompts: tuple[str, ...] = Field(default=(), description="What each picture shows; none for other conditions.")
    negative: str = Field(default="", description="What no picture should show.")
    steps: int = Field(default=20, description="Steps of the schedule.", ge=1, le=1000)
    guidance: float | None = Field(
        default=None, description="Guidance scale; none for the recorded or the pipeline's own.", ge=0
    )
    height: int | None = Field(default=None, description="Rows of pixels; none for the pipeline's own.", ge=1)
    width: int | None = Field(default=None, description="Columns of pixels; none for the pipeline's own.", ge=1)
    seeds: tuple[int, ...] = Field(default=(0,), description="One seed per picture.", min_length=1)
    extra: dict[str, Any] = Field(
        default_factory=dict,
        description="More arguments of the pipeline, such as class_labels, prompt_embeds or true_cfg_scale.",
    )

    @model_validator(mode="after")
    def _one_seed_each(self) -> ImageInputs:
        if len(self.prompts) > 1 and len(self.seeds) not in (1, len(self.prompts)):
            raise ValueError("give one seed per prompt, or one prompt with several seeds")
        return self

    def seeded(self, seeds: tuple[int, ...]) -> ImageInputs:
        """The same with other seeds."""
        return ImageInputs(**{**dict(self), "seeds": seeds})
