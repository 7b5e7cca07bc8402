"""A representation opens without its run, refuses what is damaged or foreign, and its latents are a latent space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from probes.artefacts import read_manifest, write_manifest
from probes.errors import WorkbenchError
from probes.files import read_json, write_json
from probes.latents import Codes, LatentSpace
from probes.representations.artefact import open_representation, save_representation
from probes.representations.measured import measured_latents
from probes.representations.setting import Setting
from tests.fixtures.kept_cells import CONFIG, kept_cell, outcome_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    return tmp_path


def test_it_opens_without_its_run_and_says_what_it_is(home: Path) -> None:
    found = kept_cell(home)
    manifest = read_manifest(home / "representations" / "mine", verify=True)
    assert (manifest.kind, manifest.run, manifest.figures) == ("representation", "some-run", {"mcc": 0.5, "r2": 0.6})
    setting = Setting(CONFIG, 1)
    np.testing.assert_array_equal(found.opened.seen([3]), setting.held_out.fields["x"][[3]].numpy())
    for at, latent in enumerate(found.measured.latents):
        values = found.opened.codes[:, at]
        assert latent.name == f"latent {at}" and sum(latent.histogram) == found.measured.rows == 90
        assert (latent.low, latent.high, latent.deviation) == pytest.approx((values.min(), values.max(), values.std()))
    with pytest.raises(WorkbenchError, match="exists"):
        save_representation(found.opened, outcome_of(found.opened.cell, 4), "mine")


def test_what_is_damaged_foreign_or_of_another_world_is_refused(home: Path) -> None:
    kept_cell(home)
    folder = home / "representations" / "mine"

    def refused(why: str, name: str = "mine") -> None:
        with pytest.raises(WorkbenchError, match=why):
            open_representation(name)

    def changed(**fields: object) -> None:
        """The record with other fields, and a manifest that fits it."""
        (folder / "manifest.json").unlink()
        record = read_json(folder / "representation.json")
        write_json(folder / "representation.json", record | fields)
        write_manifest(folder, kind="representation", name="mine")

    recipe = read_json(folder / "representation.json")["recipe"]
    changed(recipe=recipe | {"cell": recipe["cell"] | {"seed": 2}})
    refused("made again from its field world, are not those it was kept with")
    changed(recipe=recipe | {"network": recipe["network"] | {"width": 16}})
    refused("its world, network and cell fields make it")
    changed(recipe=recipe | {"cell": recipe["cell"] | {"task": "none such"}})
    refused(r"field recipe\.cell\.task")
    changed(recipe=recipe)
    assert open_representation("mine").opened.cell.seed == 1
    weights = folder / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"x")
    refused("weights.safetensors differs from the hash")
    weights.write_bytes(content)
    (folder / "manifest.json").unlink()
    write_manifest(folder, kind="probe", name="mine")
    refused("field kind of its manifest is 'probe'")
    (folder / "manifest.json").unlink()
    refused("is not an artefact")
    refused("no representation called 'yours'", "yours")


def test_latents_are_a_space_that_reads_and_writes_around_rows(home: Path) -> None:
    found = kept_cell(home)
    space: LatentSpace = found.space
    x = torch.from_numpy(found.opened.seen([0, 5, 7]))
    codes = space.encode(x)
    np.testing.assert_allclose(codes.dense(), found.opened.codes[[0, 5, 7]], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(space.encode(x, [2]).value, codes.value[:, 2:3])
    torch.testing.assert_close(space.table.typical.double().numpy(), found.opened.spread, rtol=1e-5, atol=1e-6)
    assert space.point is None and not len(space.edges().source) and len(space.table) == 4
    with pytest.raises(ValueError, match="depends on the rows it starts from"):
        space.change(codes)
    around = found.space.around(codes.dense())
    dz = Codes(torch.tensor([[1], [1], [1]]), torch.tensor([[0.0], [0.5], [-0.5]]), 4)
    change, decode = around.change(dz), found.opened.model.decoder
    assert decode is not None and torch.equal(change[0], torch.zeros(12)), "no change of codes changes nothing at all"
    torch.testing.assert_close(around.decoded() + change, decode(codes.dense() + dz.dense()).detach())


def test_without_a_decoder_it_reads_and_says_why_it_does_not_write(home: Path) -> None:
    space = kept_cell(home, "infonce").space
    codes = space.encode(torch.zeros(2, 12))
    assert not space.writes and codes.value.shape == (2, 4)
    for act in (lambda: space.around(codes.dense()), lambda: space.change(codes)):
        with pytest.raises(WorkbenchError, match=r"The representation mine cannot be written to: its task trains no"):
            act()


def test_a_latent_that_stands_still_is_measured_as_such() -> None:
    found = measured_latents(np.stack([np.full(20, 0.3), np.arange(20.0)], axis=1))
    assert [latent.still for latent in found.latents] == [True, False]
    assert found.latents[0].histogram == [20, *[0] * 15] and found.latents[1].quantiles[2] == 9.5
