"""The minimality trade-off of a graph's probe: the curve, what it says, and the price to train with."""

from __future__ import annotations

from app.components.made_panel import MadePanel, Making, Shown
from app.components.plot_view import PlotlyView, figure_value
from app.pages.context import PageContext
from concept_graphs.of_probe import probe_of
from concept_graphs.tradeoff_curve import in_sentences, tradeoff_figure, tradeoff_of
from probes.artefacts import available
from probes.errors import WorkbenchError
from probes.files import slug

WHAT = "trade-off of edges against bits"


def needs_rows(store: str, subject: str) -> None:
    """Raises `WorkbenchError` where the rows a probe was trained on are not here: then nothing can be held out."""
    if store in available("store"):
        return
    raise WorkbenchError(
        "no-store",
        "The trade-off needs the rows that this graph's probe was trained on",
        f"its activation store {store!r} is not here; what ships comes without the gigabytes behind it",
        f"Capture {subject} again under that name, as the scripts in assets do, or measure your own probe.",
    )


def tradeoff_panel(context: PageContext) -> None:
    """Build it where it is called."""
    library = context.graphs

    def shown(ref: str) -> Shown | None:
        meta = library.open(ref).graph.meta
        probe = probe_of(meta, WHAT)
        found = tradeoff_of(probe)
        if found is None:
            needs_rows(meta.store, meta.subject)
            return None
        said = in_sentences(found)
        figure = figure_value(tradeoff_figure(found), label=said[0], key=f"trade-off of {probe}")
        return Shown(figure, "\n".join(said))

    def making(ref: str) -> Making:
        meta = library.open(ref).graph.meta
        probe = probe_of(meta, WHAT)
        name = slug(f"tradeoff {probe}")
        own = {"probe": probe, "store": meta.store}
        return Making("evaluate", {"suite": "tradeoff", "name": name, "tradeoff": own})

    panel = MadePanel(
        "Trade-off: edges against held-out bits",
        lambda: PlotlyView(None, elem_id="tradeoff-plot"),
        elem_id="tradeoff",
        button="Measure the trade-off (minutes: a map per price, fold and pair)",
        shown=shown,
        making=making,
        threads=context.settings.threads,
    )
    panel.wire(context.graph_ref)
