"""Levers on a level that reads at one place and writes at another."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from probes.activations.rows import RowKind
from probes.activations.store import PointInfo
from probes.addresses import HookPoint
from probes.autoencoders.dictionary import Dictionary, unknown_table
from probes.errors import WorkbenchError
from probes.hierarchy.probe import Level, LevelRecord, Probe, ProbeRecord
from probes.hooks import Edit, hooked, keep
from probes.subjects.text_autoregressive import TextAutoregressive
from steering.edits import compile_levers
from steering.levers import Lever

READS = HookPoint(path="model.layers.0.mlp", tap="in")
WRITES = HookPoint(path="model.layers.0.mlp")
TOKENS = torch.randint(20, 120, (2, 9), generator=torch.Generator().manual_seed(7))
WIDE, LATENTS = 32, 48


@pytest.fixture(scope="module")
def probe() -> Probe:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(LATENTS, WIDE, generator=generator) for _ in range(2)]
    space = Dictionary(
        parts[0],
        torch.zeros(LATENTS),
        0.3 * parts[1],
        torch.zeros(WIDE),
        torch.tensor(0.5),
        None,
        replace(unknown_table(LATENTS, "low"), typical=torch.full((LATENTS,), 2.0)),
        READS,
        WRITES,
        centre=False,
    )
    info = PointInfo(point=READS, d_model=WIDE, median_norm=5.0, masks_outliers=False)
    record = LevelRecord(name="low", point=info, rows=RowKind(), n_latents=LATENTS, k=4, writes=WRITES)
    level = Level(record, space, {})
    return Probe(ProbeRecord(subject="llama", store="none", levels=(record,)), (level,), ())


def seen(subject: TextAutoregressive, edits: list[Edit]) -> tuple[Tensor, Tensor]:
    """What the MLP of the first block is given and gives."""
    with hooked(subject, {READS: keep, HookPoint(path="model.layers.0"): keep}, edits) as tape:
        subject.run(TOKENS)
    return tape.last(READS), tape.last(HookPoint(path="model.layers.0"))


@pytest.mark.parametrize("operation", ["add", "scale", "set", "cap"])
def test_a_lever_reads_and_writes_where_its_level_does(
    operation: str, probe: Probe, tiny_subject: TextAutoregressive
) -> None:
    lever = Lever(level="low", weights={3: 1.0, 5: 0.5}, operation=operation, strength=-1.0)
    edits, effects = compile_levers([lever], probe, tiny_subject)
    given, plain = seen(tiny_subject, [])
    given_again, steered = seen(tiny_subject, edits)
    assert torch.equal(given, given_again)
    space = probe.level("low").space
    z = space.encode(given, [3, 5]).value
    expected = {
        "add": torch.full_like(z, -2.0),
        "scale": -z,
        "set": -(2.0 - z),
        "cap": -(z.clamp_max(2.0) - z),
    }[operation] * torch.tensor([1.0, 0.5])
    added = (steered - plain).float()
    torch.testing.assert_close(added, expected @ space.w_dec[[3, 5]], rtol=1e-4, atol=1e-4)
    moved = (added.norm(dim=-1) > 1e-6).sum()
    assert effects[0].moved == int(moved) > 0 and effects[0].share > 0


def test_cached_and_uncached_generation_agree(probe: Probe, tiny_subject: TextAutoregressive) -> None:
    lever = Lever(level="low", weights={3: 1.0}, operation="add", strength=3.0, where="positions=generated")
    made = []
    for cached in (True, False):
        edits, _ = compile_levers([lever], probe, tiny_subject)
        with hooked(tiny_subject, write=edits):
            out = tiny_subject.generate(TOKENS, seeds=[1, 2], max_new_tokens=8, use_cache=cached)
        made.append(out.tokens)
    assert torch.equal(made[0], made[1])


def test_strength_zero_is_bit_identical(probe: Probe, tiny_subject: TextAutoregressive) -> None:
    edits, _ = compile_levers([Lever(level="low", weights={3: 1.0}, strength=0.0)], probe, tiny_subject)
    plain = tiny_subject.logits(TOKENS)
    with hooked(tiny_subject, write=edits):
        assert torch.equal(tiny_subject.logits(TOKENS), plain)


def test_a_direction_is_not_read_where_it_is_not_written(probe: Probe, tiny_subject: TextAutoregressive) -> None:
    lever = Lever(level="low", weights={3: 1.0}, operation="project", strength=1.0)
    with pytest.raises(WorkbenchError, match="its directions lie at"):
        compile_levers([lever], probe, tiny_subject)
