"""Pictures of a data set: measured before they are decoded, then brought to one size."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probes.errors import WorkbenchError
from probes.worlds.causalverse.stored import refused

Picture = NDArray[np.uint8]
MOST_PIXELS = 2**24
MOST_BYTES = 64 * 2**20
FORMATS = ("PNG", "JPEG")
MODES = {"1", "L", "LA", "P", "RGB", "RGBA"}  # eight bits a channel: deeper ones would be clipped without a word


def picture_file(path: Path, size: int, what: str) -> Picture:
    """`picture` of a file."""
    if path.stat().st_size > MOST_BYTES:
        raise _unusable(what, f"it has more than {MOST_BYTES >> 20} MiB")
    return picture(path.read_bytes(), size, what)


def picture(content: bytes, size: int, what: str) -> Picture:
    """A picture file's content as `3 size size`, squeezed where it is no square, as published baselines do.

    Raises `WorkbenchError` for what is no PNG or JPEG, is damaged, or has too many pixels to decode.
    """
    from PIL import Image

    if len(content) > MOST_BYTES:
        raise _unusable(what, f"it has more than {MOST_BYTES >> 20} MiB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened: Any = Image.open(io.BytesIO(content), formats=FORMATS)
        if opened.width * opened.height > MOST_PIXELS:
            raise _unusable(what, f"it has {opened.width} x {opened.height} pixels, more than {MOST_PIXELS:,}")
        if opened.mode not in MODES:
            raise _unusable(what, f"its pixels are of kind {opened.mode}, not of eight bits")
        small = opened.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _unusable(what, f"it has more than {MOST_PIXELS:,} pixels") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # whatever a damaged file makes Pillow raise
        raise _unusable(what, "it is no PNG or JPEG that can be read") from error
    return np.ascontiguousarray(np.asarray(small, dtype=np.uint8).transpose(2, 0, 1))


def _unusable(what: str, why: str) -> WorkbenchError:
    return refused(what, why, "Fetch or export this picture again.")
