"""What the builds of bundled probes and graphs share: commands of the workbench, each done once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def job(made: Path, kind: str, *flags: str) -> None:
    """Run a command of the workbench unless what it makes is there; an earlier try is resumed."""
    if (made / "manifest.json").is_file():
        print(f"{kind}: {made.name} is there")
        return
    for record in sorted((made.parents[1] / "runs").glob("*/config.json")):
        asked = json.loads(record.read_text())
        if asked["kind"] == kind and asked["config"].get("name") == made.name:
            subprocess.run([sys.executable, "-m", "app", "work", str(record.parent)], cwd=ROOT, check=True)
            return
    subprocess.run([sys.executable, "-m", "app", kind, *flags], cwd=ROOT, check=True)


def ship_beside(home: Path, name: str) -> None:
    """Make the atlas of a bundled probe and, where the store is at hand, the support of its graph, and copy both."""
    ref = f"bundled/{name}"
    made = [("atlases", "atlas", ("--probe", ref))]
    if (home / "stores" / name).is_dir():
        made.append(("supports", "support", ("--graph", ref, "--examples", "6000")))
    for folder, kind, flags in made:
        done = home / folder / f"bundled-{name}"
        job(done, kind, *flags, "--name", done.name)
        target = ROOT / "assets" / folder / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(done, target)
