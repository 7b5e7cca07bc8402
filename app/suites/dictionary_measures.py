"""What is measured of the dictionaries of the comparison, each thing that all of them share run once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.progress import counted
from app.suites.dictionary_config import DictionariesConfig
from probes.activations.store import ActivationStore
from probes.errors import Stopped, WorkbenchError
from probes.hierarchy.probe import Level
from probes.metrics.absorption import FirstLetters
from probes.metrics.attributes import century_and_numbers, classes, eras
from probes.metrics.by_document import Documents, by_document
from probes.metrics.first_letter import first_letters, read_words
from probes.metrics.loss_recovered import ChunkLosses, losses_recovered
from probes.metrics.perturbation import targeted_perturbation
from probes.metrics.probing import Described, describe_chunks, document_labels
from probes.metrics.removal import Removed
from probes.metrics.seed_agreement import seed_agreement
from probes.metrics.spurious import spurious_removal
from probes.runs import Run
from probes.subjects.text_autoregressive import TextAutoregressive


class Measured(NamedTuple):
    """What was measured of one architecture, by seed; `removed` of the first seed, where the text allows it."""

    levels: list[Level]
    documents: list[Documents]
    losses: list[ChunkLosses]
    letters: list[FirstLetters]
    removed: Removed | None
    agreement: list[NDArray[np.float64]]


def measured_dictionaries(
    config: DictionariesConfig,
    subject: TextAutoregressive,
    store: ActivationStore,
    trained: Mapping[str, list[Level]],
    run: Run,
) -> dict[str, Measured]:
    """Everything about every dictionary; what all share (ablations, words, chunks) is run once."""
    training_rows = config.steps * config.batch
    everyone = [level for levels in trained.values() for level in levels]
    _say(run, "measuring cross-entropy")
    losses = iter(losses_recovered(subject, store, everyone, chunks=config.loss_chunks))
    _say(run, "reading words")
    letters = _letters(config, subject, trained)
    found = {}
    for architecture, levels in counted(run, trained.items(), "measuring every architecture"):
        agreement = seed_agreement([level.space.w_dec for level in levels]) if len(levels) > 1 else []
        found[architecture] = Measured(
            levels,
            [by_document(store, level, training_rows=training_rows, max_rows=config.rows) for level in levels],
            [next(losses) for _ in levels],
            letters.get(architecture, []),
            _removed(subject, store, levels[0]),
            [part.double().numpy() for part in agreement],
        )
    return found


def _letters(
    config: DictionariesConfig, subject: TextAutoregressive, trained: Mapping[str, list[Level]]
) -> dict[str, list[FirstLetters]]:
    """Absorption by architecture and seed; nothing for a subject that has no words or does not spell."""
    point = next(iter(trained.values()))[0].point
    try:
        words = read_words(subject, point, per_letter=config.words)
        return {name: [first_letters(words, level) for level in levels] for name, levels in trained.items()}
    except WorkbenchError as error:
        if error.code in ("no-words", "no-tokenizer", "no-letters"):
            return {}
        raise


def _say(run: Run, message: str) -> None:
    if run.stop_requested():
        raise Stopped
    run.update(message=message)


def _removed(subject: TextAutoregressive, store: ActivationStore, level: Level) -> Removed | None:
    """The two removal tests, where the text has the attributes in training and in held-out documents."""
    century, era = document_labels(store, "century"), eras(store)
    if len(set(century.values())) < 2 or subject.tokenizer is None:
        return None
    train, held = (describe_chunks(store, level, split) for split in ("train", "held_out"))
    decoder = level.space.w_dec.numpy()
    fit, test = (century_and_numbers(part, subject, century) for part in (train, held))
    labelled, asked = (classes(_known_to(train, part, era), era) for part in (train, held))
    try:
        spurious = spurious_removal(fit, test, decoder)
        levelled = spurious_removal(fit, test, decoder, to_mean=True)
    except ValueError:  # one combination of the attributes does not occur
        return None
    return Removed(spurious, levelled, targeted_perturbation(labelled, asked, decoder))


def _known_to(train: Described, part: Described, era: Mapping[int, int]) -> Described:
    """Chunks of classes that training documents have too."""
    known = {era[number] for number in np.unique(train.document).tolist() if number in era}
    rows = np.array([era.get(number) in known for number in part.document.tolist()], dtype=np.bool_)
    return Described(*(column[rows] for column in part))
