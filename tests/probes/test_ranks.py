"""Two processes end where one does: rows divided, latents divided, and both resume bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from probes.autoencoders.registry import AUTOENCODERS
from probes.autoencoders.topk import TopKAutoencoder
from probes.errors import WorkbenchError
from probes.training import ranks as ranks_module
from probes.training.objective import Objective
from probes.training.ranks import ALONE, Group, Ranks, ranks_for
from tests.fixtures import two_processes
from tests.fixtures.toy_training import an_objective, config_of, trained

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """What two processes on this machine left behind."""
    folder = tmp_path_factory.mktemp("two")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, two_processes.__file__, str(folder)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads((folder / "found.json").read_text())


def test_what_travels_is_exact_and_has_its_gradient(found: tuple[Path, dict[str, Any]]) -> None:
    checks = found[1]["checks"]
    assert all(checks[name] for name in ("whole", "summed", "shared", "among_largest", "equal values"))


def test_two_processes_encode_the_rows_one_would(found: tuple[Path, dict[str, Any]]) -> None:
    assert found[1]["checks"]["rows"]


@pytest.mark.parametrize("number", range(len(two_processes.MODES)), ids=list(two_processes.MODES))
def test_two_processes_end_where_one_does(number: int, found: tuple[Path, dict[str, Any]]) -> None:
    """Every logged value and every parameter, the dead latents' counters exactly.

    Narrow products give many equal values, and which of those stays on may differ: there the loss is compared.
    """
    folder, said = found
    name = list(two_processes.MODES)[number]
    narrow = "narrow" in name
    one, _, log = trained(config_of(**two_processes.MODES[name]))
    for (step, values), (other, theirs) in zip(log, said["logs"][name], strict=True):
        assert step == other and values.keys() == theirs.keys()
        for key, value in values.items():
            if key == "loss" or not narrow:
                assert theirs[key] == pytest.approx(value, rel=5e-2 if narrow else 1e-5, abs=5e-7), (step, key)
    assert any(values["dead"] > 0 for _, values in log) and any("revival" in values for _, values in log)
    state = load_file(folder / f"{number}.safetensors")
    for key, tensor in one.module().state_dict().items():
        if not narrow:
            torch.testing.assert_close(state[key], tensor, rtol=1e-5, atol=1e-5)
    assert narrow or torch.equal(state["since_fired"], one.representation.since_fired)


@pytest.fixture(scope="module")
def alone() -> dict[str, list[dict[str, float]]]:
    return two_processes.every_architecture(lambda: ALONE)


@pytest.mark.parametrize("kind", list(AUTOENCODERS))
def test_every_architecture_divides_its_rows(
    kind: str, alone: dict[str, list[dict[str, float]]], found: tuple[Path, dict[str, Any]]
) -> None:
    """Those that choose among the whole batch too."""
    for ours, theirs in zip(alone[kind], found[1]["every"][kind], strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():  # a share that is near zero is a small difference of large numbers
            assert theirs[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("name", list(two_processes.MODES))
def test_as_many_processes_resume_bit_for_bit(name: str, found: tuple[Path, dict[str, Any]]) -> None:
    assert found[1]["checks"][f"{name}: resumed"]


def test_a_checkpoint_of_two_is_one_of_a_whole(found: tuple[Path, dict[str, Any]]) -> None:
    """Whoever shared it: names and shapes are those of one process, so any number can go on from it."""
    alone = an_objective().module().state_dict()
    for number in range(len(two_processes.MODES)):
        saved = load_file(found[0] / f"{number}.cut.safetensors")
        assert {name: t.shape for name, t in saved.items()} == {name: t.shape for name, t in alone.items()}


def test_alone_everything_is_what_it_was() -> None:
    group, x = Group(), torch.randn(3, 4, requires_grad=True)
    for same in (group.part, group.whole, group.summed, group.shared):
        assert same(x) is x
    assert group.among_largest(x, 2) is x and group.total(0.5) == 0.5 and ALONE.agreed(7) == 7
    assert ranks_for(8, 30) is ALONE


def test_what_cannot_be_divided_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Ranks(shards=Group(0, 2))
    with pytest.raises(WorkbenchError, match="does not say how"):
        Objective(torch.nn.Linear(2, 2), []).divided(two)
    with pytest.raises(WorkbenchError, match="9 latents"):
        TopKAutoencoder(4, 9, 2, seed=0, dead_after=1).divided(two)
    monkeypatch.setattr(ranks_module, "world", lambda: 4)
    for shards, batch in ((3, 120), (2, 121)):
        with pytest.raises(WorkbenchError, match="4 processes"):
            ranks_for(shards, batch)
