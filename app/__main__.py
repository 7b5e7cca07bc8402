"""`python -m app`, also installed as `fulcrum`."""

from __future__ import annotations

from app.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
