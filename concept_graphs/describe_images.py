"""Describe concepts of images: words of the prompts they fire on, top images with heat maps, how they go with noise."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from concept_graphs.companions import companions_of
from concept_graphs.contexts import Firings, Text
from concept_graphs.describe import agreement_of, node_of
from concept_graphs.image_codes import images_in, largest_codes
from concept_graphs.labels import ANY, Label, detection_scores, label_text, make_labels
from concept_graphs.study import Described
from concept_graphs.tables import Picture
from concept_graphs.top_examples import top_examples
from probes.activations.rows import RowKind
from probes.activations.store import ActivationStore, Split
from probes.hierarchy.codes import encoded
from probes.hierarchy.probe import Level, Probe
from probes.hooks import Where, hooked
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs

STRONG = 0.5  # of the typical size: what counts as being on in an image
DISTINCTIVE = 0.7  # twice the odds: a latent is on in many images, and few words are in as many prompts
NAMELESS = "no clear words"
COMMON = 0.5  # of the prompts: words in more of them tell nothing apart
BATCH = 8  # images made at once for their heat maps


class Frame(NamedTuple):
    """One step of one image of a store."""

    shard: int
    place: int  # among the frames of the shard
    document: int
    seed: int
    step: int
    noise: float


def describe_images(
    subject: ImageDiffusion,
    store: ActivationStore,
    level: Level,
    latents: Sequence[int],
    others: Sequence[Probe] = (),
    *,
    count: int = 6,
    companions: int = 8,
) -> Described:
    """Labels are words of the prompts, made on training images and scored on held-out ones; examples are the
    strongest training images of different prompts, with the code at every cell of the grid."""
    vocabulary = _Words()
    found, text = _image_firings(store, "train", level, latents, vocabulary)
    labels = make_labels(found, text, _whole(text), len(latents), distinctive=DISTINCTIVE)
    held, held_text = _image_firings(store, "held_out", level, latents, vocabulary)
    rows = np.ones((len(held_text.tokens), 1), dtype=bool)
    detections = detection_scores(labels, held, held_text, rows, _whole(held_text))
    agreement = agreement_of(level, others, latents)
    together = companions_of(store, level, latents, count=companions)
    nodes = [
        node_of(
            level,
            latent,
            detections[at],
            together[at],
            label=_name(labels[at], vocabulary),
            label_tokens=_tokens(labels[at], vocabulary),
            seed_agreement=agreement[at],
            profile=profile_of(level, latent),
        )
        for at, latent in enumerate(latents)
    ]
    shown = pictures_of(subject, store, level, latents, count)
    return Described(nodes, {}, {f"{level.name}/{latent}": rows for latent, rows in shown.items() if rows})


def profile_of(level: Level, latent: int) -> list[tuple[float, float]]:
    """(noise, mean activation) of every noise the level has rows at, falling."""
    bins = level.statistics["profile"][latent].tolist()
    known = [((at + 0.5) / len(bins), value) for at, value in enumerate(bins) if value >= 0]
    return [(round(noise, 4), round(value, 5)) for noise, value in reversed(known)]


class _Words:
    """Words of prompts as numbers: the labels of images are made as those of texts are."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def numbers(self, prompt: str) -> list[int]:
        words = re.findall(r"\w+", prompt.casefold())
        return [self.known.setdefault(word, len(self.known)) for word in words]

    def piece(self, number: int) -> str:
        return f" {list(self.known)[number]}"


def _tokens(label: Label, vocabulary: _Words) -> list[str]:
    return [
        vocabulary.piece(word) if before == ANY else vocabulary.piece(before) + vocabulary.piece(word)
        for before, word in label.patterns
    ]


def _name(label: Label, vocabulary: _Words) -> str:
    """The label as people read it. Words that only cover, as a latent of most pictures has them, name nothing."""
    kept = [(pattern, weight) for pattern, weight in zip(*label, strict=True) if weight >= DISTINCTIVE]
    return label_text(Label(*zip(*kept, strict=True)), vocabulary.piece) if kept else NAMELESS


def _whole(text: Text) -> RowKind:
    """One row per image: all words of its prompt."""
    return RowKind(span=text.tokens.shape[1])


def _image_firings(
    store: ActivationStore, split: Split, level: Level, latents: Sequence[int], vocabulary: _Words
) -> tuple[Firings, Text]:
    """In which images each latent is on strongly, and the prompts as text, an image to a chunk."""
    typical = level.space.table.typical[list(latents)].numpy()
    parts: list[tuple[np.ndarray, ...]] = []
    documents: list[int] = []
    for part in encoded(store, split, level):
        document = store.documents_of(part.shard)[0].numpy()[images_in(store, part.shard)[1]]
        most = largest_codes(store, part, latents).tocoo()
        on = most.data > STRONG * typical[most.col]
        image, latent, value = most.row[on], most.col[on], most.data[on]
        parts.append((latent, value, image + len(documents), np.zeros_like(image), document[image]))
        documents += document.tolist()
    words = [vocabulary.numbers(str(store.index.documents[d].labels["prompt"])) for d in documents]
    longest = max(map(len, words), default=1) or 1
    tokens, usable = np.zeros((len(words), longest), dtype=np.int64), np.zeros((len(words), longest), dtype=bool)
    for at, row in enumerate(words):
        tokens[at, : len(row)], usable[at, : len(row)] = row, True
    usable &= (np.bincount(tokens[usable], minlength=len(vocabulary.known)) <= COMMON * len(words))[tokens]
    numbers = np.arange(len(words))
    joined = [np.concatenate([part[at] for part in parts]) for at in range(5)]
    return Firings(*joined), Text(tokens, usable, np.array(documents), numbers * 0, numbers * 0, numbers)


