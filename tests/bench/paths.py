"""Where the benchmark reads and writes; the only module that knows folder names.

Everything large or slow to make (environments, models, pictures, the load generator) lives in a
cache outside the tree; results live in ``.bench``, which git ignores; the table and the plots are
committed, because a reader wants them without an hour of measuring.
"""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = ROOT / ".bench"
TABLE = ROOT / "BENCHMARKS.md"
PLOTS = HERE / "plots"
FIGURES = HERE / "figures"
REASONS = HERE / "reasons.toml"
ENVIRONMENTS = HERE / "environments"
LOAD_GENERATOR = HERE / "load_generator"
MLSERVER = HERE / "peers" / "mlserver"
SERVER = ROOT / "model-server" / "model_server"
BUNDLED = SERVER / "bundled"
EXAMPLES = ROOT / "deploy" / "examples" / "images"
SHARED_DATA = ROOT.parent / "shared" / "data"


def cache(*parts: str) -> Path:
    """A path in the benchmark's cache; its parent folder exists afterwards."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base.joinpath("inference-operator", "bench", *parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def folder(*parts: str) -> Path:
    """A folder in the benchmark's cache; it exists afterwards."""
    path = cache(*parts)
    path.mkdir(exist_ok=True)
    return path


def shared(name: str) -> Path | None:
    """A file of the shared test data, or None where that data is absent."""
    path = SHARED_DATA / name
    return path if path.is_file() else None
