"""Prints, as JSON, what the bare engine sees first in each picture; run as a program.

This is the truth that every contestant's answers are held against: not what a person sees, but
what this model says when nothing stands between it and the picture.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.vision import models


def main() -> None:
    """One list of labels for each picture named on the command line, best first."""
    model = models.from_environment()
    seen = []
    for argument in sys.argv[1:]:
        answer = model.answer(Path(argument).read_bytes())
        found = answer.get("detections") or answer.get("predictions") or []
        seen.append([entry["label"] for entry in found])
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
