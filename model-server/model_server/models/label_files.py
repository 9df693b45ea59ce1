"""Reads label files: text, JSON, pbtxt, YAML and CSV.

Deals with files and text only; `labels` decides which name belongs to which class.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from model_server.errors import InvalidModel
from model_server.models.labels import Labels
from model_server.models.pbtxt import parse_pbtxt

LABEL_FILES = (
    "labels.txt",
    "labelmap.txt",
    "label_map.txt",
    "coco_labelmap.txt",
    "imagenet_labels.txt",
    "dict.txt",
    "classes.txt",
    "labels.json",
    "class_names.json",
    "class_indices.json",
    "labels.csv",
    "data.yaml",
)
_MAX_BYTES = 8 * 1024 * 1024
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_NUMBERED = re.compile(r"(\d+)(?:\s*[:,;\t]\s*|\s+)(\S.*)")
_YAML_ITEM = re.compile(r"\s*+(?:(\d++)\s*+:|-)\s*+(\S.*)")
_YAML_COMMENT = re.compile(r"\s#")
# ImageNet label files may put the WordNet ID before each name.
_SYNSET = re.compile(r"n\d{8}\s+(\S.*)")
# Leading numbers count as class numbers if at least this fraction of their range is present.
_DENSE = 0.5
_NESTED = ("names", "id2label", "label2id", "categories", "labels", "classes", "class_names")
_NUMBER_COLUMNS = ("id", "index", "class_id", "class", "number")
_NAME_COLUMNS = ("display_name", "name", "label", "class_name", "labels", "names")


def find_label_files(folder: Path) -> list[Path]:
    """Finds the label files in a model's folder: well-known names first, then .pbtxt files."""
    known = [folder / name for name in LABEL_FILES if (folder / name).is_file()]
    return known + sorted(path for path in folder.glob("*.pbtxt") if path.is_file())


def read_labels(path: Path) -> Labels:
    """Reads a label file in the format that its suffix indicates.

    Raises:
        InvalidModel: if the file cannot be read or has no names; the message names the file.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InvalidModel(f"labels: {path} is larger than {_MAX_BYTES} bytes")
        text = _decoded(path.read_bytes())
    except OSError as error:
        raise InvalidModel(f"labels: cannot read {path}: {error.strerror}") from error
    except UnicodeError as error:
        raise InvalidModel(f"labels: {path} is not UTF-8 text; save it as UTF-8") from error
    try:
        labels = parse_labels(text, path.suffix.lower())
    except ValueError as error:
        raise InvalidModel(f"labels: {path}: {error}") from error
    return labels


def _decoded(content: bytes) -> str:
    encoding = _ENCODINGS.get(content[:2], "utf-8-sig")
    return content.decode(encoding).lstrip("\ufeff")


def parse_labels(text: str, suffix: str) -> Labels:
    """Parses the content of a label file in the format that `suffix` indicates.

    Raises:
        ValueError: if the content is invalid; the message does not name the file.
    """
    match suffix:
        case ".json":
            labels = _parse_json(text)
        case ".pbtxt":
            labels = Labels(parse_pbtxt(text), numbered=True)
        case ".yaml" | ".yml":
            labels = _parse_yaml(text)
        case ".csv":
            labels = _parse_csv(text)
        case _:
            labels = _parse_text(text)
    if not labels.names:
        raise ValueError("there are no names in it")
    return labels


def _parse_text(text: str) -> Labels:
    """Parses one name per line, with an optional number: `0 person`, `1: person`, `2,person`."""
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    matches = [_NUMBERED.fullmatch(line) for line in lines if line]
    if len(matches) > 1 and all(matches):
        numbers = [int(match[1]) for match in matches if match]
        if _are_class_numbers(numbers):
            return Labels({int(match[1]): match[2] for match in matches if match}, numbered=True)
    return Labels({index: _without_synset(line) for index, line in enumerate(lines)})


def _are_class_numbers(numbers: list[int]) -> bool:
    """Whether the numbers count classes rather than belong to names (`20 km/h`, `50 cent`)."""
    if numbers[0] not in {0, 1} or numbers != sorted(set(numbers)):
        return False
    return len(numbers) >= _DENSE * (numbers[-1] + 1 - numbers[0])


def _without_synset(line: str) -> str:
    match = _SYNSET.fullmatch(line)
    return match[1] if match else line


def _parse_json(text: str) -> Labels:
    """Parses a list of names or a mapping between numbers and names, possibly inside a field."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    return _from_document(document)


