"""How many latents are on, how often, and how many never are."""

from __future__ import annotations

from probes.metrics.metric import Metric

RARE_FREQUENCY = 1e-4
COMMON_FREQUENCY = 0.1

L0 = Metric(lambda seen: seen.active / seen.rows, "moments", "active latents per row, by threshold", low=0)
DENSITY = Metric(
    lambda seen: seen.active / seen.rows / len(seen.fired), "moments", "mean frequency of a latent", low=0, high=1
)
DEAD = Metric(lambda seen: float((seen.fired == 0).double().mean()), "moments", "share that never fired", "down", 0, 1)
RARE = Metric(
    lambda seen: float((seen.fired / seen.rows < RARE_FREQUENCY).double().mean()),
    "moments",
    "share with frequency below 1e-4",
    "down",
    0,
    1,
)
COMMON = Metric(
    lambda seen: float((seen.fired / seen.rows > COMMON_FREQUENCY).double().mean()),
    "moments",
    "share with frequency above 0.1",
    low=0,
    high=1,
)
