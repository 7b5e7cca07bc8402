"""Names of the ways a ranking of pairs comes about, beside those of the registered proposals, and all in words."""

from __future__ import annotations

BOOTSTRAP = "gates_bootstrap"  # gates ranked by how many refits keep an edge
TESTED = "_tested"  # after a proposal's name: the effects of the first pairs that it proposes
INTERVENTION, TRUE_VARIABLE = "intervention", "true_variable"
COACTIVATION = "coactivation"  # what every other proposal is held against
CHANCE = "chance"

WORDS = {
    BOOTSTRAP: "gates, by refits",
    INTERVENTION: "interventions on all pairs",
    TRUE_VARIABLE: "interventions on true variables (a bound)",
    COACTIVATION: "co-activation",
    CHANCE: "a random order",
    "pc": "PC",
    "grasp": "GRaSP",
}


def called(method: str) -> str:
    """A method as people call it; a proposal that has no entry here is called by its name."""
    plain = method.removesuffix(TESTED)
    words = WORDS.get(plain, plain.replace("_", " "))
    return words if plain == method else f"{words}, then interventions"
