"""The server's own files: plotly.js of the installed package, the scripts and styles of the components."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from app.components.base import WEB

FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
# A closed list: no part of a request ever becomes a path.
OWN = {"fulcrum.js": "text/javascript", "fulcrum.css": "text/css"}


def plotly_file() -> Path:
    """plotly.min.js as the installed plotly package carries it."""
    spec = find_spec("plotly")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


def static_routes() -> APIRouter:
    """Routes under /static. Addresses carry a version, so answers may be kept for ever."""
    router = APIRouter(prefix="/static", include_in_schema=False)

    @router.get("/plotly.min.js")
    def plotly() -> Response:
        return FileResponse(plotly_file(), media_type="text/javascript", headers=FOREVER)

    @router.get("/{name}")
    def own(name: str) -> Response:
        if name not in OWN:
            return Response(status_code=404)
        return FileResponse(WEB / name, media_type=OWN[name], headers=FOREVER)

    return router
