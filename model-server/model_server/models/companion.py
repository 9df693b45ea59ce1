"""The file next to an optimized model that says how to prepare its pictures.

A converted model must see the same pixels as the original, but its new format implies a different
resize method and a different first class number. `model-server optimize` writes the file and the
server reads it when it loads the model. Imports no framework.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from model_server.errors import InvalidModel
from model_server.models.base import ImageInput, PixelScaling, ResizeMethod

COMPANION = "optimized.json"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Companion:
    """The content of a companion file.

    Attributes:
        image: How to turn a picture into the model's input.
        first_class: Number of the detector's first class (0 or 1).
        record: Notes from `model-server optimize`: the model's origin and the measurements.
    """

    image: ImageInput
    first_class: int
    record: Mapping[str, Any]

    def text(self) -> str:
        """Returns the text to write to the file."""
        picture = {"scaling": self.image.scaling, "resize": self.image.resize}
        document = {"picture": picture, "first_class": self.first_class, **self.record}
        return json.dumps(document, indent=2) + "\n"


def read_companion(folder: Path) -> Companion | None:
    """Reads the companion file in a model's folder; returns None if there is none.

    Raises:
        InvalidModel: if the file cannot be read or contains an unknown value.
    """
    path = folder / COMPANION
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
        document = json.loads(path.read_text(encoding="utf-8"))
        picture = dict(document["picture"])
        scaling, resize = picture["scaling"], picture["resize"]
        first_class = document["first_class"]
        if scaling not in get_args(PixelScaling):
            raise ValueError(f"there is no scaling {scaling!r}")
        if resize not in get_args(ResizeMethod):
            raise ValueError(f"there is no resize method {resize!r}")
        if first_class not in {0, 1}:
            raise ValueError(f"first_class must be 0 or 1, not {first_class!r}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidModel(
            f"model: {path} is not as `model-server optimize` writes it ({error}); make the model "
            "again, or remove the file to have pictures prepared as for any tflite model"
        ) from error
    image = ImageInput(
        scaling=scaling, resize=resize, source="metadata", reason=f"{COMPANION} beside the model"
    )
    return Companion(image, int(first_class), document)
