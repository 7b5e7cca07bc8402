"""The bundled emoji: each as three vendors draw it, with its name, Unicode group and subgroup as known truth.

Concepts are the emoji that the bundled image pipeline was trained on; of a tenth of their (concept, style)
pairs it never saw the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes.errors import WorkbenchError
from probes.files import read_json, sha256_of
from probes.provenance import ROOT

FOLDER = ROOT / "assets" / "corpora" / "emoji"
STYLES = ("noto", "twemoji", "fluent")


class Emoji(NamedTuple):
    """One emoji: its code points, name, Unicode group and subgroup, and the styles it is drawn in."""

    code: str
    label: str
    group: str
    subgroup: str
    styles: tuple[str, ...]


class Pair(NamedTuple):
    """A concept in a style: one picture. `emoji` counts the entries of the corpus, `style` those of `STYLES`."""

    emoji: int
    style: int


def caption(label: str, style: str) -> str:
    """The prompt a picture was trained with."""
    return f"{label}, {style} style"


@dataclass(frozen=True)
class EmojiCorpus:
    """Entries in Unicode's order and, per style, their pictures, uint8 `emoji row column channel`."""

    entries: tuple[Emoji, ...]
    sheets: dict[str, NDArray[np.uint8]]
    concepts: tuple[int, ...]
    held_out: frozenset[Pair]

    def picture(self, pair: Pair) -> NDArray[np.uint8]:
        """One picture, `row column channel`."""
        return self.sheets[STYLES[pair.style]][pair.emoji]

    def pictures(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """Pictures of several pairs in [0, 1], float32 `pair channel row column`."""
        stacked = np.stack([self.picture(pair) for pair in pairs]).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(stacked).astype(np.float32) / np.float32(255)

    def caption(self, pair: Pair) -> str:
        """The prompt of a pair."""
        return caption(self.entries[pair.emoji].label, STYLES[pair.style])

    @cached_property
    def all_pairs(self) -> tuple[Pair, ...]:
        """Every picture there is."""
        return tuple(self._drawn(range(len(self.entries))))

    @cached_property
    def training_pairs(self) -> tuple[Pair, ...]:
        """What the bundled pipeline was trained on: the concepts in every style, but the held-out pairs."""
        return tuple(pair for pair in self._drawn(self.concepts) if pair not in self.held_out)

    def captions(self) -> Iterator[dict[str, Any]]:
        """Every concept in every style as an entry of a captioned corpus, with what is known of it as labels."""
        for at in self.concepts:
            one = self.entries[at]
            for style in one.styles:
                known = {"concept": one.label, "style": style, "group": one.group, "subgroup": one.subgroup}
                yield {"text": caption(one.label, style), "labels": known}

    def _drawn(self, emoji: Sequence[int]) -> Iterator[Pair]:
        for at in emoji:
            yield from (Pair(at, STYLES.index(style)) for style in self.entries[at].styles)


def read_emoji(folder: Path = FOLDER) -> EmojiCorpus:
    """The corpus in a folder. Raises `WorkbenchError` when a file is not the one its manifest names."""
    from PIL import Image

    manifest = read_json(folder / "manifest.json")
    for name, entry in manifest["files"].items():
        if not (folder / name).is_file() or sha256_of(folder / name) != entry["sha256"]:
            raise WorkbenchError(
                "changed-asset",
                f"{name} of the emoji corpus is missing or changed",
                "its hash is not the one in its manifest",
                "Check it out again, or run `make assets-emoji`.",
            )
    entries = tuple(
        Emoji(one["code"], one["label"], one["group"], one["subgroup"], tuple(one["styles"]))
        for one in read_json(folder / "emoji.json")
    )
    side, columns = manifest["side"], manifest["columns"]
    sheets = {}
    for style in STYLES:
        with Image.open(folder / f"{style}.png") as sheet:
            cells = np.asarray(sheet.convert("RGB")).reshape(-1, side, columns, side, 3).swapaxes(1, 2)
        sheets[style] = cells.reshape(-1, side, side, 3)[: len(entries)]
    split = read_json(folder / "split.json")
    at = {entry.code: number for number, entry in enumerate(entries)}
    held_out = frozenset(Pair(at[code], STYLES.index(style)) for code, style in split["held_out"])
    return EmojiCorpus(entries, sheets, tuple(at[code] for code in split["concepts"]), held_out)
