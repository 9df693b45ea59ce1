"""Takes the picture out of a request, however the client sent it.

Raw bytes, a multipart upload, or base64 inside JSON. It looks at the envelope only: whether the
bytes are a picture is for `images` to say.
"""

import io
from collections.abc import Mapping
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
    shown,
)
from model_server.http.current import state
from model_server.http.lifecycle import is_connected, reserve_more
from model_server.protocols.json_input import check_json, decode_base64, parse_json, parsed_bytes

# What curl --data-binary sends when it is not told otherwise.
_CURL_DEFAULT = "application/x-www-form-urlencoded"
_RAW = {"", "application/octet-stream", "binary/octet-stream", _CURL_DEFAULT}
_FIELD = "image"
_PART_BYTES = 1 << 20


def picture() -> bytes:
    """The bytes of the request's picture.

    Raises:
        MissingImage: if there is none.
        UnsupportedMediaType: if the content type is none that can carry one.
        InvalidRequest: if the JSON or the base64 in it is wrong.
    """
    kind = request.mimetype
    if kind == "multipart/form-data":
        return _uploaded()
    if kind == "application/json":
        return _from_json(read_json())
    if kind in _RAW or kind.startswith("image/"):
        data = read_body()
        if not data:
            raise MissingImage(
                "the request has no body; send the picture's bytes as the body, or as the "
                f"multipart field {_FIELD!r}"
            )
        return data
    raise UnsupportedMediaType(
        f"the content type {kind} cannot carry a picture; use image/jpeg or another image type, "
        "application/octet-stream, multipart/form-data, or application/json with base64"
    )


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


def _uploaded() -> bytes:
    body = read_body()
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
        raise MissingImage(f"the form has no file in its field {_FIELD!r}")
    if not data:
        raise MissingImage(f"the file in the form's field {_FIELD!r} is empty")
    return data


def _from_json(body: bytes) -> bytes:
    document = parse_json(body)
    if not isinstance(document, Mapping) or _FIELD not in document:
        raise MissingImage(
            f'the JSON has no {_FIELD!r}; send {{"{_FIELD}": "<base64 of the picture>"}}'
        )
    unknown = next((key for key in document if key != _FIELD), None)
    if unknown is not None:
        raise InvalidRequest(f"field {shown(unknown)} is unknown; there is {_FIELD}")
    value = document[_FIELD]
    if isinstance(value, Mapping) and list(value) == ["b64"]:
        value = value["b64"]
    if not isinstance(value, str):
        raise InvalidRequest(f'{_FIELD!r} must be a base64 string, or {{"b64": "..."}}')
    return decode_base64(value, _FIELD)
