"""The causal ball room: pictures of a lit room with a striped ball and a box, whose eight factors cause each other."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from probes.worlds.assumptions import card_of
from probes.worlds.ball_room.augmenting import augment
from probes.worlds.ball_room.captions import WORDS, Told, captions
from probes.worlds.ball_room.concepts import is_any_scene
from probes.worlds.ball_room.graph import NAMES, model_of
from probes.worlds.ball_room.painting import Bytes, pictures
from probes.worlds.dials import ProcessConfig
from probes.worlds.factors import FactorSample, Part
from probes.worlds.observing import fields_of, observe
from probes.worlds.process import Floats, Process
from probes.worlds.world import Array, generators


class BallRoomConfig(ProcessConfig):
    """How rooms are drawn, pictured and told of."""

    kind: Literal["ball_room"] = Field(default="ball_room", description="Its world.")
    domains: int = Field(
        default=10, description="How many domains; they differ in how light varies and where the box is.", ge=0, le=1000
    )
    domain_means: float = Field(
        default=0.6, description="Standard deviation over domains of where the box is on average.", ge=0, le=10
    )
    domain_scales: float = Field(
        default=0.5, description="The same for the logarithm of how widely light varies.", ge=0, le=2
    )
    size: int = Field(
        default=32, description="Height and width of a picture; 64 shows more of the stripes.", ge=16, le=256
    )
    noise: float = Field(
        default=0.01, description="Standard deviation of the noise of a pixel, of a range of 1.", ge=0, le=1
    )
    captions: Told = Field(
        default="none",
        description="What captions name: the scene, its objects, their attributes, or one of these by row.",
    )
    mentioned: float = Field(default=0.6, description="Share of the attributes that a caption names.", ge=0, le=1)
    selection: bool = Field(
        default=False, description="Keep only rooms whose objects go together as a scene, as its words say."
    )

    @model_validator(mode="after")
    def _fits(self) -> BallRoomConfig:
        self.check(NAMES)
        return self


class BallRoom:
    """The world itself. Its graph is the same for every seed; the seed decides its domains and interventions."""

    Config = Options = BallRoomConfig
    names = NAMES

    def __init__(self, config: BallRoomConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self.process = Process(model_of(config, seed), config, seed, is_any_scene if config.selection else None)
        self.edges = self.process.model.edges
        self.domains = self.trained_domains = config.domains
        self.moved, self.asked = self.process.moved, tuple(config.answers(NAMES))
        self.shape = (3, config.size, config.size)
        self.words = () if config.captions == "none" else WORDS
        self.fields = fields_of(config) | ({"caption"} if self.words else set())
        self.card = card_of(
            self.process,
            injective="Yes, up to bytes: different rooms look different, unless their factors are nearly equal.",
            sparse="Partly: each factor moves a hundredth to two fifths of the pixels, though which ones varies.",
            rule="only rooms whose light, ball and box make a scene are kept" if config.selection else "",
        )

    def draw(self, rows: int, seed: int, part: Part = "train") -> FactorSample:
        sample = observe(self.process, rows, seed, self._see, self._again)
        if self.config.captions == "none":
            return sample
        random = generators(seed, f"captions of world {self.seed}")
        told = captions(sample.factors.astype(np.float64), self.config.captions, self.config.mentioned, random)
        return sample._replace(fields={**sample.fields, "caption": told})

    def render(self, factors: Array) -> Bytes:
        return pictures(factors, self.config.size)

    def _see(self, factors: Floats, random: np.random.Generator) -> Bytes:
        return pictures(factors.astype(np.float32), self.config.size, self.config.noise, random)

    def _again(self, factors: Floats, random: np.random.Generator) -> Bytes:
        return augment(self._see(factors, random), random)
