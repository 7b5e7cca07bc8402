"""The job that keeps a cell of a grid: a representation that outlives the run, and the graph of its latents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from app import grid_cells, jobs
from app.suite_runs import GRID
from concept_graphs.latent_methods import AUTO, METHODS
from probes.artefacts import MANIFEST, Parent, artefact_path, parent_of
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import commit_directory, read_json, sha256_of, slug
from probes.runs import Run

if TYPE_CHECKING:
    from probes.representations.grid import Outcome


class KeepConfig(Frozen):
    """Keep a cell of a grid as a representation, with the graph of its latents."""

    run: str = Field(description="Run of the grid that trained the cell.", min_length=1, max_length=64)
    cell: str = Field(
        description="Name of the cell, such as reconstruction-kl-0.3-seed-0-start-0.", min_length=1, max_length=200
    )
    name: str = Field(description="Name of the representation and of its graph.", min_length=1, max_length=64)
    method: Annotated[str, METHODS] = Field(
        default=AUTO, description="Causal discovery that proposes edges among the latents."
    )


def check(config: KeepConfig) -> None:
    """Raise `WorkbenchError` for a cell that is not there, and for a name that is taken."""
    grid_cells.kept(config.run, config.cell)
    for kind in ("representation", "graph"):
        target = artefact_path(kind, config.name)
        if target.exists():
            raise WorkbenchError(
                "name-taken",
                f"The cell cannot be kept as {config.name[:64]!r}",
                f"there is a {kind} called {target.name} already, and none is ever overwritten",
                "Choose another name.",
            )


def work(config: KeepConfig, run: Run) -> Path | None:
    """Keep the representation, then its graph, both under the name; returns the folder of the graph."""
    target = artefact_path("graph", config.name)
    if run.made(target):
        return target
    made_by = {"command": run.record().command, "run": run.slug}
    if not run.made(artefact_path("representation", config.name)):
        _keep(config, run, made_by)
    run.update(message="the graph among its latents")
    from concept_graphs.representation_graph import representation_graph
    from probes.representations.artefact import open_representation

    found = open_representation(target.name, names_only=True)
    graph = representation_graph(found, target.name, config.method)
    with commit_directory(target) as folder:
        graph.save(folder, parents={"representation": parent_of(target.name, "representation")}, **made_by)
    return target


def _keep(config: KeepConfig, run: Run, made_by: dict[str, str]) -> None:
    from probes.representations.artefact import save_representation

    run.update(message="opening the cell")
    found, grid = grid_cells.opened(config.run, config.cell), GRID.found(config.run)
    parents = {
        "grid": Parent(ref=grid.slug, sha256=_hash_of(grid)),
        "cell": Parent(ref=f"{grid.slug}/{config.cell}", sha256=sha256_of(_cell_file(grid, config.cell))),
    }
    save_representation(found, _outcome(grid, config.cell), config.name, parents=parents, **made_by)


def _cell_file(grid: Run, cell: str) -> Path:
    return grid.path / "cells" / f"{grid_cells.kept(grid.slug, cell).slug}.json"


def _outcome(grid: Run, cell: str) -> Outcome:
    from probes.representations.grid import Outcome

    return validated(Outcome, read_json(_cell_file(grid, cell)), what=f"The kept cell {cell}")


def _hash_of(grid: Run) -> str | None:
    """The hash of what a finished grid left; one that was stopped has kept cells and left nothing yet."""
    try:
        return sha256_of(GRID.folder(grid.slug) / MANIFEST)
    except WorkbenchError:
        return None


def kept_now(run: str, cell: str, name: str, method: str = AUTO) -> tuple[str, str]:
    """Keep a cell in this process, as the command does; (the name it got, the command line that does the same).

    Raises `WorkbenchError` for whatever is wrong.
    """
    from app.worker import execute

    config = jobs.config_for("keep", {"run": run, "cell": cell, "name": name.strip(), "method": method})
    execute(jobs.new_run("keep", config))
    return slug(name), jobs.command_line("keep", config)
