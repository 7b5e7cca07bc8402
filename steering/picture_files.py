"""Pictures and masks as files: PNG bytes, data addresses, and masks a person painted."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probes.errors import WorkbenchError
from probes.files import atomic_write, slug
from probes.masks import Mask

if TYPE_CHECKING:
    from torch import Tensor

    from steering.picture_measures import Keep

# Finer than any grid a denoiser computes on; larger masks are reduced to it.
FINEST = 256
LARGEST_PIXELS = 2**24
LARGEST_BYTES = 20 * 2**20


def png_bytes(picture: Tensor) -> bytes:
    """`channel h w` in [0, 1] as a PNG file; one channel is grey."""
    from PIL import Image

    levels = (picture.detach().float().cpu().clamp(0, 1) * 255).round().byte().numpy()
    rows = levels[0] if len(levels) == 1 else np.moveaxis(levels[:3], 0, -1)
    buffer = io.BytesIO()
    Image.fromarray(rows).save(buffer, format="PNG")
    return buffer.getvalue()


def as_address(name: str, picture: Tensor) -> str:
    """The picture itself as a data address, for a page or a pinned run."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(picture)).decode()


def into_folder(folder: Path) -> Keep:
    """Keeps pictures as files of a folder and gives their names there."""
    folder.mkdir(parents=True, exist_ok=True)

    def keep(name: str, picture: Tensor) -> str:
        file = f"{slug(name)[:60]}.png"
        atomic_write(folder / file, png_bytes(picture))
        return file

    return keep


def mask_from_file(path: Path) -> Mask:
    """`mask_from_bytes` of a file. Raises `WorkbenchError` also where there is none."""
    name = f"The mask {path.name}"
    if not path.is_file():
        raise _unusable(name, "there is no such file")
    if path.stat().st_size > LARGEST_BYTES:
        raise _unusable(name, "it has more than 20 MB")
    return mask_from_bytes(path.read_bytes(), name)


def mask_from_bytes(content: bytes, name: str = "The mask") -> Mask:
    """A mask from an image file: white is all of it and black nothing; where the file is transparent in places
    and plain in colour, what is painted is what is not transparent.

    Raises `WorkbenchError` for what is no picture, is too large, or has nothing painted.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        opened: Any = Image.open(io.BytesIO(content))
        if opened.width * opened.height > LARGEST_PIXELS:
            raise _unusable(name, f"it has {opened.width} x {opened.height} pixels, more than 16 million")
        opened.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unusable(name, "it is no picture that can be read") from error
    if opened.mode in {"RGBA", "LA", "PA"} and opened.getchannel("A").getextrema()[0] < 255:
        grey = opened.getchannel("A")
    else:
        grey = opened.convert("L")
    scale = min(1.0, FINEST / max(grey.size))
    if scale < 1:
        size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
        grey = grey.resize(size, Image.Resampling.BOX)
    levels = np.asarray(grey, dtype=np.float64) / 255
    if not levels.any():
        raise _unusable(name, "nothing is painted on it")
    return Mask.of(levels)


def _unusable(name: str, why: str) -> WorkbenchError:
    return WorkbenchError("bad-mask", f"{name} cannot be used", why, "Paint white where the lever shall act.")
