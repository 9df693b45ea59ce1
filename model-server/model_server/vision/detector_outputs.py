"""Determines which of a detector's outputs is which, and the format of its boxes.

Uses settings, then the operators that produce the outputs, then names, then several sample
pictures. If that is inconclusive, the model is rejected or the assumption is reported, together
with the setting that resolves it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from model_server.errors import InvalidModel
from model_server.models.base import Array, ModelInfo, TensorSpec
from model_server.vision.detection import BoxFormat, BoxUnits, DetectionOutputs, fractions, rows_of
from model_server.vision.sample_pictures import OBJECTS
from model_server.vision.yolo import all_boxes, yolo_form

ROLES = ("boxes", "classes", "scores", "count")
# Output names used by the TF Object Detection API, its TFLite exporter, TFLite Model Maker and our
# own bundled detector.
_NAMES = {
    "boxes": ("detection_boxes", "boxes", "location", "locations"),
    "classes": ("detection_classes", "classes", "category", "categories"),
    "scores": ("detection_scores", "scores", "score"),
    "count": ("num_detections", "count", "num_boxes", "number_of_detections"),
}
_POSTPROCESS = "TFLite_Detection_PostProcess"
_OBJECT_DETECTION_API = "detection_boxes"
# Overlap above which a box has found an object in a sample picture, and below which it has not.
_FOUND, _NOT_FOUND = 0.55, 0.45
_SURE = 0.3


@dataclass(frozen=True)
class BoxSettings:
    """Requested settings; empty values are determined from the model.

    Attributes:
        box_format: Order of a box's numbers.
        units: Fractions or pixels.
        outputs: Output names by role.
    """

    box_format: BoxFormat | None = None
    units: BoxUnits | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundDetector:
    """A detector's outputs, and the assumptions made about them."""

    outputs: DetectionOutputs
    assumed: tuple[str, ...] = ()


def find_detector(
    info: ModelInfo,
    samples: Iterable[Mapping[str, Array]],
    frame: tuple[int, int] | None,
    settings: BoxSettings | None = None,
) -> FoundDetector | None:
    """Finds a detector's outputs; returns None if the model is not a detector.

    Args:
        info: The model's metadata.
        samples: The model's outputs, as real values, for each of the sample pictures; only the
            first is consumed unless more are needed.
        frame: Height and width of the model's input; None if it accepts any size.
        settings: Requested settings.

    Raises:
        InvalidModel: if the model looks like a detector but its outputs cannot be told apart, or
            if settings name an output that does not exist.
    """
    settings = settings or BoxSettings()
    seen = _Samples(samples)
    raw = yolo_form(_only_shape(info.outputs, seen.first), frame)
    if raw and not settings.outputs:
        outputs = DetectionOutputs(info.outputs[0].name, raw=raw, box_format="cxcywh")
        if raw == "end2end":
            outputs = replace(outputs, box_format="xyxy")
        return _with_form(outputs, info, seen, frame, settings)
    found = _by_settings(info, settings) or _by_operator(info) or _by_name(info.outputs)
    found = found or _by_values(info.outputs, seen)
    if found is None or not _looks_right(found, seen.first):
        if settings.outputs:
            raise InvalidModel("--detector-outputs: their shapes are not boxes [1, N, 4], classes "
                               "and scores [1, N]")  # fmt: skip
        return None
    # Only the Object Detection API counts classes from 1 in its SavedModels.
    if info.format != "savedmodel" or found.boxes == _OBJECT_DETECTION_API:
        found = replace(found, first_class=info.first_class)
    return _with_form(found, info, seen, frame, settings)


class _Samples:
    """Outputs for the sample pictures, computed on demand and only once."""

    def __init__(self, samples: Iterable[Mapping[str, Array]]) -> None:
        self._rest = iter(samples)
        self._made = [next(self._rest)]

    @property
    def first(self) -> Mapping[str, Array]:
        return self._made[0]

    def all(self) -> Sequence[Mapping[str, Array]]:
        self._made.extend(self._rest)
        return self._made


