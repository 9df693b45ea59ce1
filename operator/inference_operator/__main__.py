"""`python -m inference_operator`."""

from __future__ import annotations

from inference_operator.app.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
