"""Make the atlases of the bundled probes again: coordinates only, so that the workbench opens with them.

Run as `make assets-atlases`; minutes on one core. An atlas belongs to one probe: after a probe was built anew, its
atlas no longer fits and is made again here, or by whoever opens the graph.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROBES = ("text", "emoji")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, default=ROOT / "build" / "assets-atlases", help="Folder for runs.")
    home = parser.parse_args().scratch.resolve()
    home.mkdir(parents=True, exist_ok=True)
    os.environ["FULCRUM_HOME"] = str(home)
    sys.path[:0] = [str(ROOT), str(ROOT / "assets")]
    from jobs import ship_beside

    for name in PROBES:
        ship_beside(home, name)


if __name__ == "__main__":
    main()
