"""Makes all HTTP requests of the download, only to addresses that have been checked.

A name is resolved once, its addresses are checked, and the connection goes to an address that
passed. There is no second lookup that could return a different address (DNS rebinding). TLS still
verifies the name. This module does not follow redirects.

With a forward proxy (HTTPS_PROXY, NO_PROXY), the proxy resolves names and connects. Literal
addresses and names that resolve locally are still checked; the rest is up to the proxy. The proxy
itself is checked like any other host, because a user who can set the variable could name any
internal address.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.util.retry import Retry
from urllib3.util.timeout import Timeout

from model_server.download.addresses import AddressPolicy, parse_address
from model_server.download.errors import AddressNotAllowed, DownloadFailed, Transient
from model_server.download.network_errors import describe
from model_server.download.uri import safe_url, split_url

USER_AGENT = "inference-operator-model-download"
_PORTS = {"http": 80, "https": 443}
_HOW_TO_ALLOW = (
    "models come from the public internet unless the platform's owner allows an inner network "
    "(--allow-address CIDR, or --allow-private-addresses)"
)


@dataclass(frozen=True)
class Timeouts:
    """Timeouts in seconds for one connection attempt and for one read."""

    connect: float = 10.0
    read: float = 30.0


class Response:
    """A response whose body has not been read yet; use it in a `with` block.

    Attributes:
        status: HTTP status.
        headers: Names are case-insensitive.
        url: The requested URL.
    """

    def __init__(
        self, raw: urllib3.BaseHTTPResponse, url: str, close_pool: Callable[[], None]
    ) -> None:
        self.raw = raw
        self.status = raw.status
        self.headers = raw.headers
        self.url = url
        self._close_pool = close_pool

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
        """Closes the connection, discarding any unread bytes."""
        self.raw.close()
        self._close_pool()

    def chunks(self, size: int = 1 << 18) -> Iterator[bytes]:
        """Yields the body as it arrives, at most `size` bytes at a time, without decompressing it.

        Raises:
            Transient: if the connection breaks, stalls or ends early.
        """
        try:
            while data := self.raw.read1(size):
                yield data
        except urllib3.exceptions.HTTPError as error:
            raise Transient(describe(error)) from error
        except OSError as error:
            raise Transient(error.strerror or str(error)) from error

    def content(self, limit: int) -> bytes:
        """Returns the whole body.

        Raises:
            DownloadFailed: if it has more than `limit` bytes.
            Transient: as for `chunks`.
        """
        parts = bytearray()
        for chunk in self.chunks():
            parts += chunk
            if len(parts) > limit:
                raise DownloadFailed(f"{safe_url(self.url)} answered with more than {limit} bytes")
        return bytes(parts)


class Connections:
    """Makes requests under an address policy."""

    def __init__(self, policy: AddressPolicy, timeouts: Timeouts) -> None:
        self._policy, self._timeouts = policy, timeouts
        self._timeout = Timeout(connect=timeouts.connect, read=timeouts.read)
        # The operating system's certificates, or those in SSL_CERT_FILE.
        self._tls = ssl.create_default_context()

    def with_metadata_services(self) -> Connections:
        """Returns a copy that may also reach the addresses where clouds serve credentials."""
        return Connections(self._policy.with_metadata_services(), self._timeouts)

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Response:
        """Sends one request and returns the response, whatever its status, redirects included.

        Raises:
            AddressNotAllowed: if the host name is refused or resolves to no allowed address.
            DownloadFailed: if the host does not exist or its certificate is not trusted.
            Transient: if the connection fails or breaks.
        """
        parts = split_url(url, "the address")
        host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
        sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        sent["Host"] = parts.netloc.rpartition("@")[2]
        try:
            if proxy := self._proxy(parts.scheme, host):
                self._judge_behind_proxy(host, port)
                return self._through_proxy(proxy, method, url, sent, body)
            return self._direct(method, parts, self.resolve(host, port), sent, body)
        except urllib3.exceptions.SSLError as error:
            raise DownloadFailed(
                f"no secure connection to {host}: {describe(error)}; for a private certificate "
                "authority set SSL_CERT_FILE"
            ) from error
        except urllib3.exceptions.LocationParseError as error:
            raise DownloadFailed(f"{host!r} is not a host's name") from error
        except urllib3.exceptions.HTTPError as error:
            raise Transient(f"{host}: {describe(error)}") from error

    def resolve(self, host: str, port: int) -> list[str]:
        """Returns a host's allowed addresses as text, in the resolver's order.

        Raises:
            AddressNotAllowed: if there are none; the message says what the refused ones are for.
            DownloadFailed: if the host does not exist.
            Transient: if the resolver does not answer.
        """
        if why := self._policy.name_refusal(host):
            raise AddressNotAllowed(f"{host} is {why}; {_HOW_TO_ALLOW}")
        allowed, refused = [], []
        for address in _look_up(host, port):
            if why := self._policy.refusal(parse_address(address)):
                refused.append(f"{address} ({why})")
            else:
                allowed.append(address)
        if allowed:
            return allowed
        found = ", ".join(dict.fromkeys(refused))
        what = found if found.startswith(f"{host} (") else f"{host} leads to {found}, which"
        raise AddressNotAllowed(f"{what} is not allowed; {_HOW_TO_ALLOW}")

    def _direct(
        self,
        method: str,
        parts: SplitResult,
        addresses: list[str],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Response:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        failure: Exception | None = None
        for address in addresses:
            pool = self._pool(parts, address)
            try:
                raw = pool.urlopen(
                    method,
                    target,
                    body=body,
                    headers=dict(headers),
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                )
            except urllib3.exceptions.HTTPError as error:
                pool.close()
                if not isinstance(error, urllib3.exceptions.ConnectTimeoutError):
                    raise  # the host was reached; its other addresses would fail the same way
                failure = error
            else:
                return Response(raw, parts.geturl(), pool.close)
        assert failure is not None  # noqa: S101 - `resolve` never returns an empty list
        raise failure

    def _pool(self, parts: SplitResult, address: str) -> urllib3.HTTPConnectionPool:
        host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
        numeric = f"[{address}]" if ":" in address else address
        if parts.scheme == "http":
            return urllib3.HTTPConnectionPool(numeric, port, timeout=self._timeout)
        return urllib3.HTTPSConnectionPool(
            numeric,
            port,
            timeout=self._timeout,
            ssl_context=self._tls,
            server_hostname=host,  # OpenSSL verifies the certificate against this name
        )

    def _proxy(self, scheme: str, host: str) -> str:
        if proxy_bypass(host):
            return ""
        proxies = getproxies()
        return proxies.get(scheme) or proxies.get("all") or ""

    def _judge_behind_proxy(self, host: str, port: int) -> None:
        try:
            self.resolve(host, port)
        except (DownloadFailed, Transient):
            return  # a name that only the proxy can resolve

    def _through_proxy(
        self, proxy: str, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        given = split_url(proxy if "://" in proxy else f"http://{proxy}", "the proxy's address")
        try:
            self.resolve(str(given.hostname), given.port or _PORTS[given.scheme])
        except AddressNotAllowed as error:
            raise AddressNotAllowed(f"the proxy of the environment: {error}") from error
        userinfo, _, netloc = given.netloc.rpartition("@")
        manager = urllib3.ProxyManager(
            f"{given.scheme}://{netloc}",
            timeout=self._timeout,
            ssl_context=self._tls,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=userinfo) if userinfo else None,
        )
        raw = manager.urlopen(
            method,
            url,
            body=body,
            headers=dict(headers),
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )
        return Response(raw, url, manager.clear)


def _look_up(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        code = error.errno if isinstance(error, socket.gaierror) else socket.EAI_NONAME
        if code == socket.EAI_AGAIN:
            raise Transient(f"the name {host} could not be looked up") from error
        raise DownloadFailed(f"there is no host named {host}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds a Retry-After header asks to wait, at most 3600, or None without one."""
    value = headers.get("Retry-After")
    if not value:
        return None
    try:
        return min(3600.0, Retry().parse_retry_after(value))
    except urllib3.exceptions.InvalidHeader:
        return None
