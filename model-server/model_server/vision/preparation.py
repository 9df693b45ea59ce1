"""How a served model's pictures are prepared, in words and as facts for programs.

Where a range is assumed, everybody who looks can see it, and what to do about it.
"""

from dataclasses import replace
from typing import Any

from model_server.models.base import ImageInput, ModelInfo, PixelScaling, TensorSpec
from model_server.vision.yolo import yolo_form

MEANINGS: dict[PixelScaling, str] = {
    "none": "0 to 255, as they are",
    "unit": "0 to 1",
    "signed": "-1 to 1",
    "caffe": "blue, green, red; 0 to 255 minus the mean of ImageNet",
    "torch": "0 to 1 minus the mean of ImageNet, divided by its deviation",
}
HOW_TO_SET = "--preprocessing or MODEL_SERVER_PREPROCESSING: none, unit, signed, caffe or torch"


def preparation_facts(how: ImageInput) -> dict[str, Any]:
    """Range, its source and the rest as JSON values; see `schemas.Preprocessing`."""
    return {
        "range": "mean_std" if how.mean else how.scaling,
        "meaning": _meaning(how),
        "source": how.source,
        "reason": how.reason,
        "resize": how.resize,
        "how_to_set": HOW_TO_SET,
    }


def _meaning(how: ImageInput) -> str:
    if how.mean:
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (how.mean, how.std))
        return f"0 to 255 minus {mean}, divided by {std}"
    return MEANINGS[how.scaling]


def settled(info: ModelInfo, spec: TensorSpec | None, frame: tuple[int, int] | None) -> ImageInput:
    """How pictures are prepared, where what a model does tells the range.

    Bytes need none, and YOLO models take 0 to 1.

    Args:
        info: What the model says of itself.
        spec: Its picture input, or None.
        frame: Height and width of that; None if it takes any.
    """
    image, outputs = info.image, info.outputs
    if image.source != "assumed" or spec is None:
        return image
    if spec.dtype.kind != "f" and not spec.quantized:
        return replace(image, source="type")
    raw = len(outputs) == 1 and bool(yolo_form(outputs[0].shape, frame))
    if not raw and info.box_format != "xyxy":
        return image
    return replace(image, scaling="unit", source="family", reason="YOLO takes 0 to 1")


def assumption(how: ImageInput) -> str:
    """What to tell whoever starts the server; empty if the model itself tells the range.

    The range of a family is a convention: people train the same layers behind a plain x / 255.
    """
    known_by = {"assumed": "assumed", "family": "a convention, not stored in the model"}
    if how.source not in known_by:
        return ""
    return (
        f"pixels are given as {how.scaling} ({_meaning(how)}), which is {known_by[how.source]}: "
        f"{how.reason}. If the model was trained with another range its answers are wrong: set "
        f"{HOW_TO_SET}"
    )
