"""Reads raw JSON field by field, checking types and remembering which fields were read.

A wrong value is reported with the path of its field, and so is a field that nothing has read. Knows
nothing about what the fields mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from inference_operator.errors import SpecError
from inference_operator.objects import Json

_QUANTITY = re.compile(
    r"[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?(\d+(\.\d*)?|\.\d+))?"
)
_KINDS = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


class Reader:
    """One JSON object at `path`, such as `spec.predictor`.

    Raises:
        SpecError: From every method, if a value has the wrong type or is out of range.
    """

    def __init__(self, raw: object, path: str) -> None:
        if not isinstance(raw, Mapping):
            raise SpecError(path, f"must be an object, not {raw!r}")
        self._raw: Json = raw
        self._path = path
        self._read: set[str] = set()

    def path(self, key: str) -> str:
        """Path of the field `key`."""
        return f"{self._path}.{key}"

    def has(self, key: str) -> bool:
        """Whether the field is there and not null."""
        return self._raw.get(key) is not None

    def _value(self, key: str, kind: type) -> Any:
        self._read.add(key)
        value = self._raw.get(key)
        if value is None:
            return None
        # A bool is an int in Python, but `minReplicas: true` is a mistake.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise SpecError(self.path(key), f"must be {_KINDS[kind]}, not {value!r}")
        return value

    def text(self, key: str, check: Callable[[str], bool] | None = None, hint: str = "") -> str:
        """A string, empty if absent; `hint` says what is allowed if `check` fails."""
        value: str = self._value(key, str) or ""
        if value and check is not None and not check(value):
            raise SpecError(self.path(key), f"{value!r} {hint}")
        return value

    def choice(self, key: str, allowed: Collection[str], hint: str = "") -> str:
        """One of `allowed`, empty if absent."""
        value = self.text(key)
        if value and value not in allowed:
            advice = hint or "use " + " or ".join(sorted(allowed))
            raise SpecError(self.path(key), f"{value!r} is not supported: {advice}")
        return value

    def number(self, key: str, minimum: int, maximum: int) -> int | None:
        """A whole number from `minimum` to `maximum`, None if absent."""
        value: int | None = self._value(key, int)
        if value is not None and not minimum <= value <= maximum:
            raise SpecError(self.path(key), f"must be {minimum} to {maximum}, not {value}")
        return value

    def fraction(self, key: str) -> float | None:
        """A number in 0..1, None when absent."""
        self._read.add(key)
        value = self._raw.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise SpecError(self.path(key), f"must be a number from 0 to 1, not {value!r}")
        return float(value)

    def flag(self, key: str) -> bool | None:
        """True or false, None if absent."""
        value: bool | None = self._value(key, bool)
        return value

    def mapping(self, key: str) -> Json:
        """An object as it is, empty if absent."""
        value: Json = self._value(key, dict) or {}
        return value

    def texts(self, key: str) -> Mapping[str, str]:
        """An object of strings, empty if absent."""
        value = self.mapping(key)
        for name, item in value.items():
            if not isinstance(item, str):
                raise SpecError(self.path(key), f"the value of {name} must be a string")
        return value

    def quantities(self, key: str) -> Mapping[str, str]:
        """An object of Kubernetes quantities, such as `{"cpu": "500m"}`; numbers become text."""
        value = self.mapping(key)
        for name, item in value.items():
            known = isinstance(item, (str, int)) and not isinstance(item, bool)
            if not known or not _QUANTITY.fullmatch(str(item)):
                raise SpecError(self.path(key), f"{name}: {item!r} is not a quantity like 500m")
        return {name: str(item) for name, item in value.items()}

    def objects(self, key: str) -> tuple[Json, ...]:
        """A list of objects, empty if absent."""
        value = self._value(key, list) or []
        for index, item in enumerate(value):
            if not isinstance(item, Mapping):
                raise SpecError(f"{self.path(key)}[{index}]", f"must be an object, not {item!r}")
        return tuple(value)

    def child(self, key: str) -> Reader:
        """A reader of the object `key`, of an empty one if absent."""
        return Reader(self.mapping(key), self.path(key))

    def refuse(self, *keys: str, advice: str) -> None:
        """Refuse fields that are known but not supported."""
        for key in keys:
            if self.has(key):
                raise SpecError(self.path(key), f"is not supported: {advice}")

    def finish(self) -> None:
        """Refuse fields that were not read."""
        for key, value in self._raw.items():
            if key not in self._read and value is not None:
                raise SpecError(self.path(key), "is not a field of this resource: remove it")
