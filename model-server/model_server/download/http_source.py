"""Fetches a file over http or https: redirects, resuming, and status codes as user errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.message import EmailMessage
from urllib.parse import unquote, urljoin, urlsplit

import urllib3

from model_server.download.connections import Connections, Response, retry_after
from model_server.download.errors import DownloadFailed, ModelNotFound, Transient
from model_server.download.sources import Body, Item
from model_server.download.uri import HttpUri, safe_url

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


def http_item(uri: HttpUri, connections: Connections) -> Item:
    """Returns the one file that an http(s) storageUri names."""
    headers = dict(urllib3.make_headers(basic_auth=uri.credentials)) if uri.credentials else {}

    def open_at(offset: int, validator: str) -> Body:
        return open_url(connections, uri.url, headers, offset, validator)

    return Item(path=file_name(uri.url), shown=uri.shown, open=open_at, sha256=uri.sha256)


def file_name(url: str) -> str:
    """Returns the last part of a URL's path; empty if the path ends in a slash."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def open_url(
    connections: Connections,
    url: str,
    headers: Mapping[str, str],
    offset: int = 0,
    validator: str = "",
) -> Body:
    """Opens a URL, following redirects.

    Args:
        connections: Makes the requests and checks the address of every hop.
        url: First URL to request.
        headers: Request headers. Credentials are not sent to another host after a redirect.
        offset: Offset of the first byte to fetch.
        validator: A strong ETag or a date from an earlier response. If it still matches, the
            response continues at `offset`; otherwise it starts over.

    Raises:
        DownloadError: if the URL cannot be fetched; the type is the reason.
        Transient: if a retry may succeed.
    """
    wanted = dict(headers)
    if offset:
        wanted["Range"] = f"bytes={offset}-"
        if validator:
            wanted["If-Range"] = validator
    response = follow(connections, url, wanted)
    try:
        check_status(response)
        return _body(response, offset)
    except BaseException:
        response.close()
        raise


def follow(connections: Connections, url: str, headers: Mapping[str, str]) -> Response:
    """Requests a URL, follows redirects and returns the final response, whatever its status.

    Raises:
        DownloadFailed: if there are too many redirects, or one leads from https to http.
        DownloadError: see `Connections.request`; applies to every hop.
    """
    sent = dict(headers)
    for _ in range(MAX_REDIRECTS + 1):
        response = connections.request("GET", url, sent)
        location = response.headers.get("Location")
        if response.status not in _REDIRECTS or not location:
            return response
        response.close()
        following = _join(url, location)
        before, after = urlsplit(url), urlsplit(following)
        if before.scheme == "https" and after.scheme != "https":
            raise DownloadFailed(
                f"{safe_url(url)} redirects to {after.scheme}, which is not secure"
            )
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            sent.pop("authorization", None)
        url = following
    raise DownloadFailed(f"{safe_url(url)}: more than {MAX_REDIRECTS} redirects")


def _join(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise DownloadFailed(f"{safe_url(url)} redirects to what is not a URL") from error


def check_status(response: Response) -> None:
    """Checks that a response has a success status.

    Raises:
        ModelNotFound: if there is nothing at the address.
        DownloadFailed: if the request was refused.
        Transient: if a retry may succeed.
    """
    status, shown = response.status, safe_url(response.url)
    if status in {200, 206}:
        return
    said = f"{shown} answered {status} {response.raw.reason or ''}".strip()
    if status in _GONE:
        raise ModelNotFound(f"{said}; is storageUri right?")
    if status in {401, 403}:
        raise DownloadFailed(f"{said}: it wants credentials, or others than it was given")
    if status == 416:
        raise Transient(f"{said}: the file has changed", restart=True)
    if status in _TRY_AGAIN:
        raise Transient(said, retry_after=retry_after(response.headers))
    raise DownloadFailed(said)


def _body(response: Response, offset: int) -> Body:
    headers = response.headers
    start, total = 0, _whole_number(headers.get("Content-Length"))
    if response.status == 206:
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        if match is None or int(match[1]) != offset:
            raise Transient(f"{safe_url(response.url)} sent another range", restart=True)
        start, total = offset, _whole_number(match[2])
    return Body(
        offset=start,
        total=total,
        validator=_validator(headers),
        chunks=response.chunks(),
        close=response.close,
        filename=_suggested_name(headers) or file_name(response.url),
    )


def _validator(headers: Mapping[str, str]) -> str:
    """Returns a value for If-Range: a strong ETag, or Last-Modified if there is no ETag."""
    etag = headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return "" if etag else headers.get("Last-Modified", "")


def _suggested_name(headers: Mapping[str, str]) -> str:
    message = EmailMessage()
    message["Content-Disposition"] = _one_line(headers.get("Content-Disposition", "inline"))
    name = message.get_filename("")
    return name.replace("\\", "/").rpartition("/")[2]


def _one_line(text: str) -> str:
    return re.sub(r"[\r\n\x00]", " ", text)


def _whole_number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None
