"""Goes through the whole zoo; ends with 1 if a model is silently wrong.

`python -m zoo [SHELF...]`, in tests/.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from zoo.shelves import verdicts

APPLICATIONS = (
    "ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "EfficientNetV2S",
    "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Large",
    "MobileNetV3Small", "NASNetMobile", "ResNet50", "ResNet50V2", "VGG16", "VGG19", "Xception",
)  # fmt: skip
SHELVES: dict[str, tuple[str, ...]] = {
    "toys": ("build_toys",),
    "forms": ("build_forms",),
    "random": ("build_random", "200"),
    # A process for each, so that the memory of one is gone before the next.
    **{name: ("build_applications", name) for name in APPLICATIONS},
}


def main(wanted: list[str]) -> int:
    """Prints every shelf's table."""
    wrong: list[str] = []
    for name in wanted or SHELVES:
        with tempfile.TemporaryDirectory(prefix="zoo-") as folder:
            program, *arguments = SHELVES[name]
            found = verdicts(program, Path(folder), arguments)
        print(f"--- {name}\n{found.table()}\n", flush=True)
        wrong += found.silently_wrong
    print(f"silently wrong: {len(wrong)}", *wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
