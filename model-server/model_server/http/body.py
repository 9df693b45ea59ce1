"""Takes the picture or the JSON out of a request, however the client sent it.

Raw bytes, a multipart upload, or JSON. The content decides, not the Content-Type: `curl -d` sends
JSON as a URL-encoded form. Whether the bytes are a picture is for `vision.images` to say.
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
# Types that say nothing; the first two are curl's own. Under these, as under image/*, any bytes
# go to the codecs.
_UNTYPED = {"", _FORM, "application/octet-stream", "binary/octet-stream"}
_FIELD = "image"
_HOW_TO_SEND = (
    f"send the picture as the body (curl --data-binary @FILE), as {_MULTIPART} "
    f"(curl -F {_FIELD}=@FILE), or as base64 in JSON"
)
_PART_BYTES = 1 << 20


@dataclass(frozen=True)
class Input:
    """What a request carries: JSON to be parsed, or the bytes of a picture."""

    data: bytes
    is_json: bool


def picture_or_json() -> Input:
    """The request's input, read whole.

    Raises:
        MissingImage: if there is none.
        UnsupportedMediaType: if it is neither.
        InvalidRequest: if the upload or the base64 in it is malformed.
        Overloaded: if what is made of it would be too large beside other requests.
    """
    body, kind = read_body(), request.mimetype
    picture = looks_like_picture(body)
    if not picture and (kind == "application/json" or looks_like_json(body)):
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
    """The bytes of the request's picture; from JSON they are in the field `image`.

    Raises:
        RequestError: as `picture_or_json`.
    """
    received = picture_or_json()
    return _from_json(received.data) if received.is_json else received.data


def read_body() -> bytes:
    """The request's body, whole; it can be read once.

    Its bytes are counted as they come: what is only announced takes nobody's place.

    Raises:
        BodyTooSlow: if it came too slowly.
        InvalidRequest: if the connection ended before all of it came.
        Overloaded: if it does not fit beside those of others.
        RequestEntityTooLarge: if it is longer than the server accepts.
    """
    announced = request.content_length
    if announced is None or not request.environ.get("wsgi.input_terminated"):
        stream = request.stream  # which ends with an error at the longest body
    else:
        if announced > state().settings.max_body_bytes:
            raise RequestEntityTooLarge
        # Flask asks for 64 KiB at a time, and gunicorn copies all that it holds each time: 2.1
        # instead of 1.5 ms for a megabyte.
        stream = request.environ["wsgi.input"]
    data = _received(stream, announced)
    if announced is not None and len(data) < announced:
        raise _cut_short(f"{len(data)} of {announced} bytes of the body")
    return data


def _received(stream: IO[bytes], size: int | None) -> bytes:
    """All that comes, at most `size`; each part is counted before the next is awaited."""
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
        # The client has not ended it, so the worker has: see `process.worker`.
        seconds = state().settings.timeout_seconds
        return BodyTooSlow(
            f"only {what_came} came; it must come within the {seconds:g} s that a request has, and "
            "faster while others wait"
        )
    return InvalidRequest(f"the connection ended after {what_came}")


def read_json(json_length: int | None = None) -> bytes:
    """The request's body, whole, of which objects are going to be made.

    Args:
        json_length: Bytes of JSON, if binary tensors follow it.

    Raises:
        BodyTooSlow, InvalidRequest, RequestEntityTooLarge: as `read_body`.
        PayloadTooLarge: if there is more in it than a request can need.
        Overloaded: if the objects would be too large beside those of other requests.
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
    reserve_more(2 * len(body))  # the file in the form, and its bytes
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
