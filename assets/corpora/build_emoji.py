"""Builds the emoji corpus from four npm packages: `python assets/corpora/build_emoji.py [--from DIR]`.

Every emoji as three vendors draw it, 32 x 32 on white, one sheet per style, with its label, Unicode group
and subgroup; and beside it which concepts the image pipeline is trained on, and which (concept, style)
pairs it never sees. Only sets whose licence allows it are taken: Noto, Twemoji and Fluent.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import tarfile
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from packages import Package, fetch, member, members, opened
from PIL import Image

HERE = Path(__file__).resolve().parent / "emoji"
COMMAND = "python assets/corpora/build_emoji.py"
SIDE = 32
COLUMNS = 44
NOTO = Package(
    "emoji-datasource-google",
    "16.0.0",
    "emoji-datasource-google-16.0.0.tgz",
    "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
)
TWEMOJI = Package(
    "emoji-datasource-twitter",
    "16.0.0",
    "emoji-datasource-twitter-16.0.0.tgz",
    "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
)
FLUENT = Package(
    "@lobehub/fluent-emoji-3d",
    "1.1.0",
    "lobehub-fluent-emoji-3d-1.1.0.tgz",
    "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
)
NAMES = Package(
    "emojibase-data",
    "17.0.0",
    "emojibase-data-17.0.0.tgz",
    "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
)
STYLES = {
    "noto": (NOTO, "Apache-2.0, Google"),
    "twemoji": (TWEMOJI, "CC-BY-4.0, Twitter, Inc and other contributors"),
    "fluent": (FLUENT, "MIT, Microsoft; packaged by LobeHub"),
}

# Concepts: at most so many of each subgroup, the oldest emoji first. Left out are subgroups of signs, of
# clock faces, and of faces that 32 pixels do not tell apart.
CHOSEN: dict[str, tuple[int, str]] = {
    "smileys-emotion": (3, "face-smiling face-affection face-glasses face-hat face-costume cat-face monkey-face heart"),
    "animals-nature": (16, "animal-mammal animal-bird animal-amphibian animal-reptile animal-marine animal-bug "
                           "plant-flower plant-other"),
    "food-drink": (14, "food-fruit food-vegetable food-prepared food-asian food-sweet drink dishware"),
    "travel-places": (6, "place-geographic place-building transport-ground transport-water transport-air sky-weather"),
    "activities": (7, "event award-medal sport game arts-crafts"),
    "objects": (4, "clothing musical-instrument computer light-video writing lock tool science household"),
}  # fmt: skip
HELD_OUT_SHARE = 0.1
HELD_OUT_SEED = 0

Entry = dict[str, Any]


def bare(code: str) -> str:
    """A code point sequence without the variation selector, which the packages write or not as they like."""
    return "-".join(part for part in code.upper().split("-") if part != "FE0F")


def entries(names: tarfile.TarFile, sheet: tarfile.TarFile, drawn: set[str]) -> list[Entry]:
    """Every emoji of both sheets in Unicode's order, with where it lies and the styles it has."""
    tables = json.loads(member(names, "package/meta/groups.json"))
    known = {bare(one["hexcode"]): one for one in json.loads(member(names, "package/en/data.json"))}
    found = []
    for one in json.loads(member(sheet, "package/emoji.json")):
        code = bare(one["unified"])
        said = known.get(code)
        if said is None or "group" not in said or not (one["has_img_google"] and one["has_img_twitter"]):
            continue
        found.append(
            {
                "code": code,
                "label": said["label"].lower().replace("’", "'"),
                "group": tables["groups"][str(said["group"])],
                "subgroup": tables["subgroups"][str(said["subgroup"])],
                "version": said["version"],
                "order": said["order"],
                "skins": "skins" in said,
                "at": (one["sheet_x"], one["sheet_y"]),
                "styles": [style for style in STYLES if style != "fluent" or code in drawn],
            }
        )
    return sorted(found, key=lambda entry: entry["order"])


def on_white(picture: Image.Image) -> Image.Image:
    """Composited on white, `SIDE` x `SIDE`."""
    picture = picture.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    flat = white.convert("RGB")
    return flat if flat.size == (SIDE, SIDE) else flat.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def from_sheet(archive: tarfile.TarFile, vendor: str, found: list[Entry]) -> list[Image.Image | None]:
    """The pictures of a sheet whose cells are 34 pixels wide with a border of one."""
    raw = member(archive, f"package/img/{vendor}/sheets-clean/{SIDE}.png")
    sheet = Image.open(io.BytesIO(raw)).convert("RGBA")
    corners = [(1 + 34 * x, 1 + 34 * y) for x, y in (entry["at"] for entry in found)]
    return [on_white(sheet.crop((x, y, x + SIDE, y + SIDE))) for x, y in corners]


def from_files(archive: tarfile.TarFile, found: list[Entry]) -> list[Image.Image | None]:
    """The pictures of one file each, None where an emoji has none."""
    drawn = {bare(Path(name).stem): raw for name, raw in members(archive, r"package/assets/.*\.webp")}
    raws = [drawn.get(entry["code"]) for entry in found]
    return [None if raw is None else on_white(Image.open(io.BytesIO(raw))) for raw in raws]


