"""Decodes responses of the API server into objects or errors. Pure."""

from __future__ import annotations

from typing import Any, NoReturn, NotRequired, TypedDict, TypeVar

import msgspec

from inference_operator.errors import ApiError, ApiUnavailableError, ErrorDetails

T = TypeVar("T")
_SHOWN = 200


class OwnerReference(TypedDict):
    """An owner of an object."""

    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: NotRequired[bool | None]


class Metadata(TypedDict):
    """Metadata that identifies an object and its owner; the rest is mostly managed fields."""

    uid: str
    name: str
    namespace: str
    resourceVersion: str
    labels: NotRequired[dict[str, str]]
    ownerReferences: NotRequired[list[OwnerReference]]


class _Item(TypedDict):
    metadata: Metadata


# "continue" is a keyword, so it cannot be a field name in class syntax.
_ListMetadata = TypedDict("_ListMetadata", {"continue": NotRequired[str]})


class MetadataList(TypedDict):
    """A PartialObjectMetadataList."""

    metadata: _ListMetadata
    items: NotRequired[list[_Item] | None]


class _Cause(TypedDict, total=False):
    reason: str


class _Details(TypedDict, total=False):
    retryAfterSeconds: int
    kind: str
    causes: list[_Cause] | None


class _Status(TypedDict, total=False):
    """A Kubernetes Status: the body of an error."""

    code: int
    reason: str
    message: str
    details: _Details | None


_STATUS = msgspec.json.Decoder(_Status)
_METADATA_LIST = msgspec.json.Decoder(MetadataList)
_ANYTHING = msgspec.json.Decoder(dict[str, Any])


def decode(raw: bytes) -> dict[str, Any]:
    """Decode an object.

    Raises:
        ApiUnavailableError: The response is not JSON: a proxy in front of the API server may
            return HTML.
    """
    return _decoded(_ANYTHING, raw)


def decode_metadata(raw: bytes) -> MetadataList:
    """Decode a list of metadata.

    Raises:
        ApiUnavailableError: The response is not such a list.
    """
    return _decoded(_METADATA_LIST, raw)


def _decoded(decoder: msgspec.json.Decoder[T], raw: bytes) -> T:
    try:
        return decoder.decode(raw)
    except ValueError as error:
        raise _not_a_response(raw) from error


def decode_event(line: bytes) -> dict[str, Any]:
    """Decode a watch event.

    Raises:
        ApiError: It is an ERROR event, or not an event at all.
    """
    event = decode(line)
    if "type" not in event or not isinstance(event.get("object"), dict):
        raise _not_a_response(line)
    if event["type"] == "ERROR":
        try:
            status = msgspec.convert(event["object"], _Status)
        except ValueError as error:
            raise _not_a_response(line) from error
        raise ApiError(status.get("code", 0), status.get("message", ""), status.get("reason", ""))
    return event


def raise_error(status: int, raw: bytes, retry_after: str = "") -> NoReturn:
    """Raise the error that a response represents.

    Args:
        status: HTTP status, not a success.
        raw: Body of the response.
        retry_after: The Retry-After header.

    Raises:
        ApiError: Always.
    """
    try:
        body = _STATUS.decode(raw)
    except ValueError:
        # Proxies and load balancers in front of the API server may return HTML.
        body = {"message": _shown(raw)}
    message, reason = body.get("message", ""), body.get("reason", "")
    details = _details(body)
    if status == 429 or status >= 500:
        wait = retry_after or str((body.get("details") or {}).get("retryAfterSeconds", ""))
        seconds = float(wait) if wait.isdecimal() else None
        raise ApiUnavailableError(status, message, reason, seconds, details)
    raise ApiError(status, message, reason, details=details)


def _details(status: _Status) -> ErrorDetails:
    raw = status.get("details") or {}
    causes = raw.get("causes") or ()
    return ErrorDetails(raw.get("kind", ""), tuple(cause.get("reason", "") for cause in causes))


def _not_a_response(raw: bytes) -> ApiUnavailableError:
    return ApiUnavailableError(200, f"not a response of the API server: {_shown(raw)}")


def _shown(raw: bytes) -> str:
    return raw[:_SHOWN].decode(errors="replace")
