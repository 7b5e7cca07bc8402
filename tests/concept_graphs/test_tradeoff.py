"""The trade-off: prices on codes whose true edges are known, folds that share no chunk, the rule by hand."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import norm

from concept_graphs import tradeoff
from concept_graphs.tradeoff import PathConfig, chosen_for_all, folds_of, price_path
from concept_graphs.tradeoff_curve import (
    TRADEOFF_FILE,
    PairCurve,
    PricePoint,
    Tradeoff,
    in_sentences,
    one_standard_error,
    tradeoff_figure,
    tradeoff_of,
)
from probes.artefacts import artefact_path, parent_of, write_manifest
from probes.errors import Stopped, WorkbenchError
from probes.files import write_json
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.fit_maps import MapConfig
from probes.training.loop import OptimiserConfig

PARENTS = {0: (0, 1), 1: (2, 3), 2: (4,), 3: (5, 6, 7)}
EDGES = sum(map(len, PARENTS.values()))
CONFIG = PathConfig(
    prices=(0.1, 0.0, 0.01),
    folds=3,
    targets=8,
    maps=MapConfig(
        candidates=10,
        minimum_rows=20,
        optimiser=OptimiserConfig(steps=160, batch=256, learning_rate=0.05, clip_norm=10.0),
    ),
)


def known_codes(rows: int, seed: int, noise: float = 0.3) -> PairedCodes:
    """Four higher latents that sum their own lower ones, with noise; two more lower ones stand by."""
    random = np.random.default_rng(seed)
    low = (random.random((rows, 10)) < 0.2) * random.lognormal(0, 0.3, (rows, 10))
    high = np.stack([low[:, list(parents)].sum(axis=1) for parents in PARENTS.values()], axis=1)
    high = np.maximum(high + noise * random.standard_normal(high.shape) * (high > 0), 0)
    return PairedCodes(sparse.csr_matrix(low), sparse.csr_matrix(high), np.arange(rows) // 8)


@pytest.fixture(scope="module")
def curve() -> PairCurve:
    return price_path(known_codes(1500, 0), ("low", "high"), CONFIG)


def test_the_chosen_price_leaves_about_the_true_edges(curve: PairCurve) -> None:
    assert [point.price for point in curve.points] == [0.0, 0.01, 0.1]
    edges = [point.edges for point in curve.points]
    assert edges[0] > edges[1] >= edges[2] and edges[0] > 1.3 * EDGES
    taken = next(point for point in curve.points if point.price == curve.chosen)
    assert curve.chosen > 0 and EDGES - 1 <= taken.edges <= EDGES + 2
    assert taken.bits < 0.9 * curve.plain and taken.low < taken.bits < taken.high
    assert min(point.bits for point in curve.points) <= taken.bits


def test_bits_are_those_of_a_gaussian_per_target_and_the_edges(curve: PairCurve) -> None:
    """Without a map, by scipy; with one, the price of its edges is |E| log2 m over the rows fitted on."""
    codes = known_codes(1500, 0)
    fold = folds_of(codes.chunk, 3, CONFIG.seed)
    high, bits = codes.high.toarray(), []
    for held in range(3):
        train, test = high[fold != held], high[fold == held]
        size = train.sum(axis=0) / (train > 0).sum(axis=0)
        train, test = train / size, test / size
        step = math.sqrt(12 * 0.01 * train.var(axis=0).mean())
        spread = np.maximum(train.std(axis=0), step / math.sqrt(12))
        bits.append(-np.log2(norm.pdf(test, train.mean(axis=0), spread) * step).sum(axis=1))
    assert curve.plain == pytest.approx(np.concatenate(bits).mean(), rel=1e-4)
    for point in curve.points:
        assert point.edge_bits == pytest.approx(point.edges * math.log2(10) / 1000, rel=0.02)
        assert np.mean(point.folds) == pytest.approx(point.bits, rel=0.02)


def test_no_chunk_is_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    chunk = random.permutation(np.repeat(np.arange(50), random.integers(1, 9, size=50)))
    fold = folds_of(chunk, 4, seed=3)
    assert {len(set(fold[chunk == one])) for one in range(50)} == {1} and set(fold) == {0, 1, 2, 3}
    assert np.ptp([len(set(chunk[fold == one])) for one in range(4)]) <= 1
    seen: list[set[int]] = []
    real = tradeoff.scaled

    def spy(part: PairedCodes, low: Any, high: Any) -> Any:
        seen.append(set(part.chunk.tolist()))
        return real(part, low, high)

    monkeypatch.setattr(tradeoff, "scaled", spy)
    quick = CONFIG.maps.model_copy(update={"optimiser": OptimiserConfig(steps=2, batch=64)})
    price_path(known_codes(600, 2), ("low", "high"), CONFIG.model_copy(update={"maps": quick}))
    assert len(seen) == 6
    for train, test in zip(seen[::2], seen[1::2], strict=True):
        assert not train & test and train | test == set(range(75))


def test_the_rule_by_hand() -> None:
    """Folds differ by much more than prices do; only differences count."""
    base = np.array([10.0, 20.0, 30.0, 40.0])
    wobble = np.array([0.02, -0.02, 0.02, -0.02])
    folds = np.stack([base + 0.2, base, base + 0.01 + wobble, base + 0.5 + wobble])
    chosen, errors = one_standard_error([0.0, 0.1, 0.2, 0.3], folds)
    assert chosen == 2
    np.testing.assert_allclose(errors, [0, 0, wobble.std(ddof=1) / 2, wobble.std(ddof=1) / 2], atol=1e-12)
    assert one_standard_error([0.0, 0.1], np.array([[1.0, 1.0], [2.0, 2.0]]))[0] == 0


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="2 chunks and 3 folds"):
        price_path(known_codes(16, 0), ("low", "high"), CONFIG)
    with pytest.raises(WorkbenchError, match="No selection map can be fitted"):
        price_path(known_codes(48, 0), ("low", "high"), CONFIG)
    with pytest.raises(Stopped):
        price_path(known_codes(1500, 0), ("low", "high"), CONFIG, stop=lambda: True)


def made_up(chosen: float = 0.01) -> Tradeoff:
    def point(price: float, edges: float, bits: float, apart: float) -> PricePoint:
        return PricePoint(
            price=price, edges=edges, kept=edges, bits=bits, edge_bits=0.1, low=bits - 1, high=bits + 1,
            folds=[bits - apart, bits + apart], error=0.1,
        )  # fmt: skip

    points = [point(0.001, 80.0, 49.95, 0.1), point(0.01, 8.0, 50.0, 0.2), point(0.1, 0.0, 60.0, 0.1)]
    curves = [
        PairCurve(lower=low, upper=high, targets=4, rows=100, chunks=10, plain=100.0, points=points, chosen=chosen)
        for low, high in (("low", "middle"), ("middle", "high"))
    ]
    return Tradeoff(probe="p", store="s", curves=curves, chosen=chosen)


def test_figure_and_sentences_say_what_was_chosen() -> None:
    found = made_up()
    figure = tradeoff_figure(found)
    assert [trace["name"] for trace in figure["data"]] == ["low to middle", "middle to high"]
    first = figure["data"][0]
    assert first["x"] == [80.0, 8.0, 0.5] and first["y"] == [49.95, 50.0, 60.0]
    assert first["marker"]["symbol"] == ["circle", "star", "circle"]
    said = in_sentences(found)
    assert said[-1].endswith("--maps.edge-weight 0.01") and "50.0 % less than without a map" in said[0]
    assert chosen_for_all(found.curves) == 0.01


def test_a_tradeoff_is_found_by_its_probe(data_home: Path) -> None:
    folder = artefact_path("evaluation", "a trade-off")
    folder.mkdir(parents=True)
    own = made_up().model_copy(update={"probe_sha256": parent_of("bundled/emoji", "probe").sha256})
    write_json(folder / TRADEOFF_FILE, own.model_dump(mode="json"))
    write_manifest(folder, kind="evaluation", name="a trade-off")
    assert tradeoff_of("bundled/emoji") == own
    shutil.rmtree(folder)
    assert tradeoff_of("bundled/emoji") is None
