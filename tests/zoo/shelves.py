"""Runs the programs that build a shelf of models and ask the server, and tells what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
OUTCOMES = ("right", "assumed", "refused", "wrong")


@dataclass(frozen=True)
class Verdicts:
    """What became of every model of a shelf, by its name."""

    by_model: dict[str, dict[str, Any]]

    @property
    def silently_wrong(self) -> list[str]:
        """The models that were served without a word and answered otherwise."""
        return [f"{name}: {item}" for name, item in self.by_model.items()
                if item["outcome"] == "wrong"]  # fmt: skip

    def named(self, part: str) -> dict[str, dict[str, Any]]:
        """Those whose name has that part."""
        return {name: item for name, item in self.by_model.items() if part in name}

    def table(self) -> str:
        """A line for each model, and the counts."""
        lines = [
            f"{name:36} {item['outcome']:8} {item.get('range', ''):8} {item.get('source', ''):9}"
            f"{item['reason'][:100]}"
            for name, item in sorted(self.by_model.items())
        ]
        counts = Counter(item["outcome"] for item in self.by_model.values())
        told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
        return "\n".join([*lines, f"{len(self.by_model)} models: {told}"])


def run(program: str, *arguments: str, seconds: float = 1500) -> None:
    """A program of this package, with TensorFlow, in a process of its own.

    Raises:
        RuntimeError: with the end of what it said, if it fails.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if "MODEL_SERVER_" not in name},
        "PYTHONPATH": str(TESTS),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, "-m", f"zoo.{program}", *arguments],
        env=environment,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{program}: {done.stderr.decode(errors='replace')[-3000:]}")


def verdicts(program: str, folder: Path, arguments: Sequence[str] = ()) -> Verdicts:
    """Builds a shelf and asks the server about all of it."""
    run(program, str(folder), *arguments)
    run("ask", str(folder))
    return Verdicts(json.loads((folder / "verdicts.json").read_text()))
