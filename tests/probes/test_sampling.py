"""Text sampled from the subject as a corpus: its own distribution, the same for a seed, kept with the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.config_flags import flags_of
from app.worker import execute
from probes.activations import capture
from probes.activations.capture import CaptureConfig
from probes.activations.corpora import read_corpus
from probes.activations.sampling import SamplingConfig, sample_documents, sampled_share
from probes.activations.store import ActivationStore
from probes.errors import WorkbenchError
from probes.runs import Run
from probes.subjects.text_autoregressive import TextAutoregressive
from tests.conftest import VOCABULARY, tiny_model


@pytest.fixture(scope="module")
def writer() -> TextAutoregressive:
    """A random language model with a word tokenizer: ids 0 to 3 are special, 0 begins and 1 ends a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<s>": 0, "</s>": 1, "<pad>": 2, "<unk>": 3, "a": 4} | {f"w{n}": n for n in range(5, VOCABULARY)}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    return TextAutoregressive(tiny_model("llama"), tokenizer, name="writer")


def draw(writer: TextAutoregressive, folder: Path, tokens: int = 300, **settings: Any) -> list[Any]:
    config = SamplingConfig(**{"document_tokens": 32, "batch": 4, **settings})
    found = sample_documents(writer, tokens, config, folder)
    assert found is not None
    return found


def test_documents_follow_the_seed_and_nothing_else(writer: TextAutoregressive, tmp_path: Path) -> None:
    first, again, other = (draw(writer, tmp_path / str(n), seed=seed) for n, seed in enumerate((5, 5, 6)))
    assert first == again
    assert {d.id for d in first}.isdisjoint({d.id for d in other}) and [d.tokens for d in first] != [
        d.tokens for d in other
    ]
    longer = draw(writer, tmp_path / "longer", tokens=600, seed=5)
    assert longer[: len(first)] == first
    assert all(d.tokens and not {0, 1, 2, 3} & set(d.tokens) for d in longer)


def test_at_temperature_one_the_words_are_the_subjects_own(writer: TextAutoregressive, tmp_path: Path) -> None:
    documents = draw(writer, tmp_path / "many", tokens=45_000, batch=1000)
    first = torch.bincount(torch.tensor([d.tokens[0] for d in documents]), minlength=VOCABULARY) / len(documents)
    wanted = writer.logits(torch.tensor([[0]]))[0, 0].softmax(0)
    wanted[:4] = 0  # a document that ended at once is none
    distance = (first - wanted / wanted.sum()).abs().sum() / 2
    flat = (torch.ones(VOCABULARY) / VOCABULARY - wanted).abs().sum() / 2
    assert float(distance) < 0.15 < 0.3 < float(flat)


def test_prompts_take_turns_and_open_their_documents(writer: TextAutoregressive, tmp_path: Path) -> None:
    documents = draw(writer, tmp_path / "turns", prompts=("w9 w10", "w11"))
    opened = {d.labels["prompt"]: d.tokens[:2] for d in documents}
    assert opened["w9 w10"] == (9, 10) and opened["w11"][0] == 11


def test_without_a_beginning_a_prompt_is_asked_for(writer: TextAutoregressive, tmp_path: Path) -> None:
    mute = TextAutoregressive(writer.model, writer.tokenizer, name="mute")
    mute.facts = replace(mute.facts, bos_id=None, eos_id=None)
    with pytest.raises(WorkbenchError, match=r"sampling\.prompts"):
        draw(mute, tmp_path / "mute")


def test_a_sample_is_named_beside_other_corpora() -> None:
    assert sampled_share("a.txt, sampled/40_000,bundled/x") == ("a.txt,bundled/x", 40_000)
    assert sampled_share("a.txt") == ("a.txt", 0)
    for wrong in ("sampled/", "sampled/many", "sampled/-3", "sampled/0"):
        with pytest.raises(WorkbenchError, match="number of tokens"):
            sampled_share(wrong)
    config = CaptureConfig(name="x", corpus="sampled/900", sampling=SamplingConfig(seed=3))
    assert flags_of(config) == ["--name", "x", "--corpus", "sampled/900", "--sampling.seed", "3"]


def test_a_capture_of_sampled_text_keeps_its_documents_and_resumes(
    writer: TextAutoregressive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "load_subject", lambda *_, **__: writer)

    def run_of(name: str) -> Run:
        sampling = SamplingConfig(document_tokens=48, batch=4)
        config = CaptureConfig(
            name=name, corpus="sampled/3000", layers=(0.0, 0.5), context=32, held_out=0.3, sampling=sampling
        )
        return Run.create("capture", name, config, command="")

    whole = execute(run_of("sampled-whole"))
    stopped = run_of("sampled-stopped")
    progress = Run.progress
    monkeypatch.setattr(Run, "progress", lambda self, *a, **k: (self.request_stop(), progress(self, *a, **k)))
    assert execute(stopped) is None and 0 < stopped.status().step < 3000
    monkeypatch.setattr(Run, "progress", progress)
    stopped.clear_stop()
    resumed = execute(stopped)
    assert whole is not None and resumed is not None
    for file in sorted(path.name for path in whole.iterdir() if path.suffix == ".safetensors"):
        assert (whole / file).read_bytes() == (resumed / file).read_bytes()

    store = ActivationStore(whole)
    kept = {document.id: document for document in read_corpus(str(whole / "sampled.jsonl"))}
    splits = {document.id: document.split for document in store.index.documents}
    assert splits.keys() <= kept.keys() and set(splits.values()) == {"train", "held_out"}
    assert store.index.corpus == "sampled/3000" and all(d.labels["sampled"] for d in store.index.documents)
    for split in ("train", "held_out"):
        shard = store.shards(split)[0]
        number, _ = store.documents_of(shard)
        document = store.index.documents[int(number[0])]
        assert document.split == split
        row = store.tokens(shard)[0][store.read(shard, "valid")[0][0]].tolist()
        ids = writer.tokenizer(kept[document.id].text).input_ids  # a word is a token here
        assert row == ids[: len(row)]
