"""The layout of videos: per scene the state of each frame, and the frames as an image autoencoder saw them.

No video is decoded here: a row is a stored latent frame, as in the published recipe, and its factors are the state of
the world at that frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes.files import read_json
from probes.formats.files import Source
from probes.formats.npz import load_npz
from probes.formats.pickled import load_torch
from probes.worlds.causalverse.layouts import LATENTS_IN, Split
from probes.worlds.causalverse.metavalues import flat
from probes.worlds.causalverse.paths import kept_inside
from probes.worlds.causalverse.stored import MOST_ROWS, Column, Rows, Stored, Value, as_ours, refuse_too_many, refused

# `object frame d` or `frame d`; other arrays of an npz are no factors.
STATES = (
    "position rotation linear_velocity angular_velocity "
    "joint_pos joint_vel eef_pos eef_quat gripper_qpos gripper_qvel pos_objects rot_objects"
).split()
FRAMES = ("frame_numbers", "frame_indices")
LATENT_BUDGET = 2**28
STATE_BUDGET = 2**26
META_LIMIT = 2**20
AGAIN = "Fetch the scene again, or encode its videos again."


class Clip(NamedTuple):
    """One stored clip of one view: its file, the scene it shows, which clip of it, and the frames it holds."""

    path: Path
    view: str
    uuid: str
    number: int
    frames: tuple[int, ...]


def read_video(root: Path, split: Split) -> Stored:
    """Frames of the scene's stored latents, each flattened, with the global and the momentary state as factors.

    Raises `WorkbenchError` where there are videos alone, and for files that are missing, damaged, or of other shapes.
    """
    metas = _metas(root, split)
    clips, shape = _clips(root, split, metas)
    rows = [(clip, at) for clip in clips for at in range(len(clip.frames))]
    refuse_too_many(len(rows), MOST_ROWS, split.name, "frames")
    states = {uuid: _state(root, metas[uuid], uuid, split.name) for uuid in sorted({clip.uuid for clip in clips})}
    past = sum(clip.frames[at] >= states[clip.uuid].frames for clip, at in rows)

    def read(wanted: Rows) -> NDArray[np.float32]:
        found = np.zeros((len(wanted), int(np.prod(shape))), dtype=np.float32)
        by_clip: dict[Path, list[int]] = {}
        for place, row in enumerate(wanted):
            by_clip.setdefault(rows[row][0].path, []).append(place)
        for path, places in by_clip.items():
            latents = _latents(path)[0].reshape(-1, found.shape[1])
            found[places] = latents[[rows[wanted[place]][1] for place in places]]
        return found

    return Stored(
        split.name,
        ids=[clip.uuid for clip, _ in rows],
        scenes=[f"{clip.uuid} {clip.number} {clip.frames[at]}" for clip, at in rows],
        views=[clip.view for clip, _ in rows],
        factors=_factors(clips, states),
        shape=(int(np.prod(shape)),),
        read=read,
        steps=np.array([at for _, at in rows], dtype=np.int64),
        notes={
            "seen": f"Frames as stored latents {shape}, flattened; no video is decoded.",
            "rows": f"{past} of {len(rows)} frames lie past the end of the stored state, whose last moment is taken.",
        },
    )


class _State(NamedTuple):
    """`fixed`: factors of the whole scene; `moving`: `frame factor` each, all of at least `frames` frames."""

    fixed: Mapping[str, Value]
    moving: Mapping[str, NDArray[np.float32]]
    frames: int


def _factors(clips: list[Clip], states: Mapping[str, _State]) -> dict[str, Column]:
    """Name to `row`, rows being the frames of all clips in order. NaN, or nothing, where a scene has no such factor."""
    fixed = dict.fromkeys(name for state in states.values() for name in state.fixed)
    found: dict[str, Column] = {
        name: [states[clip.uuid].fixed.get(name) for clip in clips for _ in clip.frames] for name in fixed
    }
    widths = {name: values.shape[1] for state in states.values() for name, values in state.moving.items()}
    for name, width in widths.items():
        parts = [_moments(states[clip.uuid].moving.get(name), clip.frames, width) for clip in clips]
        found |= {f"{name}.{at}": column for at, column in enumerate(np.concatenate(parts).T)}
    return found


def _moments(track: NDArray[np.float32] | None, frames: tuple[int, ...], width: int) -> NDArray[np.float32]:
    """`frame factor` of the clip's frames; past the end of the track its last moment."""
    if track is None or track.shape[1] != width:
        return np.full((len(frames), width), np.nan, dtype=np.float32)
    return track[np.minimum(frames, len(track) - 1)]