def _only_shape(specs: Sequence[TensorSpec], first: Mapping[str, Array]) -> tuple[int, ...]:
    return first[specs[0].name].shape if len(specs) == 1 else ()


def _by_settings(info: ModelInfo, settings: BoxSettings) -> DetectionOutputs | None:
    if not settings.outputs:
        return None
    names = [spec.name for spec in info.outputs]
    for role, name in settings.outputs.items():
        if name not in names:
            raise InvalidModel(
                f"--detector-outputs: {role}={name}: the model has no such output; it has "
                f"{', '.join(names)}"
            )
    return _from_roles(settings.outputs)


def _by_operator(info: ModelInfo) -> DetectionOutputs | None:
    return _from_roles({role: name for name, role in info.roles.items()})


def _by_name(specs: Sequence[TensorSpec]) -> DetectionOutputs | None:
    names = [spec.name for spec in specs]
    roles: dict[str, str] = {}
    for role, known in _NAMES.items():
        for name in names:
            if name.lower() in known:
                roles.setdefault(role, name)
    if not {"boxes", "classes", "scores"} <= roles.keys():
        numbered = sorted(name for name in names if name.partition(":")[0] == _POSTPROCESS)
        roles = dict(zip(ROLES, numbered, strict=False)) if len(numbered) == 4 else {}
    return _from_roles(roles)


def _from_roles(roles: Mapping[str, str]) -> DetectionOutputs | None:
    if not {"boxes", "classes", "scores"} <= roles.keys():
        return None
    return DetectionOutputs(roles["boxes"], roles["classes"], roles["scores"], roles.get("count"))


def _by_values(specs: Sequence[TensorSpec], seen: _Samples) -> DetectionOutputs | None:
    """Identifies outputs by value, for exporters that lose the names.

    TF 2's exporter names outputs `StatefulPartitionedCall:N`, in any order. Of the two [1, N]
    outputs, the classes are always whole numbers; the scores are not, for at least one picture.
    """
    if len(specs) not in {3, 4}:
        return None
    shapes = {spec.name: seen.first[spec.name].shape for spec in specs}
    boxes = [name for name, shape in shapes.items() if len(shape) == 3 and shape[-1] == 4]
    counts = [name for name, shape in shapes.items() if int(np.prod(shape)) == 1]
    if len(boxes) != 1:
        return None
    rows = shapes[boxes[0]][:2]
    pair = [name for name, shape in shapes.items() if shape == rows and name not in counts]
    if len(pair) != 2:
        return None
    whole = [all(_whole(sample[name]) for sample in seen.all()) for name in pair]
    if whole[0] == whole[1]:
        raise InvalidModel(
            f"it looks like a detector, but which of {pair[0]} and {pair[1]} are the classes and "
            "which the scores cannot be told: say so with --detector-outputs "
            f"boxes={boxes[0]},classes=...,scores=..., or --task tensor if it is none"
        )
    classes, scores = pair if whole[0] else reversed(pair)
    return DetectionOutputs(boxes[0], classes, scores, counts[0] if counts else None)


def _whole(values: Array) -> bool:
    return bool(np.all(values == np.rint(values)))


def _looks_right(outputs: DetectionOutputs, sample: Mapping[str, Array]) -> bool:
    boxes = sample[outputs.boxes]
    return (
        boxes.ndim == 3
        and boxes.shape[-1] == 4
        and sample[outputs.classes].shape[:2] == boxes.shape[:2]
        and sample[outputs.scores].shape == boxes.shape[:2]
    )


def _with_form(
    outputs: DetectionOutputs,
    info: ModelInfo,
    seen: _Samples,
    frame: tuple[int, int] | None,
    settings: BoxSettings,
) -> FoundDetector:
    """Adds the order and units of boxes, and a note on any assumption."""
    found = replace(outputs, frame=frame)
    units = settings.units or _units(found, seen)
    if units:
        found = replace(found, units=units)
    if settings.box_format:
        return FoundDetector(replace(found, box_format=settings.box_format))
    documented = _documented_format(outputs, info)
    if documented:
        return FoundDetector(replace(found, box_format=documented))
    seen_format = _seen_format(found, seen)
    if seen_format:
        return FoundDetector(replace(found, box_format=seen_format))
    note = (
        f"boxes of {outputs.boxes!r} are taken as {found.box_format}, which is assumed: nothing in "
        "the model tells the order of their numbers. If boxes lie beside their objects set "
        "--box-format or MODEL_SERVER_BOX_FORMAT: yxyx, xyxy or cxcywh"
    )
    return FoundDetector(found, (note,))


