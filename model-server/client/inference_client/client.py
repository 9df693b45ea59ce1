"""The client: sends pictures to one server and returns typed results.

HTTP goes through a urllib3 pool, which threads can share, or any object with the same `request`
method. Nothing is printed; pass `on_retry` to be told about retries.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import urlencode

import orjson
import urllib3
from urllib3.util.retry import Retry
from urllib3.util.timeout import Timeout

from inference_client import results, retries
from inference_client.address import parse_address
from inference_client.errors import (
    RequestRefused,
    ServerBusy,
    ServerFailed,
    UnexpectedAnswer,
    UnreadablePicture,
)
from inference_client.results import ClassificationResult, DetectionResult, PictureFormat

ARTICLE_JSON = "application/json"
DETECTIONS_JSON = "application/vnd.inference-operator.detections+json"
CONNECT_TIMEOUT_SECONDS = 10.0

Picture = bytes | str | os.PathLike[str]
Result = TypeVar("Result")


class Transport(Protocol):
    """The part of `urllib3.PoolManager` that the client uses."""

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        timeout: Timeout,
        retries: Retry,
    ) -> urllib3.BaseHTTPResponse:
        """Sends a request, with retries, and returns the complete response."""
        ...


class Client:
    """A client for one model server. Threads can share it.

    Args:
        address: For example `http://127.0.0.1:5000`; the default scheme is http.
        timeout: Seconds for one response, without the delays between retries.
        max_retries: Retries when the server is busy or the connection fails; 0 for none.
        on_retry: Called with a message before each retry.
        transport: Used instead of a connection pool of the client's own.

    Raises:
        InvalidAddress: the address is not an http(s) URL.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout: float = 60.0,
        max_retries: int = 4,
        on_retry: Callable[[str], None] | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.address = parse_address(address)
        self._timeout = Timeout(connect=min(timeout, CONNECT_TIMEOUT_SECONDS), read=timeout)
        self._retry = retries.policy(max_retries, on_retry)
        self._pool = None if transport else urllib3.PoolManager(maxsize=64)
        self._transport: Transport = transport or self._pool  # type: ignore[assignment] # one is set

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the client's own connections."""
        if self._pool is not None:
            self._pool.clear()

    def detect(
        self,
        picture: Picture,
        *,
        annotated: PictureFormat | None = "jpg",
        score_threshold: float | None = None,
        max_boxes: int | None = None,
    ) -> DetectionResult:
        """Detects objects in a picture.

        Args:
            picture: Content of an image file, or its path.
            annotated: Format of the picture with boxes, or None for no picture. The article's
                server always sends one.
            score_threshold: Minimum score, 0 to 1 (default: the server's).
            max_boxes: Maximum number of detections, best first (default: the server's).

        Raises:
            ClientError: one of the types in `errors`.
        """
        query = {
            "score_threshold": score_threshold,
            "max_boxes": max_boxes,
            "picture": None if annotated is None else {"jpg": "jpeg", "png": "png"}[annotated],
        }
        accept = f"{DETECTIONS_JSON}, {ARTICLE_JSON};q=0.5"
        body = read_picture(picture)
        answer = self._post("/object_detection", query, accept, body, content_type(body))
        return self._parse(answer, _read_detections)

    def classify(self, picture: Picture, *, top_k: int | None = None) -> ClassificationResult:
        """Classifies a picture.

        Args:
            picture: Content of an image file, or its path.
            top_k: Number of classes (default: the server's).

        Raises:
            ClientError: one of the types in `errors`.
        """
        body = read_picture(picture)
        form, kind = urllib3.encode_multipart_formdata(
            {"image": ("image", body, content_type(body))}
        )
        answer = self._post("/predict", {"top_k": top_k}, ARTICLE_JSON, form, kind)
        return self._parse(answer, _read_predictions)

    def _post(
        self, path: str, query: Mapping[str, Any], accept: str, body: bytes, kind: str
    ) -> urllib3.BaseHTTPResponse:
        given = {name: value for name, value in query.items() if value is not None}
        url = f"{self.address}{path}" + (f"?{urlencode(given)}" if given else "")
        headers = {"Accept": accept, "Content-Type": kind}
        try:
            response = self._transport.request(
                "POST", url, body=body, headers=headers, timeout=self._timeout, retries=self._retry
            )
        except urllib3.exceptions.HTTPError as error:
            raise retries.explain(error, self.address) from error
        if response.status != 200:
            raise _refusal(response, f"{self.address}{path}")
        return response

    def _parse(
        self,
        response: urllib3.BaseHTTPResponse,
        read: Callable[[urllib3.BaseHTTPResponse], Result],
    ) -> Result:
        try:
            return read(response)
        except UnexpectedAnswer as error:
            raise UnexpectedAnswer(
                f"{self.address} did not respond like a model server: {error}. "
                "Is the address correct?"
            ) from error


def read_picture(picture: Picture) -> bytes:
    """The content of a picture, given as bytes or as a path.

    Raises:
        UnreadablePicture: the file cannot be read or is empty.
    """
    if isinstance(picture, bytes):
        data, name = picture, "the picture"
    else:
        name = os.fspath(picture)
        try:
            data = Path(picture).read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            raise UnreadablePicture(f"cannot read the picture {name}: {reason}") from error
    if not data:
        raise UnreadablePicture(f"{name} is empty")
    return data


_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)


def content_type(data: bytes) -> str:
    """The media type according to the first bytes of an image file."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    return "application/octet-stream"


def _media_type(response: urllib3.BaseHTTPResponse) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _json(response: urllib3.BaseHTTPResponse) -> Any:
    try:
        return orjson.loads(response.data)
    except orjson.JSONDecodeError as error:
        kind = _media_type(response) or "no content type"
        raise UnexpectedAnswer(f"the answer ({kind}) is not JSON ({error})") from error


def _read_detections(response: urllib3.BaseHTTPResponse) -> DetectionResult:
    if _media_type(response) == DETECTIONS_JSON:
        return results.parse_detections(_json(response))
    return results.parse_article_detections(_json(response))


def _read_predictions(response: urllib3.BaseHTTPResponse) -> ClassificationResult:
    return results.parse_predictions(_json(response))


def _refusal(
    response: urllib3.BaseHTTPResponse, url: str
) -> RequestRefused | ServerFailed | UnexpectedAnswer:
    """The error for a response other than 200, with the server's message if there is one."""
    code, words = _server_message(response)
    status = f"{response.status} {response.reason or ''}".strip()
    message = f"{url} returned {status}"
    if words:
        message += f": {words}"
    elif response.status == 404:
        message += ". Is there a model server at this address?"
    if response.status == 503:
        return ServerBusy(message, response.status)
    if response.status >= 500:
        return ServerFailed(message, response.status)
    if response.status >= 400:
        return RequestRefused(message, response.status, code)
    return UnexpectedAnswer(f"{message} instead of 200")


def _server_message(response: urllib3.BaseHTTPResponse) -> tuple[str, str]:
    """Code and message of `{"error": "message", "code": "..."}`; the code may be missing."""
    try:
        document = orjson.loads(response.data)
    except orjson.JSONDecodeError:
        return "", ""
    if not isinstance(document, dict):
        return "", ""
    error, code = document.get("error"), document.get("code")
    return code if isinstance(code, str) else "", error if isinstance(error, str) else ""
