"""An opened cell of a grid, as the Grid page shows it; torch comes with the first cell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from app import jobs
from app.grid_cell_figures import bars_figure, match_figure, pictures_figure, steps_figure
from app.grids import KeptCell, Pair, in_words, kept_cells, marked
from app.heat_maps import Figure
from app.progress import duration
from app.suite_runs import GRID
from concept_graphs.latent_methods import AUTO, METHODS, method_among, method_called
from concept_graphs.text import number
from probes.errors import WorkbenchError

if TYPE_CHECKING:
    from probes.representations.opening import OpenedCell

FACTOR_COLUMNS = {"factor": "28%", "its latent": "24%", "MCC ↑": "24%", "R² ↑": "24%"}
MEASURE_COLUMNS = {"measure": "30%", "value": "18%", "what it is": "52%"}
ARROWS = {"up": "↑", "down": "↓", "": ""}
STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # standard deviations of the latent
EXTREMES = 6  # held-out rows at either end, where nothing can be decoded


def pair_choices(cells: Sequence[KeptCell]) -> list[tuple[str, str]]:
    """(in words, name) of every pair that has a cell."""
    pairs: dict[Pair, KeptCell] = {cell.pair: cell for cell in cells}
    return [(" × ".join(marked(name, cell.told) for name in pair), "/".join(pair)) for pair, cell in pairs.items()]


def cell_choices(cells: Sequence[KeptCell], pair: str) -> list[tuple[str, str]]:
    """(in words, name) of the cells of a pair, the first world first."""
    own = [cell for cell in cells if "/".join(cell.pair) == pair]
    return [(cell.called, cell.slug) for cell in sorted(own, key=lambda one: (one.seed, one.restart, one.weight))]


def cell_of(slug: str, pair: str, cell: str) -> str:
    """The cell where it is one of the pair, else the first of the pair; where the pair has none, the cell as it is."""
    own = [name for _, name in cell_choices(kept_cells(GRID.found(slug)), pair)]
    return cell if cell in own or not own else own[0]


def kept(slug: str, cell: str) -> KeptCell:
    """A kept cell by the name that a browser gives. Raises `WorkbenchError` where there is none."""
    for one in kept_cells(GRID.found(slug)):
        if one.slug == cell:
            return one
    raise WorkbenchError(
        "no-cell", f"There is no cell {str(cell)[:60]!r}", "the run has not kept it", "Choose another."
    )


def opened(slug: str, cell: str) -> OpenedCell:
    """A cell of a run, ready to be looked into; the last few stay open."""
    # A run of the same name may come after this one was deleted: when it was made is part of what is remembered.
    return _opened(slug, kept(slug, cell).slug, GRID.found(slug).record().created)


@lru_cache(maxsize=3)
def _opened(slug: str, name: str, made: str) -> OpenedCell:
    from probes.representations.cell import Cell
    from probes.representations.opening import OpenedCell
    from probes.representations.recipe import recipe_of

    run, one = GRID.found(slug), kept(slug, name)
    config = getattr(jobs.load_config(run), GRID.section)
    cell = Cell(task=one.task, constraint=one.constraint, weight=one.weight, seed=one.seed, restart=one.restart)
    return OpenedCell(recipe_of(config, cell), run.path / "weights" / f"{cell.slug}.safetensors")


def factor_table(cell: KeptCell, found: OpenedCell) -> list[list[str]]:
    """Per factor the latent that stands for it, and how well; on combinations training never saw in rows of their own,
    where the world holds some out."""
    names = found.names
    own = [names[latent] if latent >= 0 else "none" for latent in found.matched.tolist()]
    rows = []
    for kind, said in (("", ""), ("_new", ", new combinations")):
        if f"mcc{kind}" in cell.by_factor:
            measured = zip(
                found.world.names, own, cell.by_factor[f"mcc{kind}"], cell.by_factor[f"r2{kind}"], strict=True
            )
            rows += [[f"{factor}{said}", latent, number(mcc), number(r2)] for factor, latent, mcc, r2 in measured]
    return rows


def measure_table(cell: KeptCell) -> list[list[str]]:
    """Every measure of a cell that the grid has, and those of its blocks; with the reason where one is left out."""
    from app.suites.grid import MEASURES

    found = []
    for name, (unit, better) in MEASURES.items():
        called = f"{in_words(name)} {ARROWS[better]}".strip()
        if name in cell.values:
            found.append([called, number(cell.values[name]), unit])
        elif name in cell.left_out:
            found.append([called, "–", f"left out: {cell.left_out[name]}"])
    for name, value in cell.values.items():
        if name.startswith("block."):
            _, block, part = name.split(".")
            found.append([f"{block}: {'R²' if part == 'r2' else part}", number(value), "of this block alone"])
    return found


def matches(found: OpenedCell) -> Figure:
    """|Correlation| of every factor with every latent."""
    return match_figure(found.correlation().tolist(), found.world.names, found.names)


def latent_choices(found: OpenedCell) -> list[tuple[str, int]]:
    """(in words, place) of the latents, those of factors first."""
    order = [int(at) for at in found.matched if at >= 0]
    rest = [at for at in range(len(found.names)) if at not in order]
    return [(found.names[at], at) for at in (*order, *rest)]


def traversal(found: OpenedCell, latent: int, row: int, step: float) -> tuple[str, Figure, Figure]:
    """(what is shown, where the slider is, several steps side by side) of a latent around a held-out row.

    Without a decoder: the held-out rows at both ends of the latent. Raises `WorkbenchError` for a row that is not
    there.
    """
    latent = min(max(int(latent), 0), len(found.names) - 1)
    if not found.decodes:
        return _ends(found, latent)
    if not 0 <= row < len(found.codes):
        why = f"there are rows 0 to {len(found.codes) - 1}"
        raise WorkbenchError("no-row", f"There is no held-out row {row}", why, "Choose one of these.")
    return _decoded(found, latent, row, float(step))


def _decoded(found: OpenedCell, latent: int, row: int, step: float) -> tuple[str, Figure, Figure]:
    import numpy as np

    from probes.representations.opening import traversed

    name, deviations = found.names[latent], f"{step:+.1f} standard deviations".replace("-", "−")
    side = traversed(found, latent, row, np.array(STEPS))
    now = traversed(found, latent, row, np.array([step]))[0]
    said = (
        f"Latent {name} of held-out row {row}, moved and decoded; everything else stays. The slider is at {deviations}."
    )
    labels = [f"{one:+.0f}".replace("-", "−") if one else "0" for one in STEPS]
    if found.model.spec.picture:
        here = pictures_figure(
            [_picture(found.seen([row])[0]), _picture(side[STEPS.index(0.0)]), _picture(now)],
            ["as seen", "decoded", deviations.replace(" standard deviations", " sd")],
            "<b>Here</b>",
        )
        return said, here, pictures_figure([_picture(one) for one in side], labels, "<b>From −3 to +3 sd</b>")
    flat = side.reshape(len(STEPS), -1).tolist()
    here = bars_figure(
        {"decoded as it is": flat[STEPS.index(0.0)], f"moved by {step:+.1f} sd": now.ravel().tolist()},
        "<b>Here</b>: dimensions of x",
    )
    return said, here, steps_figure(flat, labels)


def _ends(found: OpenedCell, latent: int) -> tuple[str, Figure, Figure]:
    from probes.representations.opening import extremes

    low, high = extremes(found, latent, EXTREMES)
    task = in_words(found.cell.task)
    said = (
        f"The task {task} has no decoder, so nothing can be decoded from a moved latent. Instead: the held-out rows "
        f"in which latent {found.names[latent]} is lowest and highest."
    )
    figures = []
    for rows, called in ((low, "lowest"), (high, "highest")):
        labels = [number(float(found.codes[row, latent])) for row in rows]
        seen = found.seen(rows)
        if found.model.spec.picture:
            figures.append(
                pictures_figure([_picture(one) for one in seen], labels, f"<b>Latent {called}</b>: its value")
            )
        else:
            series = {f"row {row}": one.ravel().tolist() for row, one in zip(rows[:3].tolist(), seen, strict=False)}
            figures.append(bars_figure(series, f"<b>Latent {called}</b>: dimensions of x"))
    return said, figures[0], figures[1]


def _picture(pixels: Any) -> str:
    """A picture, bytes or in [0, 1], as a data address."""
    import torch

    from steering.picture_files import as_address

    found = torch.as_tensor(pixels).float()
    return as_address("", found / 255 if pixels.dtype.kind == "u" else found)


def method_choices() -> list[tuple[str, str]]:
    """(in words, name) of the ways to look for a graph among latents."""
    return [("by size" if name == AUTO else method_called(name), name) for name in METHODS]


def method_costs(found: OpenedCell) -> str:
    """How long each way may take on the latents of an opened cell; one test is timed for it."""
    from concept_graphs.latent_graph import MOST_COLUMNS

    columns = found.codes[:, found.spread > 1e-9]
    chosen, size = method_called(method_among(AUTO, columns.shape[1])), columns.shape[1]
    if size > MOST_COLUMNS:
        return f"{size} latents vary; a graph is looked for among at most {MOST_COLUMNS}."
    try:
        slow = {method_called(name): METHODS.load(name).seconds(columns) for name in METHODS if name != AUTO}
    except WorkbenchError as error:  # causal-learn comes with an extra
        return f"{error.why}. {error.how}"
    told = [f"{called} takes at most {duration(seconds)}" for called, seconds in slow.items() if seconds]
    rest = " and ".join(called for called, seconds in slow.items() if not seconds)
    return f"By size is {chosen} among these {size} latents. {'; '.join([*told, f'{rest} a few seconds'])}."


def graphs(found: OpenedCell, method: str) -> tuple[str, Figure, Figure]:
    """(sentences, the world's graph, the graph among latents). Raises `WorkbenchError` without causal-learn."""
    from concept_graphs.latent_figure import latent_figures
    from concept_graphs.latent_graph import latent_graph
    from concept_graphs.latent_words import sentences

    chosen = method if method in METHODS else AUTO
    graph = latent_graph(
        found.codes, found.factors, found.matched.tolist(), found.world.edges, found.world.names, chosen
    )
    said = sentences(graph)
    if found.world.domains:
        said.append("Domains move several factors at once: what factors share by their domain can look like an edge.")
    return "\n".join(said), *latent_figures(graph)
