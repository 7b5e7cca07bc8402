"""The workbench as a web application: one page of tabs, its own static files, guarded and offline."""

from __future__ import annotations

import json
import logging
import os
import socket
from importlib import import_module
from typing import Any

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.middleware.gzip import GZipMiddleware

from app.atlases import atlas_json
from app.comparing import compare_on_graph
from app.components.base import versioned
from app.components.lever_rack import LeverRack
from app.components.notice_bar import NoticeBar, notices
from app.components.theme import theme
from app.desk import operations
from app.events import QUIET
from app.graphs import GraphLibrary, parsed_view, view_json
from app.models import subject_pool
from app.pages.context import Compare, PageContext
from app.security import Guard
from app.settings import Settings
from app.static import static_routes
from probes.artefacts import home
from probes.errors import WorkbenchError
from probes.kernels.warm_up import start_in_background

LOG = logging.getLogger(__name__)
DEFAULT_GRAPH = "bundled/text"
# In the order of the work; a page is a module with `build(context)`.
PAGES = {
    "Graph": "app.pages.graph",
    "Steer": "app.pages.steer",
    "Train": "app.pages.train",
    "Identifiability": "app.pages.identifiability",
    "Grid": "app.pages.grid",
    "Runs": "app.pages.runs",
    "Report": "app.pages.report",
}

# On a narrow screen the tabs that do not fit are items of a menu, which have no ids.
TAB_OF = """const tabOf = (name, title) => document.getElementById(`tab-${name}-button`)
  ?? [...document.querySelectorAll(".overflow-dropdown button")].find((one) => one.textContent.trim() === title);"""
# The first tab also tells of its selection while the page is being built, before the address was read.
PUT_TAB = """() => { %(tab_of)s if (!window.fulcrumArrived) return;
  if (!tabOf("%(name)s", "%(title)s")?.classList.contains("selected")) return;
  const u = new URL(location); u.searchParams.set("tab", "%(name)s"); history.replaceState(null, "", u); }"""
# Clicking, because a tab chosen by a handler is lost while the page is being built; it also tells listeners.
OPEN_TAB = """() => { %(tab_of)s window.fulcrumArrived = true;
  const name = new URL(location).searchParams.get("tab"), title = %(titles)s[name];
  if (title) tabOf(name, title)?.click(); }"""


def create_app(settings: Settings, *, compare: Compare = compare_on_graph, pool: Any = None) -> FastAPI:
    """The whole application. `compare` and `pool` can be exchanged, so that pages are tested without a model."""
    library = GraphLibrary()
    context = PageContext(
        settings=settings,
        graphs=library,
        pool=pool or subject_pool(dtype=settings.dtype, device=_device(settings), offline=settings.offline),
        compare=compare,
        default_graph=_default_graph(library),
    )
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(static_routes())

    @app.get("/graph/view.json")
    def view(ref: str = "", view: str = "", width: int = 1000) -> JSONResponse:
        try:
            return JSONResponse(view_json(library.open(ref[:200]), parsed_view(view[:4000], width)))
        except WorkbenchError as error:
            return JSONResponse({"message": str(error)}, status_code=404)

    @app.get("/graph/atlas.json")
    def atlas(ref: str = "", width: int = 1000) -> JSONResponse:
        try:
            return JSONResponse(atlas_json(library.open(ref[:200]), width))
        except WorkbenchError as error:
            return JSONResponse({"message": str(error)}, status_code=404)

    app.add_middleware(GZipMiddleware, minimum_size=2000)
    app.add_middleware(Guard, hosts=(settings.host,))
    mounted = gr.mount_gradio_app(
        app,
        build_page(context),
        path="/",
        allowed_paths=[],
        max_file_size="20mb",
        blocked_paths=[str(home())],
        show_error=False,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        theme=theme(),
        head=f'<link rel="stylesheet" href="{versioned("fulcrum.css")}">',
    )
    assert isinstance(mounted, FastAPI)
    return mounted


def build_page(context: PageContext) -> gr.Blocks:
    """All tabs on one page: events cannot cross pages, and a lever travels from Graph to Steer."""
    with gr.Blocks(title="Fulcrum", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)) as page:
        context.rack = LeverRack(operations=operations(), elem_id="lever-rack", render=False)
        context.graph_ref = gr.State(context.default_graph)
        with gr.Tabs(elem_id="tabs") as tabs:
            context.tabs = tabs
            for name, module in PAGES.items():
                with gr.Tab(name, id=name.lower(), elem_id=f"tab-{name.lower()}") as tab:
                    context.tab = tab
                    _build_tab(context, name, module)
                tab.select(None, js=PUT_TAB % {"tab_of": TAB_OF, "name": name.lower(), "title": name}, **QUIET)
        if context.rack._id not in page.blocks:  # the Steer page, where it stands, could not be built
            with gr.Column(visible=False):
                context.rack.render()
        titles = json.dumps({name.lower(): name for name in PAGES})
        page.load(None, js=OPEN_TAB % {"tab_of": TAB_OF, "titles": titles}, **QUIET)
    page.queue(default_concurrency_limit=2, max_size=32)
    return page


def _build_tab(context: PageContext, name: str, module: str) -> None:
    """One page in the current tab. One that cannot be built shows why; the others come up all the same."""
    with gr.Column() as body:
        try:
            import_module(module).build(context)
            return
        except Exception as error:  # whatever is wrong in one page is no reason to refuse the rest
            LOG.exception("the %s page could not be built", name)
            body.visible = False
            broken = WorkbenchError(
                "broken-page",
                f"The {name} page cannot be shown",
                f"{type(error).__name__}: {error}"[:300],
                "The other pages work; install Fulcrum again to mend this one.",
            )
    NoticeBar(notices([str(broken)]), elem_id=f"broken-{name.lower()}")


def serve(settings: Settings) -> None:
    """Serve until interrupted. Raises `WorkbenchError` when the port is taken."""
    import uvicorn

    # Gradio asks matplotlib which backend it has before every answer, and matplotlib would load all of itself to tell.
    os.environ.setdefault("MPLBACKEND", "agg")
    _free_port(settings)
    app = create_app(settings)
    if settings.kernels != "torch":
        start_in_background()
    print(f"Fulcrum is at http://{settings.host}:{settings.port}", flush=True)
    uvicorn.run(app, host=settings.host, port=settings.port, log_level="warning", timeout_graceful_shutdown=2)


def _free_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise WorkbenchError(
                "port-in-use",
                f"Port {settings.port} on {settings.host} cannot be used",
                error.strerror or str(error),
                "Stop the other server, or choose another port with --port.",
            ) from error


def _default_graph(library: GraphLibrary) -> str:
    names = library.names()
    return DEFAULT_GRAPH if DEFAULT_GRAPH in names or not names else names[0]


def _device(settings: Settings) -> str:
    return "cpu" if settings.device == "auto" else settings.device
