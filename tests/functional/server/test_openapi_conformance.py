"""schemathesis against a real server: generated requests of every URL, good and bad.

No answer may be a 5xx, have an undocumented status, or differ from its schema; what breaks the
schema must be refused, and what keeps to it accepted.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.model_server import RunningServer, model_server
from support.side_venv import side_venv

FOLDER = Path(__file__).parent / "openapi"
BUNDLED = Path(__file__).resolve().parents[3] / "model-server" / "model_server" / "bundled"


def schemathesis(server: RunningServer, folder: Path, *arguments: str) -> None:
    """Runs it; fails with what it says."""
    programs = side_venv(FOLDER / "schemathesis.lock")
    done = subprocess.run(
        [
            str(programs / "st"),
            *("run", f"{server.url}/openapi.json", "--checks", "all"),
            *("--phases", "coverage,fuzzing", "--max-examples", "10", "--seed", "1", "--no-color"),
            *arguments,
        ],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(FOLDER)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert not [line for line in server.log if line.get("status", 0) >= 500]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """Both bundled models, so that every endpoint has one for its task."""
    with model_server(models_dir=BUNDLED, name="detector") as running:
        yield running


def test_pictures_and_operations(server: RunningServer, tmp_path: Path) -> None:
    schemathesis(server, tmp_path, "--include-tag", "pictures", "--include-tag", "operations")


def test_the_protocols_of_kserve(server: RunningServer, tmp_path: Path) -> None:
    """Whether a tensor suits a model is for the model to say; no schema of all models can."""
    tags = [part for tag in ("kserve", "v1", "v2") for part in ("--include-tag", tag)]
    schemathesis(server, tmp_path, *tags, "--exclude-checks", "positive_data_acceptance")
