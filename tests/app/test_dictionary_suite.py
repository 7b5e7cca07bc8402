"""The comparison of dictionaries, on a tiny language model: every row, and a stop in the middle."""

from __future__ import annotations

from typing import Any

import pytest

from app.suites import dictionary_table
from app.worker import execute
from probes.activations import capture
from probes.activations.capture import CaptureConfig
from probes.activations.sampling import SamplingConfig
from probes.hierarchy.probe import open_probe
from probes.runs import Run
from probes.subjects.text_autoregressive import TextAutoregressive
from tests.fixtures.suites import few_resamples, rows_of, run_of, spelling_subject, without_seconds

ARCHITECTURES = ("batch_topk", "hierarchical")
DICTIONARIES = {
    "subject": "spelling",
    "corpus": "sampled/6000",
    "tokens": 6000,
    "document_chunks": None,
    "context": 32,
    "architectures": ARCHITECTURES,
    "n_latents": 64,
    "k": 4,
    "steps": 30,
    "batch": 128,
    "checkpoint_every": 10,
    "rates": (1e-3, 1e-2),
    "trial_steps": 10,
    "rows": 1000,
    "loss_chunks": 4,
    "words": 20,
}


@pytest.fixture(scope="module")
def spelling() -> TextAutoregressive:
    return spelling_subject()


@pytest.fixture
def known(spelling: TextAutoregressive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever opens a subject gets the tiny one; its documents are short."""
    for module in (capture, dictionary_table):
        monkeypatch.setattr(module, "load_subject", lambda *_, **__: spelling)
    plain = dictionary_table._capture
    short = {"sampling": SamplingConfig(document_tokens=48, batch=16), "held_out": 0.3}

    def shortened(config: Any) -> CaptureConfig:
        return plain(config).model_copy(update=short)

    monkeypatch.setattr(dictionary_table, "_capture", shortened)


def test_dictionaries_are_compared_and_a_stopped_comparison_ends_as_an_unbroken_one(
    known: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_resamples(monkeypatch)
    whole = rows_of(execute(run_of("whole", suite="dictionaries", dictionaries=DICTIONARIES)))
    for architecture in ARCHITECTURES:
        name = f"dictionaries.{architecture}"
        assert whole[f"{name}.l0"].value == pytest.approx(4, rel=0.35)
        assert 0 < whole[f"{name}.explained_variance"].value < 1 and whole[f"{name}.explained_variance"].n > 5
        assert whole[f"{name}.recovered_zero_ablation"].n == 8 and whole[f"{name}.seconds"].value > 0
        assert whole[f"{name}.seed_agreement"].seeds == 2 and f"{name}.dead.seed-1" in whole
        length = (whole[f"{name}.{part}"].value for part in ("residual_bits", "code_bits", "edge_bits"))
        assert whole[f"{name}.description_length"].value == pytest.approx(sum(length), rel=1e-6)
        assert whole[f"{name}.learning_rate"].value in (1e-3, 1e-2)
    assert whole["dictionaries.hierarchical.edge_bits"].value > 0 == whole["dictionaries.batch_topk.edge_bits"].value
    flat = whole["dictionaries.batch_topk.explained_variance"]
    assert flat.baseline is None and whole["dictionaries.hierarchical.explained_variance"].baseline == flat.value

    stopped = run_of("stopped", suite="dictionaries", dictionaries=DICTIONARIES)
    save = Run.save_checkpoint
    saved = []

    def stop_at_the_fourth(self: Run, step: int, *rest: Any) -> None:
        saved.append(step)
        save(self, step, *rest)
        if len(saved) == 4:
            self.request_stop()

    monkeypatch.setattr(Run, "save_checkpoint", stop_at_the_fourth)
    assert execute(stopped) is None and stopped.status().state == "stopped"
    kept = sorted(path.name for path in (stopped.path / "dictionaries").iterdir())
    assert kept == ["batch_topk-0", "batch_topk-1"], "the first architecture is done, the second half done"
    stopped.clear_stop()
    assert without_seconds(rows_of(execute(stopped))) == without_seconds(whole)
    again = open_probe(stopped.path / "dictionaries" / "hierarchical-1").levels[0]
    assert again.record.figures["l0"] == pytest.approx(4, rel=0.35)
    assert again.statistics["histogram"].sum() > 0
