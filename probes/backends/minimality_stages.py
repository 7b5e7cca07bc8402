"""What a training by causal minimality optimises, one stage after the other: each dictionary, then all together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from probes.activations.nested_rows import NestedRows, Storey
from probes.activations.rows import RowKind
from probes.activations.store import ActivationStore
from probes.backends.backend import Stage
from probes.backends.minimality_config import Config, level_configs, trained_parts
from probes.errors import WorkbenchError
from probes.hierarchy.joint import SAMPLE_ROWS, joint_objective
from probes.hierarchy.train_level import (
    LevelConfig,
    level_autoencoder,
    level_objective,
    placed,
    places_of,
    rows_for,
    trajectory_objective,
)
from probes.training.ranks import world

JOINT = "joint"  # the stage in which all levels are trained on together


def stage_of(config: Config, store: ActivationStore, name: str) -> Stage:
    """The objective of one dictionary, on the rows of a store."""
    level, number = trained_parts(config)[name], list(trained_parts(config)).index(name)
    seed = config.seed * 1000 + number
    if config.trajectory != "each":
        levels = list(level_configs(config).values())
        _refuse_apart(store, levels)
        places = [placed(level, one) for one in levels]
        parts = [rows_for(store, one, seed + at, share=len(levels)) for at, one in enumerate(places)]
        modulates = config.trajectory == "conditioned"
        objective, batch_at = trajectory_objective(parts, level, seed, modulates=modulates)
        return Stage(name, sum(part.n_rows for part in parts), objective, batch_at, level.optimiser)
    rows = rows_for(store, level, seed)
    return Stage(name, rows.n_rows, level_objective(rows, level, seed), rows.batch_at, level.optimiser)


def _refuse_apart(store: ActivationStore, levels: Sequence[LevelConfig]) -> None:
    """One dictionary for several levels needs them at one hook point, in bands."""
    places = [places_of(store, level) for level in levels]
    apart = len({place.point for place in places}) > 1 or len({str(place.where) for place in places}) < len(places)
    if apart or not all(place.single for place in places):
        raise WorkbenchError(
            "no-trajectory",
            "The levels cannot share a dictionary",
            "they read at " + ", ".join(map(str, places)),
            "Give them different noise bands of one hook point, or train with trajectory=each.",
        )


def stages(config: Config, store: ActivationStore) -> Iterator[Stage]:
    """Every dictionary, lowest first. The maps come after: they need the trained dictionaries."""
    return (stage_of(config, store, name) for name in trained_parts(config))


def joint_stage(config: Config, store: ActivationStore, states: Mapping[str, dict[str, Tensor]]) -> Stage:
    """All levels, each trained before to the state given, and the maps between them as one objective."""
    levels = level_configs(config)
    seed = config.seed * 1000 + len(levels)
    storeys = {n: Storey(places_of(store, level).point, RowKind(span=level.span)) for n, level in levels.items()}
    rows = NestedRows(store, storeys, batch=config.joint.optimiser.batch, seed=seed)
    trained = {}
    for number, (name, level) in enumerate(levels.items()):
        module = level_autoencoder(store, level, seed=config.seed * 1000 + number)
        module.load_state_dict(states[name])
        trained[name] = (level, module)
    batches = min(rows.n_rows, SAMPLE_ROWS) // rows.batch
    objective = joint_objective(trained, rows.batch_at, config.joint, config.maps, batches=batches, seed=seed)
    return Stage(JOINT, rows.n_rows, objective, rows.batch_at, config.joint.optimiser)


def refuse_joint(config: Config, store: ActivationStore) -> None:
    """Before anything is trained: whether all levels can be trained on together. Raises `WorkbenchError` if not."""
    if store.index.fed_with == "images" or config.trajectory != "each":
        raise WorkbenchError(
            "no-joint-bands",
            "Noise bands cannot be trained together",
            "the cells of one band are not the cells of another, so no batch holds the rows of all levels",
            "Train without joint.train.",
        )
    if not all(places_of(store, level).single for level in level_configs(config).values()):
        raise WorkbenchError(
            "bad-config",
            "The levels cannot be trained together",
            "one of them reads or writes at more than one hook point",
            "Choose dictionaries of one place, or leave joint.train out.",
        )
    if world() > 1:
        raise WorkbenchError(
            "cannot-divide",
            "Several processes cannot train the levels together",
            "the rows of a joint batch are not equally many in each process's share",
            "Train with one process, or without joint.train.",
        )
