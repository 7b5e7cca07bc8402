"""Evidence and levers on a module whose edges are known: what is true is found, nothing else is."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch

from concept_graphs.changes import change_of, choose_places
from concept_graphs.effects import EdgeEvidence, edge_evidence
from concept_graphs.evidence import EvidenceConfig, HeldOut, ablate_sources
from probes.activations.inputs import capture_inputs
from probes.activations.store import ActivationStore
from probes.hooks import hooked, keep
from steering.edits import compile_lever, compile_levers
from steering.levers import Lever
from tests.fixtures.worlds import HIGH, HIGH_POINT, LOW, codes_of, inputs, true_probe, two_storeys

SOURCES, TARGETS = list(range(LOW)), list(range(HIGH))
Intervention = Literal["ablate", "mean", "activate"]
INTERVENTIONS: tuple[Intervention, ...] = ("ablate", "mean", "activate")


def evidence(carried: float, name: str, intervention: Intervention = "ablate") -> tuple[EdgeEvidence, np.ndarray]:
    """The evidence of every pair of a low and a high feature, and which pairs are true edges."""
    subject = two_storeys(carried)
    store = ActivationStore(capture_inputs(subject, inputs(8, 60), name=name, held_out=0.5))
    low, high = true_probe(subject).levels
    held_out = HeldOut(store, low, high)
    config = EvidenceConfig(chunks=40, nulls=4, rows=64, intervention=intervention)
    effects = {found.source: found for found in ablate_sources(subject, held_out, SOURCES, TARGETS, config)}
    source, target = (part.ravel().tolist() for part in np.meshgrid(SOURCES, TARGETS, indexing="ij"))
    found = edge_evidence(effects, source, target, TARGETS, np.ones(HIGH))
    true = subject.root.parts.numpy()[target, source] > 0  # type: ignore[union-attr, operator]
    return found, true


@pytest.mark.parametrize("carried", [0.0, 0.5])
def test_ablating_a_child_lowers_its_parent_and_no_other(data_home: Any, carried: float) -> None:
    """What the residual path carries does not lie along any high feature here, so it changes no verdict."""
    found, true = evidence(carried, f"known-{carried}")
    columns = found.columns
    assert (columns["n"] >= 30).all()
    assert (columns["effect"][true] < -0.2).all()
    assert np.abs(columns["effect"][~true]).max() < 1e-5
    assert (columns["effect_high"][true] < 0).all()
    held = columns["held"][true]
    np.testing.assert_allclose(held, columns["effect"][true], atol=1e-5)


def test_leaving_a_child_at_its_mean_lowers_its_parent_less_and_giving_it_raises_the_parent(data_home: Any) -> None:
    (taken, true), (mean, _), (given, _) = (evidence(0.0, f"known-{name}", name) for name in INTERVENTIONS)
    effects = [found.columns["effect"] for found in (taken, mean, given)]
    assert (effects[0][true] < effects[1][true]).all() and (effects[1][true] < -0.05).all()
    assert (effects[2][true] > 0.2).all()
    for effect in effects[1:]:
        assert np.abs(effect[~true]).max() < 1e-5
    for found in (taken, mean, given):
        assert (found.columns["verdict"][~true] == "unsupported").all()


def test_a_concept_is_given_only_where_it_never_fires_and_as_strongly_as_elsewhere() -> None:
    codes = torch.zeros(9, 6)
    codes[:4, 1], codes[2, 3] = 2.0, 0.5
    usable = torch.ones(9, 6, dtype=torch.bool)
    usable[6, 1] = False
    config = EvidenceConfig(minimum_chunks=2, intervention="activate")
    chosen = choose_places((codes > 0).any(dim=1)[:, None], [7], config)[7]
    chunk, step = change_of(7, codes, usable, chosen, config)
    assert len(chunk) == 4 and set(chunk.tolist()) <= {4, 5, 6, 7, 8}
    expected = codes[chosen] * usable[chunk]
    torch.testing.assert_close(step, expected)


def test_levers_move_what_lies_above_and_add_up_in_any_order() -> None:
    subject = two_storeys()
    probe = true_probe(subject)
    batch = codes_of(50, seed=99)
    plain = subject.activations(batch, {HIGH_POINT: keep})[HIGH_POINT]
    remove = Lever(level="low", weights={0: 1.0, 1: 1.0, 2: 1.0}, operation="scale", strength=-1.0)

    def high_codes(*levers: Lever) -> torch.Tensor:
        edits, _ = compile_levers(levers, probe, subject)
        with hooked(subject, write=edits):
            x = subject.activations(batch, {HIGH_POINT: keep})[HIGH_POINT]
        return probe.level("high").space.encode(x).dense()[:, 0]

    before = probe.level("high").space.encode(plain).dense()[:, 0]
    after = high_codes(remove)
    assert before[:, 0].max() > 0.5 and after[:, 0].abs().max() < 1e-5
    torch.testing.assert_close(after[:, 1:], before[:, 1:], rtol=1e-4, atol=1e-5)
    add = Lever(level="low", weights={5: 1.0}, operation="add", strength=2.0)
    assert torch.equal(high_codes(remove, add), high_codes(add, remove))
    assert (high_codes(add)[:, 1] > before[:, 1]).all()
    with hooked(subject, write=[compile_lever(remove.with_strength(0.0), probe, subject)]):
        assert torch.equal(subject.activations(batch, {HIGH_POINT: keep})[HIGH_POINT], plain)
