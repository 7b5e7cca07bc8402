"""What we save for SAELens comes back the same, and where a rule must be dropped the change is measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from probes.autoencoders.dictionary import Dictionary, unknown_table
from probes.errors import WorkbenchError
from probes.formats.export import (
    approximated,
    approximation,
    change_of,
    export_saelens,
    needs_approximation,
)
from probes.formats.hook_names import Place
from probes.formats.imported import dictionary_of
from probes.formats.registry import detect, read_dictionary
from probes.hooks import HookPoint
from tests.fixtures.dictionaries import D, N, W, numbers, rows
from tests.fixtures.peers import peer

POINT = HookPoint(path="model.layers.3")


def space(threshold: float | Tensor = 0.0, most: int | None = None, **more: Any) -> Dictionary:
    return Dictionary(
        W["enc"].T.contiguous(),
        W["b_enc"],
        more.pop("w_dec", W["dec"]),
        more.pop("b_dec", W["b_dec"]),
        torch.as_tensor(threshold),
        most,
        unknown_table(N, "low"),
        POINT,
        **more,
    )


NARROW = {"w_dec": W["dec"][:, :5].contiguous(), "b_dec": W["b_dec"][:5], "centre": False}
WRITES = HookPoint(path="model.layers.3.mlp")
RULES: dict[str, tuple[Dictionary, str]] = {
    "relu": (space(), "standard"),
    "topk": (space(most=4), "topk"),
    "one threshold": (space(0.4), "jumprelu"),
    "thresholds": (space(W["theta"], centre=False), "jumprelu"),
    "gated": (space(gain=W["r_mag"].exp(), magnitude_bias=W["b_mag"]), "gated"),
    "layer norm": (space(most=4, row_norm=1e-5), "topk"),
    "transcoder": (space(writes=WRITES, **NARROW), "transcoder"),
    "transcoder that centres": (space(writes=WRITES), "transcoder"),
    "jumprelu transcoder": (space(W["theta"], writes=WRITES, **NARROW), "jumprelu_transcoder"),
    "skip transcoder": (space(skip=numbers(5, D, seed=3), writes=WRITES, **NARROW), "skip_transcoder"),
    "both": (space(W["theta"], skip=W["skip"], writes=WRITES, centre=False), "jumprelu_skip_transcoder"),
}


@pytest.mark.parametrize("name", RULES)
def test_our_own_loader_gets_the_same_dictionary_back(name: str, tmp_path: Path) -> None:
    given, architecture = RULES[name]
    export_saelens(given, tmp_path / "out", said={"model_name": "tiny", "l0": 4.0})
    assert json.loads((tmp_path / "out" / "cfg.json").read_text())["architecture"] == architecture
    assert detect(tmp_path / "out") == "saelens"
    found = read_dictionary(tmp_path / "out")
    assert (found.reads, found.model, found.l0) == (Place(layer=3, site="block_out"), "tiny", 4.0)
    assert (found.writes is not None) == (given.writes is not None)
    x, again = rows(), dictionary_of(found, "low")
    torch.testing.assert_close(again.encode(x).dense(), given.encode(x).dense(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(again.reconstruct(x), given.reconstruct(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", RULES)
def test_saelens_loads_our_export_and_gives_our_codes(name: str, tmp_path: Path) -> None:
    lens, (given, architecture) = peer("sae_lens"), RULES[name]
    export_saelens(given, tmp_path / "out", said={"model_name": "tiny"})
    theirs, x = lens.SAE.load_from_disk(tmp_path / "out"), rows()
    assert theirs.cfg.architecture() == architecture
    unit = 1.0 if given.row_norm is None else x.std(dim=1, keepdim=True) + given.row_norm
    torch.testing.assert_close(theirs.encode(x) * unit, given.encode(x).dense(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(theirs(x), given.reconstruct(x), rtol=1e-5, atol=3e-5)


def test_a_dictionary_of_our_own_reaches_saelens_with_what_was_dropped_said(tmp_path: Path) -> None:
    """Both a largest number and a threshold hold in what our TopK leaves."""
    given = space(0.8, most=6)
    assert needs_approximation(given)
    with pytest.raises(WorkbenchError, match="no approximation is chosen"):
        export_saelens(given, tmp_path / "out", said={})
    change = approximated(given, rows(200, seed=1), rows(200, seed=2))
    other = "topk" if change.rule == "jumprelu" else "jumprelu"
    x = rows(200, seed=1)

    def error(rule: Any) -> float:
        return float((approximation(given, rule).reconstruct(x) - given.reconstruct(x)).square().sum())

    assert error(change.rule) <= error(other)
    export_saelens(given, tmp_path / "out", said={}, change=change)
    said = json.loads((tmp_path / "out" / "cfg.json").read_text())
    assert said["metadata"]["fulcrum_approximation"] == change.sentence()
    again, x = dictionary_of(read_dictionary(tmp_path / "out"), "low"), rows(50)
    expected = approximation(given, change.rule).encode(x).dense()
    torch.testing.assert_close(again.encode(x).dense(), expected, rtol=1e-5, atol=1e-5)


def test_what_an_approximation_changes_is_measured_as_it_is() -> None:
    given, x = space(0.8, most=3), rows(300)
    for rule in ("topk", "jumprelu"):
        change = change_of(given, rule, x)  # type: ignore[arg-type]
        was, now = given.encode(x), approximation(given, rule).encode(x)  # type: ignore[arg-type]
        differs = (was.dense() - now.dense()).abs().amax(dim=1) > 1e-6
        assert change.changed == pytest.approx(float(differs.float().mean()))
        assert change.l0 == pytest.approx((float(was.l0().float().mean()), float(now.l0().float().mean())))
        assert 0 < change.changed < 1 and change.l0[1] > change.l0[0]


def test_nothing_is_dropped_where_nothing_need_be() -> None:
    assert not needs_approximation(space(most=4))
    assert not needs_approximation(space(0.4))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (space(-0.5), "thresholds are negative"),
        (space(row_norm=1e-3), "epsilon 0.001"),
        (space(most=4, writes=WRITES), "neither keep a largest number"),
        (space(0.5, gain=W["r_mag"].exp(), magnitude_bias=W["b_mag"]), "gates stand beside"),
    ],
)
def test_what_saelens_cannot_hold_is_refused(given: Dictionary, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=sentence):
        export_saelens(given, tmp_path / "out", said={})
    assert not (tmp_path / "out").exists()


def test_an_export_never_overwrites(tmp_path: Path) -> None:
    export_saelens(space(), tmp_path / "out", said={})
    with pytest.raises(WorkbenchError, match="exists already"):
        export_saelens(replace(space(), centre=False), tmp_path / "out", said={})
