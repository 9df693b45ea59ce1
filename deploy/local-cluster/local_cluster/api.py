"""A minimal client for the API server, for starting a cluster.

Plain HTTPS with a client certificate and the standard library: a Kubernetes client takes longer to
import than the API server takes to start.
"""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from local_cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST_SECONDS = 10
WATCH_SECONDS = 600
FIELD_MANAGER = "local-cluster"
Manifest = dict[str, Any]


def plural_of(kind: str) -> str:
    """Plural of a kind, for the kinds that this package applies."""
    if kind.endswith("s"):
        return kind.lower() + "es"
    return kind.lower() + "s"


def path_of(manifest: Manifest) -> str:
    """URL path of a manifest's object."""
    version, kind = manifest["apiVersion"], manifest["kind"]
    metadata = manifest["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scope = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{scope}/{plural_of(kind)}/{metadata['name']}"


class ApiServer:
    """Client for one API server, as the administrator or as a program of the node."""

    def __init__(self, server: str, pki: Path, stem: str = "admin") -> None:
        """Take the server's URL, the folder of certificates, and the client's certificate name."""
        self._address = urlsplit(server)
        self._tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._tls.load_cert_chain(str(pki / f"{stem}.crt"), str(pki / f"{stem}.key"))

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        host, port = self._address.hostname or "", self._address.port
        return http.client.HTTPSConnection(host, port, context=self._tls, timeout=timeout)

    def request(
        self, method: str, path: str, body: str = "", content_type: str = "application/json"
    ) -> tuple[int, str]:
        """Send a request; returns status and body.

        Raises:
            OSError: no response.
        """
        connection = self._connect(REQUEST_SECONDS)
        try:
            headers = {"Content-Type": content_type} if body else {}
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def is_ok(self, path: str) -> bool:
        """Whether a GET of the path succeeds."""
        try:
            return self.request("GET", path)[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> Manifest | None:
        """The object at a path; None if there is none or no response."""
        try:
            status, text = self.request("GET", path)
        except OSError:
            return None
        return json.loads(text) if status == 200 else None

    def watch(self, path: str, version: str) -> Iterator[Manifest]:
        """Events of a collection after a resource version, until the server ends the watch.

        Raises:
            OSError: the connection failed or timed out.
        """
        connection = self._connect(WATCH_SECONDS + REQUEST_SECONDS)
        query = f"watch=1&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}"
        try:
            connection.request("GET", f"{path}?{query}")
            for line in connection.getresponse():
                yield json.loads(line)
        except (http.client.HTTPException, json.JSONDecodeError) as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def apply(self, manifest: Manifest) -> None:
        """Apply a manifest with server-side apply.

        Raises:
            ClusterError: the API server rejected it.
        """
        path = f"{path_of(manifest)}?fieldManager={FIELD_MANAGER}&force=true"
        status, text = self.request(
            "PATCH", path, json.dumps(manifest), "application/apply-patch+yaml"
        )
        if status not in {200, 201}:
            message = f"the API server rejected {path_of(manifest)}: {text}"
            raise ClusterError(message)
