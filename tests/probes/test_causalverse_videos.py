"""Latent videos of CausalVerse that are not usable, or made to harm: each is refused in one sentence."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fixtures import causalverse as made
from tests.fixtures.hostile import Runs

Break = Callable[[Path], Any]


def scene(folder: Path) -> Path:
    return folder / "physics" / "fall"


def latents(value: Callable[[Path], Any], clip: str = "ab_00.pt") -> Break:
    return lambda folder: torch.save(value(folder), scene(folder) / "latents" / "bird" / clip)


def meta(value: str) -> Break:
    return lambda folder: (scene(folder) / "meta" / "ab_00.json").write_text(value)


def state(**more: Any) -> Break:
    return lambda folder: made.write_state(scene(folder) / "meta" / "ab_00.npz", 5, **more)


def npz_bomb(folder: Path) -> None:
    with zipfile.ZipFile(scene(folder) / "meta" / "ab_00.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("position.npy", b"\0" * 2**24)


def odd_zip(name: str, offset: int) -> Break:
    """One byte of the archive's directory changed: a compression, or a version, that Python does not know."""

    def broken(folder: Path) -> None:
        content = bytearray((scene(folder) / name).read_bytes())
        content[content.index(b"PK\x01\x02") + offset] = 77
        (scene(folder) / name).write_bytes(content)

    return broken


def no_latents(folder: Path) -> None:
    for path in (scene(folder) / "latents").rglob("*.pt"):
        path.unlink()


def foreign_latents(folder: Path) -> None:
    away = folder.parent / "away.pt"
    torch.save(GOOD, away)
    (scene(folder) / "latents" / "bird" / "ab_00.pt").unlink()
    (scene(folder) / "latents" / "bird" / "ab_00.pt").symlink_to(away)


GOOD = {"latents": torch.ones(3, 4, 2, 2), "frame_numbers": [0, 2, 5]}
CASES: dict[str, made.Case] = {
    "videos alone": (no_latents, "no video decoder is installed, so that stored latents serve as x"),
    "code": (latents(lambda folder: GOOD | {"more": Runs(folder / "PWNED")}), "it wants to run code"),
    "no dictionary": (latents(lambda _: torch.ones(3)), "it holds a Tensor, not a dictionary"),
    "no latents": (latents(lambda _: {"frame_numbers": [0]}), "it holds no latents, frame by frame"),
    "no frames": (latents(lambda _: {"latents": torch.ones(3, 4, 2, 2)}), "are not 3 whole numbers"),
    "other frames": (latents(lambda _: GOOD | {"frame_numbers": [0, 1]}), "are not 3 whole numbers"),
    "negative frame": (latents(lambda _: GOOD | {"frame_numbers": [0, 1, -1]}), "are not 3 whole numbers"),
    "endless frame": (latents(lambda _: GOOD | {"frame_numbers": [0, 1, 2**80]}), "are not 3 whole numbers"),
    "words": (latents(lambda _: GOOD | {"frame_numbers": ["a", "b", "c"]}), "are not 3 whole numbers"),
    "claims": (latents(lambda _: GOOD | {"latents": torch.zeros(1).expand(3, 2**30)}), "more than the file holds"),
    "not finite": (latents(lambda _: GOOD | {"latents": torch.full((3, 4, 2, 2), np.nan)}), "NaN or infinite"),
    "other shape": (latents(lambda _: GOOD | {"latents": torch.ones(3, 2, 2, 2)}), "its latents differ in shape"),
    "nobody's": (latents(lambda _: GOOD, "cd.pt"), "meta holds no JSON of that name"),
    "not torch": (lambda f: (scene(f) / "latents" / "bird" / "ab_00.pt").write_bytes(b"PK"), "no archive of torch"),
    "linked": (foreign_latents, "is a link that leads out of the folder"),
    "no Global": (meta('{"a": 1}'), "it has no key Global"),
    "no object": (meta("[1]"), "it has no key Global"),
    "no JSON": (meta("{"), "it is not valid JSON"),
    "deep": (meta('{"Global": ' + '{"a": ' * 20 + "1" + "}" * 21), "is nested more than 8 deep"),
    "deeper": (meta('{"Global": ' * 100_000), "it is not valid JSON"),
    "wide": (meta(json.dumps({"Global": list(range(2000))})), "it has no key Global"),
    "wider": (meta(json.dumps({"Global": {"a": list(range(2000))}})), "more than 1,000"),
    "no state": (
        lambda folder: (scene(folder) / "meta" / "ab_00.npz").unlink(),
        "ab_00.npz cannot be used: it is missing",
    ),
    "objects": (state(position=np.array([{}], dtype=object)), "holds Python objects, which only a pickle can read"),
    "state not finite": (state(position=np.full((1, 5, 3), np.inf)), "NaN or infinite"),
    "flat state": (state(position=np.ones(5)), "position is (5,), not frame d or object frame d"),
    "no frames of state": (state(position=np.ones((1, 0, 3))), "position is (1, 0, 3)"),
    "more objects": (state(position=np.ones((2, 5, 3))), "column 'position.1.0' of physics/fall"),
    "other state": (
        lambda f: np.savez(scene(f) / "meta" / "ab_00.npz", speed=np.ones((5, 2))),
        "it has none of the arrays",
    ),
    "bomb": (npz_bomb, "would unpack to 16 MiB"),
    "odd archive": (odd_zip("meta/ab_00.npz", 10), "it is no readable npz archive"),
    "odd version": (odd_zip("latents/bird/ab_00.pt", 6), "it is no archive of torch"),
    "not npz": (lambda f: (scene(f) / "meta" / "ab_00.npz").write_bytes(b"\x93NUMPY"), "no readable npz archive"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_usable_is_one_sentence(tmp_path: Path, case: str) -> None:
    folder = made.make_causalverse_fixture(tmp_path / "in", "video")
    broken, said = CASES[case]
    broken(folder)
    assert said in made.refusal(folder)
    assert not (folder / "PWNED").exists()