def write_sheet(pictures: list[Image.Image | None], path: Path) -> None:
    """One picture per cell, row by row in the order of the entries; a missing one stays white."""
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SIDE, rows * SIDE), "white")
    for at, picture in enumerate(pictures):
        if picture is not None:
            sheet.paste(picture, (at % COLUMNS * SIDE, at // COLUMNS * SIDE))
    sheet.save(path, optimize=True)


def concepts(found: list[Entry]) -> list[str]:
    """Codes of the concepts the pipeline is trained on, by the rule of `CHOSEN`, in Unicode's order."""
    members_of: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in found:
        if len(entry["styles"]) == len(STYLES) and not entry["skins"]:
            members_of[entry["group"], entry["subgroup"]].append(entry)
    chosen = set()
    for group, (most, subgroups) in CHOSEN.items():
        for subgroup in subgroups.split():
            oldest = sorted(members_of[group, subgroup], key=lambda entry: (entry["version"], entry["order"]))
            chosen |= {entry["code"] for entry in oldest[:most]}
    return [entry["code"] for entry in found if entry["code"] in chosen]


def held_out(chosen: list[str]) -> list[tuple[str, str]]:
    """A seeded tenth of the (code, style) pairs, at most one style of each concept, styles in turn."""
    rng = random.Random(HELD_OUT_SEED)
    codes = rng.sample(chosen, round(HELD_OUT_SHARE * len(chosen) * len(STYLES)))
    styles = list(STYLES)
    return sorted((code, styles[at % len(styles)]) for at, code in enumerate(codes))


def licences(tarballs: Path) -> None:
    """Write the terms of the packages beside the corpus; those of the pictures are in NOTICE."""
    folder = HERE.parent / "licences"
    for package, file in ((NOTO, "emoji-datasource"), (NAMES, "emojibase")):
        with opened(package, tarballs) as archive:
            (folder / f"{file}.txt").write_bytes(member(archive, "package/LICENSE"))


def build(tarballs: Path) -> dict[str, Any]:
    """Write sheets, entries and split; return the manifest."""
    HERE.mkdir(exist_ok=True)
    with opened(NAMES, tarballs) as names, opened(NOTO, tarballs) as noto, opened(FLUENT, tarballs) as fluent:
        drawn = {bare(Path(path).stem) for path, _ in members(fluent, r"package/assets/.*\.webp")}
        found = entries(names, noto, drawn)
        write_sheet(from_sheet(noto, "google", found), HERE / "noto.png")
        write_sheet(from_files(fluent, found), HERE / "fluent.png")
    with opened(TWEMOJI, tarballs) as twemoji:
        write_sheet(from_sheet(twemoji, "twitter", found), HERE / "twemoji.png")
    kept = ("code", "label", "group", "subgroup", "styles")
    lines = ",\n".join(json.dumps({key: entry[key] for key in kept}, ensure_ascii=False) for entry in found)
    (HERE / "emoji.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    chosen = concepts(found)
    split = {
        "rule": "at most N of a subgroup, oldest first, drawn in every style, without skin tones",
        "chosen": {group: {"most": most, "subgroups": names.split()} for group, (most, names) in CHOSEN.items()},
        "seed": HELD_OUT_SEED,
        "concepts": chosen,
        "held_out": held_out(chosen),
    }
    (HERE / "split.json").write_text(json.dumps(split, indent=1) + "\n", encoding="utf-8")
    return manifest(found)


def manifest(found: list[Entry]) -> dict[str, Any]:
    """Hashes, sizes and origins of what was written."""
    files = sorted(path for path in HERE.iterdir() if path.name != "manifest.json")
    return {
        "schema_version": 1,
        "side": SIDE,
        "columns": COLUMNS,
        "entries": len(found),
        "pictures": sum(len(entry["styles"]) for entry in found),
        "files": {
            path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
            for path in files
        },
        "styles": {
            style: {"package": {"registry": "npm", **package._asdict()}, "licence": licence}
            for style, (package, licence) in STYLES.items()
        },
        "names": {"registry": "npm", **NAMES._asdict(), "licence": "MIT"},
        "command": COMMAND,
    }


def main() -> None:
    """Build the corpus and its manifest."""
    parser = argparse.ArgumentParser(description="Build the emoji corpus.")
    parser.add_argument("--from", dest="tarballs", type=Path, help="folder that holds the npm tarballs")
    given = parser.parse_args().tarballs
    with tempfile.TemporaryDirectory() as scratch:
        tarballs = given or Path(scratch)
        if given is None:
            fetch((NOTO, TWEMOJI, FLUENT, NAMES), tarballs)
        licences(tarballs)
        written = build(tarballs)
    (HERE / "manifest.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(f"emoji: {written['entries']:,} emoji, {written['pictures']:,} pictures")


if __name__ == "__main__":
    main()
