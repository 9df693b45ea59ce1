"""What the API server answers, from bytes to objects or to the error that it is. Pure."""

from __future__ import annotations

from typing import Any, NoReturn, NotRequired, TypedDict, TypeVar

import msgspec

from inference_operator.errors import ApiError, ApiUnavailableError

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
    """The metadata that identifies an object and its owner; most of the rest is managed fields."""

    uid: str
    name: str
    namespace: str
    resourceVersion: str
    labels: NotRequired[dict[str, str]]
    ownerReferences: NotRequired[list[OwnerReference]]


class _Item(TypedDict):
    metadata: Metadata


# "continue" cannot be the name of a field.
_ListMetadata = TypedDict("_ListMetadata", {"continue": NotRequired[str]})


class MetadataList(TypedDict):
    """A PartialObjectMetadataList of Kubernetes."""

    metadata: _ListMetadata
    items: NotRequired[list[_Item] | None]


class _Details(TypedDict, total=False):
    retryAfterSeconds: int


class _Status(TypedDict, total=False):
    """Kubernetes' form of an error."""

    code: int
    reason: str
    message: str
    details: _Details | None


_STATUS = msgspec.json.Decoder(_Status)
_METADATA_LIST = msgspec.json.Decoder(MetadataList)
_ANYTHING = msgspec.json.Decoder(dict[str, Any])


def decode(raw: bytes) -> dict[str, Any]:
    """An object.

    Raises:
        ApiUnavailableError: it is none: proxies in front of the API server answer in HTML.
    """
    return _decoded(_ANYTHING, raw)


def decode_metadata(raw: bytes) -> MetadataList:
    """A list of objects of which only metadata was asked for.

    Raises:
        ApiUnavailableError: it is none.
    """
    return _decoded(_METADATA_LIST, raw)


def _decoded(decoder: msgspec.json.Decoder[T], raw: bytes) -> T:
    try:
        return decoder.decode(raw)
    except ValueError as error:
        raise _not_its_answer(raw) from error


def decode_event(line: bytes) -> dict[str, Any]:
    """An event of a watch.

    Raises:
        ApiError: it says that the watch does not go on, with status 410 when only a new listing
            helps; or it is no event.
    """
    event = decode(line)
    if "type" not in event or not isinstance(event.get("object"), dict):
        raise _not_its_answer(line)
    if event["type"] == "ERROR":
        try:
            status = msgspec.convert(event["object"], _Status)
        except ValueError as error:
            raise _not_its_answer(line) from error
        raise ApiError(status.get("code", 0), status.get("message", ""), status.get("reason", ""))
    return event


def raise_error(status: int, raw: bytes, retry_after: str = "") -> NoReturn:
    """Raise the error that an answer is.

    Args:
        status: HTTP status, not of a success.
        raw: Body of the answer.
        retry_after: The header of that name; seconds.

    Raises:
        ApiError: Always.
    """
    try:
        body = _STATUS.decode(raw)
    except ValueError:
        # Proxies and load balancers in front of the API server answer in HTML.
        body = {"message": _shown(raw)}
    message, reason = body.get("message", ""), body.get("reason", "")
    if status == 429 or status >= 500:
        wait = retry_after or str((body.get("details") or {}).get("retryAfterSeconds", ""))
        seconds = float(wait) if wait.isdecimal() else None
        raise ApiUnavailableError(status, message, reason, seconds)
    raise ApiError(status, message, reason)


def _not_its_answer(raw: bytes) -> ApiUnavailableError:
    return ApiUnavailableError(200, f"this is not of the API server: {_shown(raw)}")


def _shown(raw: bytes) -> str:
    return raw[:_SHOWN].decode(errors="replace")
