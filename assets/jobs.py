"""What the builds of bundled probes and graphs share: commands of the workbench, each done once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def job(made: Path, kind: str, *flags: str) -> None:
    """Run a command of the workbench unless what it makes is there; an earlier try is resumed.

    Raises `SystemExit` where either was asked for with other settings.
    """
    from app.commands import config_of
    from app.jobs import command_line, load_config
    from probes.runs import all_runs

    config = config_of([kind, *flags])
    command = command_line(kind, config, made.name)
    if (made / "manifest.json").is_file():
        earlier = json.loads((made / "manifest.json").read_text())["command"]
        if earlier != command:
            raise _other(made, earlier, command)
        print(f"{kind}: {made.name} is there")
        return
    for run in all_runs():
        if (record := run.record()).kind == kind and record.config.get("name") == made.name:
            if load_config(run) != config:
                raise _other(run.path, record.command, command)
            subprocess.run([sys.executable, "-m", "app", "work", str(run.path)], cwd=ROOT, check=True)
            return
    subprocess.run([sys.executable, "-m", "app", kind, *flags], cwd=ROOT, check=True)


def _other(folder: Path, earlier: str, command: str) -> SystemExit:
    return SystemExit(
        f"{folder} was made with other settings.\n  then: {earlier}\n   now: {command}\n"
        "Name another folder with --scratch, or move that one away."
    )


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
