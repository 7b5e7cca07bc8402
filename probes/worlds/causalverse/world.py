"""CausalVerse as a world of factors: stored rows, split once into a part to train on and one to test on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from probes.configs import Variant
from probes.errors import WorkbenchError
from probes.worlds.causalverse.columns import Factors, domains_of, factors_of, refuse_constant
from probes.worlds.causalverse.exported import read_exported
from probes.worlds.causalverse.layouts import Split, find_split
from probes.worlds.causalverse.parquet import read_parquet
from probes.worlds.causalverse.stored import Rows, Stored, quoted, refused
from probes.worlds.causalverse.video import read_video
from probes.worlds.factors import FactorSample, Part
from probes.worlds.world import Array, Flags, generators

MOST_DRAWN = 4 * 2**30  # bytes of x
MOST_KEPT = 2 * 2**30  # bytes of what was read, kept for the next draw


class CausalVerseOptions(Variant):
    """Pictures or latent videos of CausalVerse, from a folder that somebody downloaded."""

    kind: Literal["causalverse"] = Field(default="causalverse", description="Its world.")
    folder: str = Field(default="", description="The folder that holds the splits.", max_length=4096)
    split: str = Field(default="", description="Which split; may be empty where there is one.", max_length=200)
    layout: Literal["auto", "exported", "parquet", "video"] = Field(
        default="auto", description="How the split is stored; auto looks."
    )
    size: int = Field(default=64, description="Pixels a side that pictures are brought to.", ge=8, le=512)
    held_out: float = Field(default=0.2, description="Share of the scenes that only tests see.", gt=0, lt=1)
    seed: int = Field(default=0, description="Decides which scenes those are.", ge=0)
    lag: int = Field(default=0, description="Earlier frames that the past of a row of a video holds.", ge=0, le=64)
    leave_out: tuple[str, ...] = Field(
        default=(), description="Columns that are no factors; * in a name stands for anything.", max_length=1000
    )
    answers: tuple[str, ...] = Field(
        default=(), description="Factors a supervised task is asked for; all where none is named.", max_length=1000
    )


class CausalVerse:
    """The world. Its rows are what they are: the seed that other worlds grow from changes nothing here."""

    Config = Options = CausalVerseOptions

    def __init__(self, config: CausalVerseOptions, seed: int = 0) -> None:
        self.config = config
        self._stored = stored = _stored(config)
        factors = factors_of(stored, config.leave_out)
        has_past = _has_past(stored, config.lag)
        self._parts = {
            part: rows[has_past[rows]]
            for part, rows in _parts(stored.ids, config.held_out, config.seed, stored.name).items()
        }
        refuse_constant(factors, self._parts["train"], stored.name)
        self._factors = factors.values.astype(np.float32)
        self.asked = tuple(_places(config.answers, factors.names))
        self.moved: Flags | None = None
        self._answers = _standardised(factors.values, self._parts["train"])[:, self.asked]
        self._domain = None if stored.views is None else domains_of(stored.views, stored.name)
        self._others = None if self._domain is None else _others(stored.scenes, self._domain)
        self.names = factors.names
        self.words: tuple[str, ...] = ()
        self.edges: Flags = np.zeros((len(self.names),) * 2, dtype=np.bool_)
        self.shape = stored.shape
        # A number of a scene is its label: those between may be missing, and what only tests hold teaches nothing.
        self.domains = 0 if self._domain is None else int(self._domain.max()) + 1
        self.trained_domains = 0 if self._domain is None else len(np.unique(self._domain[self._parts["train"]]))
        may_be = {"domain": self.domains, "second": self._others, "past": config.lag}
        self.fields = frozenset({"x", "answers"} | {name for name, there in may_be.items() if there})
        self.card: Mapping[str, str] = self._card(factors)
        whole = (len(stored.ids), *self.shape)
        self._kept = np.zeros(whole, dtype=self._dtype) if self._bytes(len(stored.ids)) <= MOST_KEPT else None
        self._is_kept = np.zeros(len(stored.ids), dtype=np.bool_)

    def available(self, part: Part) -> int:
        """How many rows a part has."""
        return len(self._parts[part])

    def draw(self, rows: int, seed: int, part: Part = "train") -> FactorSample:
        """`rows` different rows of a part, in an order that the seed decides.

        Raises `WorkbenchError` where the part has fewer, they would not fit into memory, or a picture is unusable.
        """
        held = self._parts[part]
        if not 0 < rows <= len(held):
            why = f"its {part}ing part has {len(held)} rows, and {rows} are asked for"
            raise refused(self._stored.name, why, f"Draw 1 to {len(held)} rows.")
        lag = self.config.lag
        needed = self._bytes(rows * (1 + lag))
        if needed > MOST_DRAWN:
            why = f"{rows:,} rows of {self.shape} would take {needed / 2**30:.1f} GiB of memory"
            raise refused(self._stored.name, why, "Draw fewer rows, or set a smaller size or lag.")
        random = generators(seed, f"rows {part}")
        chosen = random.permutation(held)[:rows]
        fields: dict[str, NDArray[Any]] = {"x": self._seen(chosen), "answers": self._answers[chosen]}
        if self._domain is not None:
            fields["domain"] = self._domain[chosen]
        if self._others:
            others = [self._others[row] for row in chosen]
            fields["second"] = self._seen(np.array([random.choice(one) for one in others], dtype=np.int64))
        if lag:
            before = chosen[:, None] - np.arange(lag, 0, -1)
            fields["past"] = self._seen(before.ravel()).reshape(rows, lag, *self.shape)
        return FactorSample(fields, self._factors[chosen])

    def render(self, factors: Array) -> NDArray[Any]:
        """Raises `WorkbenchError`: nothing here can draw a picture that is not stored."""
        raise WorkbenchError(
            "cannot-render",
            "CausalVerse cannot be drawn anew",
            "its pictures were rendered elsewhere and only those that are stored are known",
            "Choose a world that draws its own pictures.",
        )

    @property
    def _dtype(self) -> type[np.uint8] | type[np.float32]:
        return np.uint8 if len(self.shape) == 3 else np.float32

    def _bytes(self, rows: int) -> int:
        return rows * int(np.prod(self.shape)) * np.dtype(self._dtype).itemsize

    def _seen(self, rows: Rows) -> NDArray[Any]:
        """What is seen of rows, each read once in the life of this world where memory allows: decoding is slow."""
        wanted, place = np.unique(rows, return_inverse=True)
        if self._kept is None:
            return self._stored.read(wanted)[place]
        new = wanted[~self._is_kept[wanted]]
        if len(new):
            self._kept[new] = self._stored.read(new)
            self._is_kept[new] = True
        return self._kept[rows]

    def _card(self, factors: Factors) -> dict[str, str]:
        stored, counts = self._stored, {part: len(rows) for part, rows in self._parts.items()}
        seen = "none are named"
        if self._domain is not None:
            seen = f"{len(np.unique(self._domain))} views or scene types, {self.trained_domains} in the training part"
        words = ", ".join(f"{name} ({len(known)} words)" for name, known in factors.words.items())
        return {
            "graph": "No graph is known: the release has none, and no edge here means nothing.",
            "domains": f"Domains: {seen}. Whether they change the factors or only the view is not known.",
            "pairs": "The second view shows the same scene from another view."
            if self._others
            else "No second view: not every scene is there from two views.",
            "factors": f"All are stored values; words stand as their places in sorted order: {words or 'none'}.",
            "answers": "Standardised by the training part; a supervised task is told them.",
            "parts": f"{counts['train']} rows to train on, {counts['test']} to test on, no scene in both.",
            **stored.notes,
        }


def _stored(config: CausalVerseOptions) -> Stored:
    if not config.folder:
        raise refused("CausalVerse", "no folder is named", "Give folder, the one that holds the splits.")
    root = Path(config.folder).expanduser()
    if not root.is_dir():
        raise refused(f"The folder {quoted(config.folder)}", "there is no such folder", "Check folder.")
    root = root.resolve()
    split: Split = find_split(root, config.split, config.layout)
    if split.layout == "exported":
        return read_exported(root, split, config.size)
    return read_parquet(root, split, config.size) if split.layout == "parquet" else read_video(root, split)


def _parts(ids: Sequence[str], held_out: float, seed: int, name: str) -> dict[Part, Rows]:
    """Rows of either part; all rows of one id are in the same. Ids are ordered by a hash of seed and id, and the first
    are held out: the share is exact, and neither the order of rows nor another platform changes it."""
    order = sorted(set(ids), key=lambda one: (hashlib.sha256(f"{seed} {one}".encode()).digest(), one))
    if len(order) < 2:
        raise refused(name, "all rows have one id, so that none can be held out", "Give rows of several ids.")
    count = min(max(round(held_out * len(order)), 1), len(order) - 1)
    tested = set(order[:count])
    is_tested = np.array([one in tested for one in ids])
    return {"train": np.flatnonzero(~is_tested), "test": np.flatnonzero(is_tested)}


def _has_past(stored: Stored, lag: int) -> NDArray[np.bool_]:
    """`row`: whether `lag` earlier frames of its clip are there. Raises `WorkbenchError` where no row of an id has."""
    if not lag:
        return np.ones(len(stored.ids), dtype=np.bool_)
    if stored.steps is None:
        raise refused(stored.name, "its pictures have no past", "Set lag to 0, or choose a split of videos.")
    found = np.asarray(stored.steps >= lag)
    if len({one for one, has in zip(stored.ids, found, strict=True) if has}) < len(set(stored.ids)):
        raise refused(stored.name, f"a scene has no clip of more than {lag} frames", "Set a smaller lag.")
    return found


def _others(scenes: Sequence[str], domain: NDArray[np.int64]) -> list[Rows] | None:
    """For each row those of its scene from other views; none at all where a row has none."""
    of_scene: dict[str, list[int]] = {}
    for row, scene in enumerate(scenes):
        of_scene.setdefault(scene, []).append(row)
    alike = {scene: np.array(rows, dtype=np.int64) for scene, rows in of_scene.items()}
    others = [alike[scene][domain[alike[scene]] != domain[row]] for row, scene in enumerate(scenes)]
    return others if all(len(rows) for rows in others) else None


def _standardised(values: NDArray[np.float64], rows: Rows) -> Array:
    mean, deviation = values[rows].mean(axis=0), values[rows].std(axis=0)
    return np.asarray((values - mean) / deviation, dtype=np.float32)


def _places(wanted: Sequence[str], names: Sequence[str]) -> list[int]:
    unknown = [name for name in wanted if name not in names]
    if unknown:
        known = ", ".join(names[:20])
        raise refused("answers", f"no factor is called {quoted(unknown[0])}", f"Name some of {known}.")
    return [names.index(name) for name in wanted] or list(range(len(names)))
