"""What comes instead of an answer is an error with words, whatever it is."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_operator.errors import ApiError, ApiUnavailableError
from inference_operator.kubernetes.responses import (
    decode,
    decode_event,
    decode_metadata,
    raise_error,
)

HTML = b"<html>Bad gateway</html>"


def text(value: object) -> bytes:
    return json.dumps(value).encode()


def test_an_object() -> None:
    assert decode(text({"kind": "Pod"})) == {"kind": "Pod"}


@pytest.mark.parametrize("raw", [b"", HTML, b"[]", b"null", b'{"kind": "Po'])
@pytest.mark.parametrize("read", [decode, decode_metadata, decode_event])
def test_what_is_no_answer_may_be_asked_for_again(read: Any, raw: bytes) -> None:
    with pytest.raises(ApiUnavailableError, match="not a response of the API server"):
        read(raw)


def test_of_metadata_only_what_names_the_object_is_read() -> None:
    metadata = {"uid": "u", "name": "n", "namespace": "s", "resourceVersion": "7"}
    item = {"metadata": {**metadata, "managedFields": [{"manager": "kubectl"}]}}
    answer = decode_metadata(text({"metadata": {"continue": "next"}, "items": [item]}))
    assert answer.get("items") == [{"metadata": metadata}]
    assert answer["metadata"] == {"continue": "next"}


@pytest.mark.parametrize("items", [{}, {"items": None}, {"items": []}])
def test_lists_without_objects(items: dict[str, Any]) -> None:
    answer = decode_metadata(text({"metadata": {"resourceVersion": "7"}, **items}))
    assert not answer.get("items")


def test_events() -> None:
    event = {"type": "ADDED", "object": {"metadata": {"resourceVersion": "7"}}}
    assert decode_event(text(event)) == event


def test_a_watch_that_is_too_old() -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    with pytest.raises(ApiError, match="too old") as caught:
        decode_event(text({"type": "ERROR", "object": status}))
    assert caught.value.status == 410
    assert caught.value.reason == "Expired"


@pytest.mark.parametrize("event", [{}, {"type": "ADDED"}, {"type": "ADDED", "object": 5}])
def test_events_of_nothing(event: dict[str, Any]) -> None:
    with pytest.raises(ApiUnavailableError):
        decode_event(text(event))


@pytest.mark.parametrize(
    ("status", "body", "header", "seconds"),
    [
        (429, {}, "3", 3.0),
        (429, {"details": {"retryAfterSeconds": 2}}, "", 2.0),
        (503, {"details": {"retryAfterSeconds": 2}}, "5", 5.0),
        (503, {"details": None}, "Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_when_to_come_again(
    status: int, body: dict[str, Any], header: str, seconds: float | None
) -> None:
    with pytest.raises(ApiUnavailableError) as caught:
        raise_error(status, text(body), header)
    assert caught.value.retry_after_s == seconds


def test_a_refusal_keeps_the_words_of_the_api_server() -> None:
    with pytest.raises(ApiError, match="no such field") as caught:
        raise_error(422, text({"message": "no such field", "reason": "Invalid"}))
    assert (caught.value.status, caught.value.reason) == (422, "Invalid")
    assert not isinstance(caught.value, ApiUnavailableError)


def test_a_refusal_of_a_proxy_is_shown() -> None:
    with pytest.raises(ApiUnavailableError, match="Bad gateway"):
        raise_error(502, HTML)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.binary() | JSON.map(text))
def test_nothing_but_an_api_error_ever_comes_out(raw: bytes) -> None:
    for read in (decode, decode_metadata, decode_event):
        with contextlib.suppress(ApiError):
            read(raw)
    with pytest.raises(ApiError):
        raise_error(500, raw)
    with pytest.raises(ApiError):
        raise_error(404, raw)


@given(JSON, JSON, JSON)
def test_errors_in_a_watch_of_any_form(code: Any, message: Any, reason: Any) -> None:
    status = {"code": code, "message": message, "reason": reason, "details": message}
    with pytest.raises(ApiError):
        decode_event(text({"type": "ERROR", "object": status}))
    with pytest.raises(ApiError):
        raise_error(503, text(status))
