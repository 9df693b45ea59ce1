"""`spec.predictor.golden`: pictures with known answers."""

from __future__ import annotations

import re
from collections.abc import Callable

from inference_operator.api.reader import Reader
from inference_operator.api.types import Golden
from inference_operator.errors import SpecError

MAX_GOLDEN = 16
_CONFIG_MAP = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")


def parse_golden(predictor: Reader) -> tuple[Golden, ...]:
    """The golden pictures of a predictor.

    Raises:
        SpecError: one is wrong; the message names the field.
    """
    items = predictor.objects("golden")
    if len(items) > MAX_GOLDEN:
        raise SpecError(predictor.path("golden"), f"has more than {MAX_GOLDEN} pictures")
    return tuple(
        _parse_one(Reader(item, f"{predictor.path('golden')}[{index}]"))
        for index, item in enumerate(items)
    )


def _parse_one(item: Reader) -> Golden:
    image = item.text("image", _is_inside, "is not the path of a file in the model's folder")
    reference = item.child("configMapKeyRef")
    if item.has("image") == item.has("configMapKeyRef"):
        raise SpecError(item.path("image"), "give either image or configMapKeyRef")
    name = reference.text("name", _matches(_CONFIG_MAP), "is not the name of a ConfigMap")
    key = reference.text("key", _matches(_KEY), "is not a key of a ConfigMap")
    if item.has("configMapKeyRef") and not (name and key):
        raise SpecError(reference.path("key"), "configMapKeyRef needs name and key")
    reference.finish()
    expect = item.child("expect")
    label = expect.text("label")
    if not label:
        raise SpecError(expect.path("label"), "is missing: say what the picture shows")
    score = expect.fraction("minScore") or 0.0
    expect.finish()
    item.finish()
    return Golden(image, name, key, label, score)


def _is_inside(path: str) -> bool:
    return not path.startswith("/") and ".." not in path.split("/")


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None and text not in {".", ".."}
