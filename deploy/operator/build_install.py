"""Writes deploy/install.yaml: the resource's definition and the operator, in one file.

The sources are joined as they are, so that what is applied reads like what was written. With
`--check` nothing is written; the exit status says whether the file is up to date.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = ROOT / "deploy" / "install.yaml"
# In the order in which they must be created.
SOURCES = (
    ROOT / "crds" / "inferenceservices.yaml",
    HERE / "namespace.yaml",
    HERE / "serviceaccount.yaml",
    HERE / "rbac.yaml",
    HERE / "deployment.yaml",
)
_HEAD = "# Generated from crds/ and deploy/operator/ by deploy/operator/build_install.py.\n"


def build() -> str:
    """The text of deploy/install.yaml."""
    return _HEAD + "".join(f"---\n{source.read_text()}" for source in SOURCES)


def main() -> int:
    """Write the file, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    if not parser.parse_args().check:
        TARGET.write_text(build())
        return 0
    if TARGET.is_file() and TARGET.read_text() == build():
        return 0
    script = Path(__file__).resolve().relative_to(ROOT)
    print(f"{TARGET.relative_to(ROOT)} is out of date: run python {script}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