def pictures_of(
    subject: ImageDiffusion, store: ActivationStore, level: Level, latents: Sequence[int], count: int
) -> dict[int, list[Picture]]:
    """Per latent its strongest training images, at most one per prompt, with heat maps over the whole grid."""
    best = top_examples(store, "train", level, count)
    frames = _frames(store, "train")
    wanted: dict[Frame, list[int]] = {}
    for latent in latents:
        for chunk, _ in best.places(latent):
            wanted.setdefault(frames[chunk], []).append(latent)
    maps = _heat_maps(subject, store, level, wanted)
    shown: dict[int, list[Picture]] = {latent: [] for latent in latents}
    for frame, chosen in wanted.items():
        size, png = _png(store, frame)
        for latent in chosen:
            values = maps[frame, latent]
            shown[latent].append(
                Picture(
                    document=store.index.documents[frame.document].id,
                    prompt=str(store.index.documents[frame.document].labels["prompt"])[:1000],
                    seed=frame.seed,
                    step=frame.step,
                    noise=round(frame.noise, 4),
                    grid=(int(values.shape[0]), int(values.shape[1])),
                    values=[round(float(value), 3) for value in values.flatten()],
                    peak=int(values.argmax()),
                    size=size,
                    png=png,
                )
            )
    return {latent: sorted(rows, key=lambda one: -max(one.values)) for latent, rows in shown.items()}


def _frames(store: ActivationStore, split: Split) -> list[Frame]:
    """All frames of a split, in the order of its shards."""
    found = []
    for shard in store.shards(split):
        columns = [part.tolist() for part in store.read(shard, "document", "seed", "step", "noise")]
        found += [Frame(shard, at, *row) for at, row in enumerate(zip(*columns, strict=True))]
    return found


def _heat_maps(
    subject: ImageDiffusion, store: ActivationStore, level: Level, wanted: dict[Frame, list[int]]
) -> dict[tuple[Frame, int], Tensor]:
    """Codes over the grid (`row column`) by frame and latent: from the store where it has every cell, else from
    making the images again, which their seeds make exact."""
    point, grid = level.point, level.record.point.grid
    assert grid is not None
    maps: dict[tuple[Frame, int], Tensor] = {}
    if not wanted:
        return maps
    if store.cells(next(iter(wanted)).shard, point).shape[1] == grid[0] * grid[1]:
        for frame, latents in wanted.items():
            values = level.space.encode(store.activations(frame.shard, point)[frame.place], latents).value
            maps |= {(frame, latent): values[:, at].reshape(grid) for at, latent in enumerate(latents)}
        return maps
    by_image: dict[tuple[int, int], list[Frame]] = {}
    for frame in wanted:
        by_image.setdefault((frame.document, frame.seed), []).append(frame)
    images = list(by_image)
    made = {name: value for name, value in store.index.made_by.items() if name in ImageInputs.model_fields}
    branch = store.index.made_by.get("branch", "cond")
    for at in range(0, len(images), BATCH):
        batch = images[at : at + BATCH]

        def reader(x: Tensor, where: Where, batch: list[tuple[int, int]] = batch) -> None:
            for row, item in enumerate(where.items):
                frames = by_image[batch[item]] if where.branches[row] == branch else []
                for frame in frames:
                    if frame.step == where.step and (frame, wanted[frame][0]) not in maps:
                        values = level.space.encode(x[row].cpu(), wanted[frame]).value
                        for place, latent in enumerate(wanted[frame]):
                            maps[frame, latent] = values[:, place].reshape(grid)

        prompts = tuple(str(store.index.documents[document].labels["prompt"]) for document, _ in batch)
        inputs = ImageInputs(**made, prompts=prompts, seeds=tuple(seed for _, seed in batch))
        with torch.no_grad(), hooked(subject, {point: reader}):
            subject.sampled(inputs, until=1 + max(frame.step for one in batch for frame in by_image[one]))
    return maps


def _png(store: ActivationStore, frame: Frame) -> tuple[tuple[int, int], str]:
    """(height, width) and the frame's finished image as a PNG in base64."""
    from PIL import Image

    (picture,) = store.read(frame.shard, "picture")
    own, _ = images_in(store, frame.shard)
    pixels = picture[int(own[frame.place])].permute(1, 2, 0).contiguous().numpy()
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "PNG", optimize=True)
    return (int(pixels.shape[0]), int(pixels.shape[1])), base64.b64encode(held.getvalue()).decode()
