"""Pinned comparisons: steering runs a person keeps for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.artefacts import home
from probes.errors import WorkbenchError
from probes.files import confined, read_json, slug, write_json

if TYPE_CHECKING:
    from steering.comparison import Pinned

# Pictures make a pin large: they are kept at most this wide and high, and without those on the way.
LONGEST = 512
PIN_BYTES = 64 * 2**20
ADDRESS = "data:image/png;base64,"


def pin(found: Pinned | Mapping[str, Any]) -> str:
    """Keep a comparison in the data folder, never over another one; returns the name the report knows it by."""
    data = json.loads(json.dumps(found)) if isinstance(found, Mapping) else found.model_dump(mode="json")
    if "seeds" in data:
        data = _smaller(data)
    folder = home() / "pins"
    folder.mkdir(parents=True, exist_ok=True)
    title = slug(data["prompt"][:40], "comparison")[:40].rstrip("._-") or "comparison"
    at = 1
    while (path := confined(folder, f"{at:03d}-{title}.json")).exists():
        at += 1
    write_json(path, data)
    return path.stem


def read_pin(name: str) -> Pinned:
    """A pinned comparison by name, or by the path of a file that `steer --json` wrote.

    Raises `WorkbenchError` for anything else, and for pictures that are files of a folder.
    """
    from probes.configs import validated
    from steering.comparison import Comparison, PictureComparison

    path = Path(name)
    if path.suffix != ".json" or not path.is_file():
        path = confined(home() / "pins", f"{name}.json")
    if not path.is_file():
        raise WorkbenchError(
            "no-pin",
            f"There is no pinned run called {name[:80]!r}",
            "its file does not exist",
            "Pin a comparison on the Steer page, or give the path of a file that steer --json wrote.",
        )
    data: Any = read_json(path, limit=PIN_BYTES)
    what = f"The pinned run {path.stem[:80]}"
    if not (isinstance(data, dict) and "seeds" in data):
        return validated(Comparison, data, what=what)
    found = validated(PictureComparison, data, what=what)
    shots = [found.unsteered, found.steered, *found.controls]
    counts = {len(found.difference), *(len(row.pictures) for row in shots)}
    if counts != {len(found.seeds)} or not found.seeds:
        raise _unusable(what, "it has not one picture per seed")
    if not all(one.startswith(ADDRESS) for one in _pictures(found.model_dump(mode="json"))):
        raise _unusable(what, "its pictures are not inside the file")
    return found


def _unusable(what: str, why: str) -> WorkbenchError:
    return WorkbenchError(
        "bad-pin", f"{what} cannot be shown", why, "Use a file that steer --json wrote without --out."
    )


def _pictures(data: Mapping[str, Any]) -> list[str]:
    rows = [data["unsteered"], data["steered"], *data["controls"]]
    return [*data["difference"], *(picture for row in rows for picture in row["pictures"])]


def _smaller(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same with what a report does not show left out and large pictures reduced."""

    def row(shots: Mapping[str, Any]) -> dict[str, Any]:
        return {**shots, "pictures": [_reduced(one) for one in shots["pictures"]]}

    return {
        **data,
        "unsteered": row(data["unsteered"]),
        "steered": row(data["steered"]),
        "controls": [row(one) for one in data["controls"]],
        "difference": [_reduced(one) for one in data["difference"]],
        "previews": [],
    }


def _reduced(address: str) -> str:
    """A picture's data address with its longer side at most `LONGEST`; a smaller picture stays as it is."""
    import base64
    import io

    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(address.removeprefix(ADDRESS))), formats=["PNG"])
    if max(image.size) <= LONGEST:
        return address
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    image.save(held, "PNG", optimize=True)
    return ADDRESS + base64.b64encode(held.getvalue()).decode()
