"""Describes how pictures are prepared for a served model, as text and as data for programs.

If a pixel range is assumed, the description says so and how to change it.
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
    """Returns the range, its source and the rest as JSON values; see `schemas.Preprocessing`."""
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
    """Replaces an assumed range if the model's input type or family determines it.

    Inputs of bytes need no scaling, and YOLO models take 0 to 1.

    Args:
        info: The model's metadata.
        spec: The model's picture input, or None.
        frame: Height and width of that input; None if it accepts any size.

    Returns:
        How pictures are prepared.
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
    """Returns a warning for the user who starts the server; empty if the model states its range.

    A family's range is only a convention: the same layers can be trained on a plain x / 255.
    """
    known_by = {"assumed": "assumed", "family": "a convention, not stored in the model"}
    if how.source not in known_by:
        return ""
    return (
        f"pixels are given as {how.scaling} ({_meaning(how)}), which is {known_by[how.source]}: "
        f"{how.reason}. If the model was trained with another range its answers are wrong: set "
        f"{HOW_TO_SET}"
    )
