"""A body is counted before objects are made of it, and base64 is read in one piece."""

import base64
import contextlib
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.errors import InvalidRequest, PayloadTooLarge
from model_server.protocols.json_input import (
    check_json,
    decode_base64,
    parse_json,
    parsed_bytes,
)

SIZE = 31 << 20


def filled(unit: bytes, before: bytes = b'{"instances":[', after: bytes = b"{}]}") -> bytes:
    return before + unit * (SIZE // len(unit)) + after


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (filled(b'{"a":{"a":{"a":{"a":{"a":{}}}}}},'), "values|objects"),
        (filled(b"{},"), "objects|values"),
        (filled(b'{"a":' * 50 + b"1" + b"}" * 50 + b","), "objects"),
        (filled(b"[],"), "values|lists"),
        (filled(b"[" * 100 + b"]" * 100 + b","), "lists"),
        (filled(b'"",'), "values|strings"),
        (filled(b'"' + b"a" * 40 + b'",'), "strings"),
        (filled(b"1,"), "values"),
        (b'{"instances":[' + b'{"a":1},' * 20_001 + b"{}]}", "objects"),
    ],
)
def test_a_body_of_which_too_much_would_be_made_is_refused_before(body: bytes, what: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge, match=what):
            parse_json(body)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_large_picture_as_lists_passes() -> None:
    """1024x1024 RGB, the largest that the protocol's JSON is for."""
    row = [[255, 128, 0]] * 1024
    body = json.dumps({"instances": [[row] * 1024]}, separators=(",", ":")).encode()
    check_json(body)
    picture = json.dumps({"image": base64.b64encode(bytes(20 << 20)).decode()}).encode()
    check_json(picture)


def test_binary_tensors_behind_the_json_are_not_counted() -> None:
    head = b'{"inputs":[]}'
    body = head + b"{" * 30_000
    check_json(body, len(head))
    assert parsed_bytes(body, len(head)) < parsed_bytes(body)
    with pytest.raises(PayloadTooLarge):
        check_json(body)


@pytest.mark.parametrize(
    "unit",
    [
        {},
        {"": False},
        {"b64": "aGk=" * 30},
        {"a": {"b": {"c": {}}}},
        {str(number): number for number in range(8)},
        [],
        [[[]]],
        [0.5, 1.25, 3e300],
        [1000, -1000, 1 << 62],
        "",
        "ünï",
        None,
    ],
)
def test_what_is_reserved_is_about_what_is_made(unit: object) -> None:
    body = json.dumps([unit] * 3000).encode()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        made = parse_json(body)
        weight = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert made == [unit] * 3000
    assert weight <= 1.1 * parsed_bytes(body) + (64 << 10)


@pytest.mark.parametrize("space", [" ", "\n", "\r\n", "\t ", "\f\v"])
def test_spaces_between_all_letters_cost_no_memory(space: str) -> None:
    content = bytes(range(256)) * 4096
    text = space.join(base64.b64encode(content).decode())
    tracemalloc.start()
    try:
        assert decode_base64(text, "image") == content
        assert tracemalloc.get_traced_memory()[1] < 3 * len(text)
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=200), st.booleans(), st.booleans())
def test_both_alphabets_with_or_without_padding(data: bytes, safe: bool, padded: bool) -> None:
    text = (base64.urlsafe_b64encode if safe else base64.b64encode)(data).decode()
    assert decode_base64(text if padded else text.rstrip("="), "x") == data
    assert decode_base64(f"data:image/png;base64,{text}", "x") == data


@given(st.text(max_size=40))
def test_other_text_is_refused_as_such(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        decode_base64(text, "x")
