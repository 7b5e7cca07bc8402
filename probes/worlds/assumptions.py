"""How far a process meets what theorems of identifiability assume: one true sentence per assumption."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from probes.worlds.dials import ProcessConfig
from probes.worlds.process import Process

ASSUMPTIONS = (
    "independent given domain",
    "enough domains",
    "sparse changes",
    "time dependence",
    "known interventions",
    "injective rendering",
    "sparse mixing",
    "selection",
)


def card_of(process: Process, *, injective: str, sparse: str, rule: str = "") -> Mapping[str, str]:
    """The card of a world: `injective` and `sparse` say how it renders, `rule` what it selects by, if it does."""
    said = (
        _independence(process),
        _domains(process),
        _changes(process.config, len(process.model.names)),
        _time(process),
        _interventions(process.config),
        injective,
        sparse,
        _selection(process.config, rule),
    )
    return dict(zip(ASSUMPTIONS, said, strict=True))


def _independence(process: Process) -> str:
    edges, config = int(process.model.edges.sum()), process.config
    if edges:
        return f"No: {edges} edges make factors depend on each other in every domain."
    if process.rule is not None or config.combinations != "all":
        return "No: factors are drawn one by one, but which rows are kept makes them depend on each other."
    told = "domain and target" if config.interventions else "domain" if config.domains else "nothing"
    return f"Yes: given {told}, every factor is drawn by itself."


def _domains(process: Process) -> str:
    n, domains = len(process.model.names), process.config.domains
    if not domains:
        return "No: rows are of no domains."
    ways = _ways(process)
    kinked = process.model.noise in ("laplace", "uniform")
    verdict = "No" if ways < 2 * n else "Partly" if kinked else "Yes"
    return (
        f"{verdict}: {domains} domains, where {2 * n + 1} are needed, move means and scales in {ways} of {2 * n}"
        f" independent ways{', but densities have kinks' if kinked else ''}."
    )


def _ways(process: Process) -> int:
    """Rank of how the natural parameters of Gaussian factors, mean/scale² and 1/scale², differ over domains."""
    squared = np.square(process.model.scales * process.model.spread)
    natural = np.concatenate([process.model.means / squared, 1 / squared], axis=1)
    return int(np.linalg.matrix_rank(natural - natural[:1], tol=1e-6))


def _changes(config: ProcessConfig, n: int) -> str:
    if config.pairs == "augmented":
        return "No: both views are of the same factors."
    if config.pairs == "none":
        return "No: rows have one view."
    many = f"1 to {config.most_changed}" if config.most_changed > 1 else "1"
    verdict = "Yes" if 2 * config.most_changed <= n else "Partly"
    return f"{verdict}: {many} of {n} mechanisms are drawn again between the views of a row, and effects follow."


def _time(process: Process) -> str:
    config, model = process.config, process.model
    if not config.lag:
        return "No: rows have no past."
    if not config.carried and (config.instantaneous or not model.edges.any()):
        return "No: one step keeps nothing of the step before."
    when = "within the step" if config.instantaneous else "one step later"
    acting = f", causes act {when}" if model.edges.any() else ""
    if model.noise == "logistic":
        return f"Yes: one step keeps {config.carried:g} of a factor{acting}, and logistic noise is added."
    return (
        f"Partly: one step keeps {config.carried:g} of a factor{acting}, but the log-density of {model.noise} noise"
        " does not curve differently from place to place."
    )


def _interventions(config: ProcessConfig) -> str:
    if not config.interventions:
        return "No: there are none."
    return f"Yes: {config.interventions:.0%} of rows have one {config.intervention} intervention, its target told."


def _selection(config: ProcessConfig, rule: str) -> str:
    held = {
        "all": "",
        "training": "rows of the held-out combinations are left out",
        "held_out": "only rows of the held-out combinations are kept",
    }
    kept = [said for said in (rule, held[config.combinations]) if said]
    return f"Yes: {', and '.join(kept)}." if kept else "No: every row that is drawn is kept."
