"""Goes through the whole zoo; ends with 1 if a model is silently wrong.

`python -m zoo [SHELF...]`, in tests/.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from zoo.shelves import verdicts

SHELVES = {"toys": "build_toys"}


def main(wanted: list[str]) -> int:
    """Prints every shelf's table."""
    wrong: list[str] = []
    for name in wanted or SHELVES:
        with tempfile.TemporaryDirectory(prefix="zoo-") as folder:
            found = verdicts(SHELVES[name], Path(folder))
        print(f"--- {name}\n{found.table()}\n", flush=True)
        wrong += found.silently_wrong
    print(f"silently wrong: {len(wrong)}", *wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