def _metas(root: Path, split: Split) -> dict[str, Path]:
    """uuid to its JSON; the name may end in _meta."""
    folder = kept_inside(root, split.place / "meta", "meta")
    return {
        path.stem.removesuffix("_meta"): kept_inside(root, path, path.name) for path in sorted(folder.glob("*.json"))
    }


def _clips(root: Path, split: Split, metas: Mapping[str, Path]) -> tuple[list[Clip], tuple[int, ...]]:
    """(clips in order of view and name, shape of one latent frame)."""
    folder = next((split.place / name for name in LATENTS_IN if (split.place / name).is_dir()), None)
    views = sorted(path for path in folder.iterdir() if path.is_dir()) if folder else []
    clips, shapes = [], {}
    for path in (path for view in views for path in sorted(view.glob("*.pt"))):
        inside = kept_inside(root, path, path.name)
        latents, frames = _latents(inside)
        clips.append(Clip(inside, path.parent.name, *_uuid(path.stem, metas, path.name), frames))
        shapes[latents.shape[1:]] = path.name
    if not clips:
        raise refused(
            split.name,
            "no video decoder is installed, so that stored latents serve as x, and latents/<view> holds none",
            "Encode the videos with the published preprocessing, one .pt for each uuid and view.",
        )
    if len(shapes) > 1:
        both = " and ".join(f"{name} {shape}" for shape, name in list(shapes.items())[:2])
        raise refused(split.name, f"its latents differ in shape: {both}", "Encode all videos alike.")
    return clips, next(iter(shapes))


def _uuid(stem: str, metas: Mapping[str, Path], name: str) -> tuple[str, int]:
    """(uuid, number of the clip) of a latent file, whose name is the uuid, or the uuid and _k."""
    if stem in metas:
        return stem, 0
    head, _, tail = stem.rpartition("_")
    if head in metas and tail.isdecimal():
        return head, int(tail)
    raise refused(name, "meta holds no JSON of that name", AGAIN)


def _latents(path: Path) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """(latents `frame …`, the frame of the video that each is)."""
    with as_ours(path.name, AGAIN):
        held = load_torch(Source.at(path, budget=LATENT_BUDGET), path.name)
    latents: Any = held.get("latents")
    frames = next((held[name] for name in FRAMES if name in held), None)
    if not hasattr(latents, "numpy") or latents.ndim < 2 or not latents.numel():
        raise refused(path.name, "it holds no latents, frame by frame", AGAIN)
    numbers = np.asarray(frames if frames is not None else [])
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or len(numbers) != len(latents) or numbers.min() < 0:
        why = f"frame_numbers or frame_indices are not {len(latents)} whole numbers, one for each latent"
        raise refused(path.name, why, AGAIN)
    return latents.float().numpy(), tuple(numbers.tolist())


def _state(root: Path, path: Path, uuid: str, name: str) -> _State:
    meta = read_json(path, limit=META_LIMIT)
    if not isinstance(meta, dict) or not isinstance(meta.get("Global"), dict):
        raise refused(path.name, "it has no key Global that holds the scene's factors", AGAIN)
    file = kept_inside(root, path.parent / f"{uuid}.npz", f"{uuid}.npz")
    if not file.is_file():
        raise refused(file.name, f"it is missing beside {path.name}", AGAIN)
    with as_ours(file.name, AGAIN):
        held = load_npz(Source.at(file, budget=STATE_BUDGET), file.name)
    moving = dict(_tracks({key: held[key].numpy() for key in STATES if key in held}, file.name))
    if not moving:
        raise refused(file.name, f"it has none of the arrays {', '.join(STATES)}", AGAIN)
    return _State(flat(meta["Global"], path.name), moving, min(map(len, moving.values())))


def _tracks(held: Mapping[str, NDArray[Any]], name: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Every array as `frame d`, those of several objects apart: `position.0`, `position.1`, …"""
    for key, values in held.items():
        if values.ndim not in (2, 3) or not values.size:
            raise refused(name, f"{key} is {values.shape}, not frame d or object frame d", AGAIN)
        if values.ndim == 2:
            yield key, values
        else:
            yield from ((f"{key}.{at}", one) for at, one in enumerate(values))
