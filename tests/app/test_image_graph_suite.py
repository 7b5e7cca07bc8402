"""The suite that holds the bundled image graph against Unicode's groups, on a few captions."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from app.suites.image_graph import FACTORS, ImageGraphConfig, image_graph_rows
from concept_graphs.graph import ConceptGraph
from probes.errors import WorkbenchError
from probes.worlds.emoji import STYLES, EmojiCorpus, read_emoji
from tests.fixtures.suites import run_of


def test_captions_say_what_is_known_of_them() -> None:
    corpus = read_emoji()
    entries = list(corpus.captions())
    assert len(entries) == len({entry["text"] for entry in entries}) == len(STYLES) * len(corpus.concepts)
    texts = {entry["text"]: entry["labels"] for entry in entries}
    for pair in (corpus.training_pairs[0], corpus.training_pairs[-1]):
        emoji = corpus.entries[pair.emoji]
        assert texts[corpus.caption(pair)] == {
            "concept": emoji.label, "style": STYLES[pair.style], "group": emoji.group, "subgroup": emoji.subgroup,
        }  # fmt: skip


def test_rows_of_every_factor_and_way_come_with_their_chance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    every = EmojiCorpus.captions
    monkeypatch.setattr(EmojiCorpus, "captions", lambda self: islice(every(self), 0, None, 40))
    run = run_of("groups", suite="image-graph")
    rows = {row.name: row for row in image_graph_rows(ImageGraphConfig(), run)}
    graph = ConceptGraph.open("bundled/emoji")
    for factor in FACTORS:
        for way in ("graph", "tested", "coactivation"):
            row = rows[f"image_graph.{way}.{factor}.information"]
            assert row.n is not None and 0 < row.n <= len(graph.nodes) and row.baseline is not None
            assert row.low is not None and row.high is not None and row.low <= row.high
        assert rows[f"image_graph.flat.{factor}.information"].n is not None
    together = rows["image_graph.coactivation.group.joined_alike"]
    assert together.n is not None and together.n <= len(graph.edges)
    monkeypatch.setattr(EmojiCorpus, "captions", lambda self: islice(every(self), 1, None, 40))
    with pytest.raises(WorkbenchError, match="other prompts"):
        list(image_graph_rows(ImageGraphConfig(), run))