def _documented_format(outputs: DetectionOutputs, info: ModelInfo) -> BoxFormat | None:
    """Returns the order of a box's numbers if the producer of the boxes is known, else None."""
    if info.box_format:
        return info.box_format
    if outputs.raw:
        return outputs.box_format
    documented = (_OBJECT_DETECTION_API, *_NAMES["boxes"][2:])
    if outputs.boxes.lower() in documented or outputs.boxes.startswith(_POSTPROCESS):
        return "yxyx"
    ours = (outputs.boxes, outputs.classes, outputs.scores, outputs.count)
    return "yxyx" if ours == ROLES else None


def _units(outputs: DetectionOutputs, seen: _Samples) -> BoxUnits | None:
    """Infers fractions or pixels from the sample pictures' boxes; None if there are no boxes."""
    highest = 0.0
    if outputs.raw and outputs.raw != "end2end":
        raw = [all_boxes(sample[outputs.boxes][0], outputs.raw) for sample in seen.all()]
        highest = max(float(np.nan_to_num(np.abs(boxes)).max()) for boxes in raw)
        return "pixels" if highest > 2.0 else "fraction" if highest else None
    for sample in _until_found(outputs, seen):
        rows = rows_of(sample, outputs, 0.0)
        good = np.isfinite(rows.boxes).all(axis=1) & (rows.scores > 0)
        if good.any():
            highest = max(highest, float(np.abs(rows.boxes[good]).max()))
    if not highest:
        return None
    return "pixels" if highest > 2.0 else "fraction"


def _until_found(outputs: DetectionOutputs, seen: _Samples) -> Iterable[Mapping[str, Array]]:
    """Returns the first sample if it has detections, otherwise all samples."""
    rows = rows_of(seen.first, outputs, 0.0)
    return [seen.first] if (rows.scores > 0).any() else seen.all()


def _seen_format(outputs: DetectionOutputs, seen: _Samples) -> BoxFormat | None:
    """Returns the order in which boxes match the drawn objects; None if it is inconclusive."""
    votes: dict[BoxFormat, int] = {}
    candidates: tuple[BoxFormat, ...] = ("yxyx", "xyxy", "cxcywh")
    for sample, (size, objects) in zip(seen.all(), OBJECTS, strict=False):
        rows = rows_of(sample, outputs, _SURE)
        for box, score in zip(rows.boxes, rows.scores, strict=True):
            if not (score >= _SURE and np.isfinite(box).all()):
                continue
            overlaps = {
                candidate: _best_overlap(
                    fractions(box[np.newaxis], replace(outputs, box_format=candidate), size)[0],
                    objects,
                )
                for candidate in candidates
            }
            best = max(candidates, key=lambda candidate: overlaps[candidate])
            others = max(overlaps[other] for other in candidates if other != best)
            if overlaps[best] >= _FOUND and others <= _NOT_FOUND:
                votes[best] = votes.get(best, 0) + 1
    return next(iter(votes)) if len(votes) == 1 else None


def _best_overlap(box: Array, objects: Sequence[tuple[float, float, float, float]]) -> float:
    return max((_overlap(box, np.array(item)) for item in objects), default=0.0)


def _overlap(one: Array, other: Array) -> float:
    """Returns the intersection over union of two boxes (ymin, xmin, ymax, xmax)."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    common = float(np.maximum(sides, 0).prod())
    areas = [float(np.maximum(box[2:] - box[:2], 0).prod()) for box in (one, other)]
    union = sum(areas) - common
    return common / union if union > 0 else 0.0
