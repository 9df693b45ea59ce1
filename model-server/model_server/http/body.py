"""Reads the picture or JSON from a request body: raw bytes, multipart upload or JSON.

The content decides, not the Content-Type: `curl -d` labels JSON as a URL-encoded form.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import IO

from flask import request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from model_server.errors import (
    BodyTooSlow,
    InvalidRequest,
    MissingImage,
    RequestError,
    UnsupportedMediaType,
    clipped,
    shown,
)
from model_server.http.current import state
from model_server.http.lifecycle import is_connected, reserve_more
from model_server.protocols.json_input import check_json, decode_base64, parse_json, parsed_bytes
from model_server.protocols.media import looks_like_form, looks_like_json, looks_like_picture

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
# Defaults of clients. With these and with image/*, any bytes are passed to the decoder.
_UNTYPED = {"", _FORM, "application/octet-stream", "binary/octet-stream"}
_FIELD = "image"
_HOW_TO_SEND = (
    f"send the picture as the body (curl --data-binary @FILE), as {_MULTIPART} "
    f"(curl -F {_FIELD}=@FILE), or as base64 in JSON"
)
_PART_BYTES = 1 << 20


@dataclass(frozen=True)
class Input:
    """Content of a request: JSON, or the bytes of a picture."""

    data: bytes
    is_json: bool


def picture_or_json() -> Input:
    """Reads the content of the request.

    Raises:
        MissingImage: if there is none.
        UnsupportedMediaType: if it is neither JSON nor a picture.
        InvalidRequest: if the upload is malformed.
        Overloaded: if the memory budget is exhausted.
    """
    body, kind = read_body(), request.mimetype
    picture = looks_like_picture(body)
    if not picture and (kind == "application/json" or looks_like_json(body)):
        check_json(body)
        reserve_more(parsed_bytes(body))
        return Input(body, is_json=True)
    if kind == _MULTIPART and not picture:
        return Input(_uploaded(body), is_json=False)
    if not body:
        raise MissingImage(f"the request has no body; {_HOW_TO_SEND}")
    if kind == _FORM and not picture and looks_like_form(body):
        raise UnsupportedMediaType(f"a URL-encoded form cannot carry a picture; {_HOW_TO_SEND}")
    if not (picture or kind in _UNTYPED or kind.startswith("image/")):
        raise UnsupportedMediaType(
            f"the body (Content-Type {clipped(kind)}) is not a picture; {_HOW_TO_SEND}"
        )
    return Input(body, is_json=False)


def picture() -> bytes:
    """Bytes of the request's picture; in JSON, the field `image`.

    Raises:
        RequestError: as `picture_or_json`.
    """
    received = picture_or_json()
    return _from_json(received.data) if received.is_json else received.data


def read_body() -> bytes:
    """Reads the whole body; possible once.

    Bytes are counted as they arrive: an announced length reserves nothing.

    Raises:
        BodyTooSlow: if it arrived too slowly.
        InvalidRequest: if the connection ended early.
        Overloaded: if the memory budget is exhausted.
        RequestEntityTooLarge: if it exceeds the limit.
    """
    announced = request.content_length
    if announced is None or not request.environ.get("wsgi.input_terminated"):
        stream = request.stream  # which ends with an error at the longest body
    else:
        if announced > state().settings.max_body_bytes:
            raise RequestEntityTooLarge
        # Flask reads 64 KiB at a time, and gunicorn copies its buffer each time: 2.1 instead of
        # 1.5 ms for a megabyte.
        stream = request.environ["wsgi.input"]
    data = _received(stream, announced)
    if announced is not None and len(data) < announced:
        raise _cut_short(f"{len(data)} of {announced} bytes of the body")
    return data


def _received(stream: IO[bytes], size: int | None) -> bytes:
    """Reads at most `size` bytes; each part is counted before the next is awaited."""
    whole = io.BytesIO()
    try:
        while size is None or whole.tell() < size:
            part = stream.read(
                _PART_BYTES if size is None else min(_PART_BYTES, size - whole.tell())
            )
            if not part:
                break
            reserve_more(len(part))
            whole.write(part)
    except ClientDisconnected:
        raise _cut_short("a part of the body") from None
    return whole.getvalue()


def _cut_short(what_came: str) -> RequestError:
    if is_connected(request):
        # Not closed by the client, so by the worker: see `process.worker`.
        seconds = state().settings.timeout_seconds
        return BodyTooSlow(
            f"only {what_came} arrived; the limit is {seconds:g} s, and less while other requests "
            "wait"
        )
    return InvalidRequest(f"the connection ended after {what_came}")


def read_json(json_length: int | None = None) -> bytes:
    """Reads a JSON body and reserves memory for parsing it.

    Args:
        json_length: Length of the JSON part if binary data follows.

    Raises:
        BodyTooSlow, InvalidRequest, RequestEntityTooLarge: as `read_body`.
        PayloadTooLarge: if the JSON has too many values.
        Overloaded: if the memory budget is exhausted.
    """
    body = read_body()
    check_json(body, json_length)
    reserve_more(parsed_bytes(body, json_length))
    return body


def _uploaded(body: bytes) -> bytes:
    if not body:
        raise MissingImage(f"the request has no body; {_HOW_TO_SEND}")
    if "boundary" not in request.mimetype_params:
        raise InvalidRequest(
            f"Content-Type {_MULTIPART} has no boundary; let the client set this header itself, "
            f"as curl -F {_FIELD}=@FILE does"
        )
    reserve_more(2 * len(body))  # the parsed file and its bytes
    _, form, files = request.make_form_data_parser().parse(
        io.BytesIO(body), request.mimetype, len(body), request.mimetype_params
    )
    try:
        upload = files.get(_FIELD) or next(iter(files.values()), None)
        if upload is not None:
            data: bytes = upload.read()
    finally:
        for file in chain.from_iterable(files.listvalues()):
            file.close()
    if upload is None:
        text = form.get(_FIELD)
        if text:
            return decode_base64(text, _FIELD)
        raise MissingImage(f"the form has no file; send the picture in the field {_FIELD!r}")
    if not data:
        raise MissingImage("the uploaded file is empty")
    return data


def _from_json(body: bytes) -> bytes:
    document = parse_json(body)
    if not isinstance(document, Mapping) or _FIELD not in document:
        raise MissingImage(
            f'the JSON has no field {_FIELD!r}; send {{"{_FIELD}": "<base64 of the picture>"}}'
        )
    unknown = next((key for key in document if key != _FIELD), None)
    if unknown is not None:
        raise InvalidRequest(f"unknown field {shown(unknown)}; the only field is {_FIELD!r}")
    value = document[_FIELD]
    if isinstance(value, Mapping) and list(value) == ["b64"]:
        value = value["b64"]
    if not isinstance(value, str):
        raise InvalidRequest(f'field {_FIELD!r} must be a base64 string or {{"b64": "..."}}')
    return decode_base64(value, _FIELD)
