"""Parses label maps of the TF Object Detection API, a subset of protobuf's text format.

`item { id: 1 name: "/m/01g317" display_name: "person" keypoints { id: 0 label: "nose" } }`.
Grammar: the specification of protobuf's text format.
"""

import re
from collections.abc import Iterator

# A string, brace, separator, name or number; whitespace and comments are skipped.
_TOKEN = re.compile(
    r"""\s+ | \#[^\n]* | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*') | (?P<open>[{<])
    | (?P<close>[}>]) | (?P<mark>[:;,\[\]]) | (?P<word>[^\s{}<>:;,\[\]"'\#]+)""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
_SIMPLE = {"n": b"\n", "t": b"\t", "r": b"\r", "a": b"\a", "b": b"\b", "f": b"\f", "v": b"\v"}


def parse_pbtxt(text: str) -> dict[int, str]:
    """Maps each item's number to its name, preferring its display name.

    Raises:
        ValueError: if an item has no number or no name, or the text ends inside an item.
    """
    names: dict[int, str] = {}
    for fields in _items(text):
        name = fields.get("display_name") or fields.get("name")
        number = fields.get("id", "")
        if not re.fullmatch(r"-?\d{1,9}", number) or not name:
            raise ValueError("every item needs an id and a name or display_name")
        names[int(number)] = name
    return names


def _items(text: str) -> Iterator[dict[str, str]]:
    """Yields the fields of each top-level item, without its nested messages."""
    fields: dict[str, str] = {}
    path: list[str] = []
    key, value = "", ""
    for kind, token in _tokens(text):
        if kind in {"open", "close"}:
            closed = _moved(path, key, kind)
            if closed:
                yield fields
            fields = {} if kind == "open" and len(path) == 1 else fields
            key = value = ""
        elif kind == "word" and (not key or value):
            key, value = token, ""
        elif kind != "mark" and key:
            # Adjacent strings form one string.
            value += _unescaped(token[1:-1]) if kind == "string" else token
            if path == ["item"]:
                fields[key] = value
    if path:
        raise ValueError("it ends inside an item: a } is missing")


def _moved(path: list[str], key: str, kind: str) -> bool:
    """Enters or leaves a message; returns whether it left a top-level item."""
    if kind == "open":
        path.append(key)
        return False
    if not path:
        raise ValueError("there is a } too many")
    return path.pop() == "item" and not path


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            line = text.count("\n", 0, at) + 1
            raise ValueError(f"line {line}: {text[at : at + 20]!r} is no text of a label map")
        at = match.end()
        if match.lastgroup:
            yield match.lastgroup, match[0]


def _unescaped(text: str) -> str:
    """Resolves escapes to bytes and decodes them as UTF-8; octal 303 251 is an e acute."""

    def replaced(match: re.Match[str]) -> str:
        escape = match[1]
        if escape[0] in "uU":
            return chr(int(escape[1:], 16)) if int(escape[1:], 16) < 0x110000 else "\ufffd"
        if escape[0] == "x" and len(escape) > 1:
            content = bytes([int(escape[1:], 16)])
        elif escape[0] in "01234567":
            content = bytes([int(escape, 8) & 0xFF])
        else:
            content = _SIMPLE.get(escape, escape.encode())
        return content.decode("utf-8", "surrogateescape")

    raw = _ESCAPE.sub(replaced, text)
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
