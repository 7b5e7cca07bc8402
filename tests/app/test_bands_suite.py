"""Ways of coding noise bands in one table: the same rows, sizes and steps, figures per band."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.commands import main
from app.worker import run_job
from probes.errors import WorkbenchError
from probes.hierarchy.probe import open_probe
from tests.fixtures.image_stores import BANDS, COARSE, FINE, image_store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    image_store(tmp_path, images=2)
    return tmp_path


def test_three_ways_of_coding_bands(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--bands.n_latents", "32", "--bands.k", "4", "--bands.steps", "40", "--bands.batch", "64"]
    where = ["--bands.points", f"{COARSE},{FINE}"]
    assert main(["evaluate", "bands", "--bands.store", "images", *where, *small, "--bands.seeds", "1", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    for point in (COARSE, FINE):
        for way in ("each", "shared", "conditioned"):
            for low, high in BANDS:
                name = f"bands.{point}.{way}.{low:g}-{high:g}"
                assert 0 < rows[f"{name}.explained_variance"]["value"] < 1
                assert rows[f"{name}.l0"]["value"] == pytest.approx(4, rel=0.3)
                assert rows[f"{name}.dead"]["better"] == "down"
        each, shared = (rows[f"bands.{point}.{way}.explained_variance"] for way in ("each", "shared"))
        assert shared["baseline"] == each["value"]
    coarse, fine = (rows[f"bands.{point}.each.explained_variance"]["value"] for point in (COARSE, FINE))
    assert coarse != fine


def test_a_probe_may_share_one_dictionary_along_the_trajectory(home: Path) -> None:
    small = {"n_latents": 32, "k": 4, "dead_after": 3000, "optimiser": {"steps": 30, "batch": 96}}
    maps = {"rows": 1000, "minimum_rows": 10, "optimiser": {"steps": 20, "batch": 64, "learning_rate": 0.03}}
    bands = {"low": small | {"depth": 0.1}, "middle": small | {"depth": 0.5}, "high": small | {"depth": 0.9}}
    run_job("train", name="shared", store="images", trajectory="conditioned", maps=maps, **bands)
    low, middle, high = open_probe("shared").levels
    assert low.space.n_latents == middle.space.n_latents == high.space.n_latents == 32
    # One decoder: its rows point the same way in every band.
    for level in (middle, high):
        cosine = (low.space.w_dec * level.space.w_dec).sum(dim=1)
        assert float(cosine.min()) > 0.99
    assert not low.space.w_enc.allclose(high.space.w_enc, atol=1e-3)
    apart = bands | {"middle": small | {"at": f"{COARSE}@noise=0.3-0.6"}}
    with pytest.raises(WorkbenchError, match="cannot share a dictionary"):
        run_job("train", name="apart", store="images", trajectory="shared", maps=maps, **apart)
    assert FINE != COARSE
