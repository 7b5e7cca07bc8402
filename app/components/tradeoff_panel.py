"""The minimality trade-off of a graph's probe: the curve, what it says, and the price to train with."""

from __future__ import annotations

from app.components.made_panel import MadePanel, Making, Shown
from app.components.plot_view import PlotlyView, figure_value
from app.pages.context import PageContext
from concept_graphs.tradeoff_curve import in_sentences, tradeoff_figure, tradeoff_of
from probes.artefacts import resolve
from probes.files import slug


def tradeoff_panel(context: PageContext) -> None:
    """Build it where it is called."""
    library = context.graphs

    def shown(ref: str) -> Shown | None:
        meta = library.open(ref).graph.meta
        found = tradeoff_of(meta.probe)
        if found is None:
            resolve(meta.store, "store", names_only=True)  # without its rows there is nothing to hold out
            return None
        said = in_sentences(found)
        figure = figure_value(tradeoff_figure(found), label=said[0], key=f"trade-off of {meta.probe}")
        return Shown(figure, "\n".join(said))

    def making(ref: str) -> Making:
        meta = library.open(ref).graph.meta
        name = slug(f"tradeoff {meta.probe}")
        own = {"probe": meta.probe, "store": meta.store}
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