def _from_document(document: Any) -> Labels:
    """Reads `["a"]`, `{"0": "a"}`, `{"a": 0}`, `[{"id": 1, "name": "a"}]`, or `{"names": ...}`.

    Keras uses `{"0": ["n01440764", "tench"]}`, Hugging Face `{"id2label": {"0": "a"}}`, and COCO
    `{"categories": [{"id": 1, "name": "a"}]}`.
    """
    if isinstance(document, Mapping):
        for field in _NESTED:
            if isinstance(document.get(field), list | Mapping):
                return _from_document(document[field])
    if isinstance(document, list):
        return _from_list(document)
    if not isinstance(document, Mapping):
        raise ValueError(  # noqa: TRY004 - wrong content of a file, not a wrong argument
            "must be a list of names or an object of numbers and names"
        )
    if document and all(_is_number(value) for value in document.values()):
        return Labels({int(value): str(key) for key, value in document.items()}, numbered=True)
    try:
        named = {int(key): _name_of(value) for key, value in document.items()}
    except ValueError as error:
        raise ValueError('the keys of the object must be numbers, as in {"0": "cat"}') from error
    return Labels(named, numbered=True)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _from_list(items: list[Any]) -> Labels:
    ids = [item.get("id") for item in items if isinstance(item, Mapping)]
    if ids and len(ids) == len(items) and all(_is_number(number) for number in ids):
        return Labels({item["id"]: _name_of(item) for item in items}, numbered=True)
    return Labels({index: _name_of(item) for index, item in enumerate(items)})


def _name_of(item: object) -> str:
    if isinstance(item, list) and item:
        return str(item[-1])
    if isinstance(item, Mapping):
        return next((str(item[key]) for key in _NAME_COLUMNS if item.get(key)), "")
    return str(item)


def _parse_yaml(text: str) -> Labels:
    """Parses `names` in a YOLO dataset file: a list or numbered names, in block or flow style."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        raise ValueError("there is no field names in it")
    inline = lines[start].partition(":")[2].partition(" #")[0].strip()
    if inline:
        rest = [line.strip() for line in lines[start + 1 :]]
        return _from_flow(" ".join([inline, *rest]))
    found: dict[int, str] = {}
    numbered = False
    for line in lines[start + 1 :]:
        if line.strip() and not line[0].isspace() and not line.startswith("-"):
            break
        # Strip comments first: matching them after a lazy expression is quadratic in the blanks.
        item = _YAML_ITEM.fullmatch(_YAML_COMMENT.split(line, maxsplit=1)[0].rstrip())
        if item:
            numbered = numbered or item[1] is not None
            found[len(found) if item[1] is None else int(item[1])] = item[2].strip("\"'")
    return Labels(found, numbered=numbered)


def _from_flow(text: str) -> Labels:
    """Parses `["a", 'b', c]` or `{0: a, 1: b}` at the beginning of a text."""
    match = re.match(r"\[(.*?)\]|\{(.*?)\}", text)
    if match is None:
        raise ValueError("names must be a list or an object of numbers and names")
    inner = match[1] if match[1] is not None else match[2]
    parts = _cells(inner.replace("'", '"'))
    items = [part.strip().strip("\"'") for part in parts if part.strip()]
    if match[1] is not None:
        return Labels(dict(enumerate(items)))
    pairs = [item.partition(":") for item in items]
    return Labels({int(key): name.strip().strip("\"'") for key, _, name in pairs}, numbered=True)


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], skipinitialspace=True), [])
    except csv.Error as error:
        raise ValueError(f"not a list: {error}") from error


def _parse_csv(text: str) -> Labels:
    """Parses a table with a header row, or lines such as `0,person`."""
    try:
        rows = [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise ValueError(f"not a table: {error}") from error
    heading = [cell.strip().lower() for cell in rows[0]] if rows else []
    number = next((heading.index(name) for name in _NUMBER_COLUMNS if name in heading), None)
    name = next((heading.index(name) for name in _NAME_COLUMNS if name in heading), None)
    if name is None:
        return _parse_text("\n".join(",".join(cell.strip() for cell in row) for row in rows))
    if number is None:
        return Labels({index: row[name] for index, row in enumerate(_full(rows[1:], name))})
    full = _full(rows[1:], max(name, number))
    return Labels({int(row[number]): row[name].strip() for row in full}, numbered=True)


def _full(rows: list[list[str]], last: int) -> Iterator[list[str]]:
    return (row for row in rows if len(row) > last)
