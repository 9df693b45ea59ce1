"""Class names: reading them in every form they come in, and finding the right one for a class.

Knows files and text, not models' outputs. Whether class 0 is the first line or the line after a
background entry is decided here, once, from the labels and what the model's format counts from.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model_server.errors import InvalidModel

LABEL_FILES = (
    "labels.txt",
    "labelmap.txt",
    "label_map.txt",
    "coco_labelmap.txt",
    "imagenet_labels.txt",
    "labels.json",
)
_MAX_BYTES = 8 * 1024 * 1024
_BACKGROUND = {"???", "background", "__background__"}
# Possessive (`++`) and with a way out for words that are no field's name: each character is looked
# at once. A file of 8 MB in one word, or in empty lines, took hours.
_PBTXT_ITEM = re.compile(r"item\s*+\{([^{}]*+)\}", re.DOTALL)
_PBTXT_COMMENT = re.compile(r"^[ \t]*+#.*$", re.MULTILINE)
_PBTXT_FIELD = re.compile(r"""(\w++)\s*+:\s*+("(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|-?\d++)|\w++""")
_NUMBERED_LINE = re.compile(r"(\d++)(?:\s*+[:,]\s*+|\s++)(\S.*+)")


@dataclass(frozen=True)
class Labels:
    """Names by number, as the file counts them.

    Attributes:
        names: Number to name. Text files count lines from 0; pbtxt and JSON objects carry their
            own numbers.
        numbered: True when the file itself states the numbers (pbtxt), so that no line can stand
            for the background.
    """

    names: Mapping[int, str]
    numbered: bool = False

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_background(self) -> bool:
        """Whether number 0 is a placeholder, as in the COCO map that TensorFlow publishes."""
        return not self.numbered and self.names.get(0, "").strip().lower() in _BACKGROUND


def detector_name(labels: Labels | None, class_id: int, first_class: int) -> str:
    """The name of a detector's class.

    Args:
        labels: The label map, or None.
        class_id: The number in the model's `classes` output.
        first_class: What the model's format counts classes from: 0 in TFLite detectors
            (the exporter takes the background off), 1 in SavedModels of the TF Object Detection
            API.

    Returns:
        The name; `class_N` when the map has none for it.

    With a background line, or numbers from the file itself, class ids count from 1 in the map:
    the first class of a TFLite detector is then number 1. This is the rule of the COCO map, whose
    first line is `???`: class k is line k+2.
    """
    if labels is None:
        return f"class_{class_id}"
    counts_from_1 = labels.has_background or (labels.numbered and 0 not in labels.names)
    offset = (1 if counts_from_1 else 0) - first_class
    name = labels.names.get(class_id + offset)
    return name or f"class_{class_id}"


def classifier_names(candidates: Sequence[Labels], classes: int) -> tuple[str, ...]:
    """The name of each of a classifier's `classes` outputs.

    Args:
        candidates: Label maps; the first one that fits is taken. None at all gives `class_N`.
        classes: Size of the model's output.

    A background line too many or too few (ImageNet models have 1000 or 1001 outputs, label files
    1000 or 1001 lines) is taken off or put in.

    Raises:
        InvalidModel: if none has as many names as the model has classes.
    """
    if not candidates:
        return tuple(f"class_{index}" for index in range(classes))
    for labels in candidates:
        names = _ordered(labels, classes)
        if len(names) == classes:
            return tuple(names)
    counts = " or ".join(str(len(labels)) for labels in candidates)
    raise InvalidModel(
        f"labels: the label file has {counts} names but the model has {classes} classes; give "
        "the label file that belongs to this model with --labels"
    )


def _ordered(labels: Labels, classes: int) -> list[str]:
    top = max(labels.names, default=-1)
    if top > classes + 1:  # a number of ten digits must not become a list as long
        return []
    ordered = [labels.names.get(index, f"class_{index}") for index in range(top + 1)]
    if labels.numbered and 0 not in labels.names:
        ordered = ordered[1:]
    if len(ordered) == classes + 1 and labels.has_background:
        return ordered[1:]
    if len(ordered) == classes - 1 and not labels.has_background:
        return ["background", *ordered]
    return ordered


def find_label_files(folder: Path) -> list[Path]:
    """The label files in a model's folder: well-known names first, then .pbtxt files."""
    known = [folder / name for name in LABEL_FILES if (folder / name).is_file()]
    return known + sorted(folder.glob("*.pbtxt"))


def read_labels(path: Path) -> Labels:
    """Reads a label file: .pbtxt, .json, or text with a name on each line.

    Raises:
        InvalidModel: if it cannot be read or has no names; the message names the file.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InvalidModel(f"labels: {path} is larger than {_MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidModel(f"labels: cannot read {path}: {error}") from error
    try:
        labels = parse_labels(text, path.suffix.lower())
    except ValueError as error:
        raise InvalidModel(f"labels: {path}: {error}") from error
    return labels


def parse_labels(text: str, suffix: str) -> Labels:
    """Parses the content of a label file; `suffix` says in which form.

    Raises:
        ValueError: saying what is wrong, without the file's name.
    """
    if suffix == ".json":
        labels = _parse_json(text)
    elif suffix == ".pbtxt":
        labels = _parse_pbtxt(text)
    else:
        labels = _parse_text(text)
    if not labels.names:
        raise ValueError("there are no names in it")
    return labels


def _parse_text(text: str) -> Labels:
    """Lines in order; or `0 person`, `0: person`, `0,person` where every line has its number."""
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    matches = [_NUMBERED_LINE.fullmatch(line) for line in lines if line]
    if len(matches) > 1 and all(matches):
        found = {int(match[1]): match[2] for match in matches if match}
        if len(found) == len(matches):
            return Labels(found)
    return Labels(dict(enumerate(lines)))


def _parse_json(text: str) -> Labels:
    """`["a"]`, `{"0": "a"}`, `{"a": 0}`, or Keras's own `{"0": ["n01440764", "tench"]}`."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if isinstance(document, list):
        return Labels({index: _name_of(item) for index, item in enumerate(document)})
    if not isinstance(document, dict):
        raise ValueError(  # noqa: TRY004 - wrong content of a file, not a wrong argument
            "must be a JSON list of names or an object of numbers and names"
        )
    if all(isinstance(value, int) for value in document.values()):
        return Labels({value: str(key) for key, value in document.items()})
    try:
        return Labels({int(key): _name_of(value) for key, value in document.items()})
    except ValueError as error:
        raise ValueError('the keys of the object must be numbers, as in {"0": "cat"}') from error


def _name_of(item: object) -> str:
    if isinstance(item, list) and item:
        return str(item[-1])
    if isinstance(item, dict):
        return str(item.get("display_name") or item.get("name") or item.get("label") or "")
    return str(item)


def _parse_pbtxt(text: str) -> Labels:
    """`item { id: 1 name: "/m/01g317" display_name: "person" }` of the TF Object Detection API."""
    names: dict[int, str] = {}
    without_comments = _PBTXT_COMMENT.sub("", text)
    for body in _PBTXT_ITEM.findall(without_comments):
        found = (match.groups() for match in _PBTXT_FIELD.finditer(body))
        fields = {key: value.strip("\"'") for key, value in found if key}
        name = fields.get("display_name") or fields.get("name")
        if "id" not in fields or not name:
            raise ValueError("every item needs an id and a name or display_name")
        names[int(fields["id"])] = name
    return Labels(names, numbered=True)
