"""The few calls to the API server that bringing a cluster up needs.

Plain HTTPS with the administrator's certificate and the standard library: a Kubernetes client
takes longer to import than the API server takes to start. It is no general client.
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
    """The name of a kind in a URL, for the kinds that this package applies."""
    if kind.endswith("s"):
        return kind.lower() + "es"
    return kind.lower() + "s"


def path_of(manifest: Manifest) -> str:
    """The URL path of the object that a manifest describes."""
    version, kind = manifest["apiVersion"], manifest["kind"]
    metadata = manifest["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scope = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{scope}/{plural_of(kind)}/{metadata['name']}"


class ApiServer:
    """One API server, spoken to as the cluster's administrator, or as a program of the node."""

    def __init__(self, server: str, pki: Path, stem: str = "admin") -> None:
        """Take the server's URL, the folder of certificates, and the name of the client's."""
        self._address = urlsplit(server)
        self._tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._tls.load_cert_chain(str(pki / f"{stem}.crt"), str(pki / f"{stem}.key"))

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        host, port = self._address.hostname or "", self._address.port
        return http.client.HTTPSConnection(host, port, context=self._tls, timeout=timeout)

    def request(
        self, method: str, path: str, body: str = "", content_type: str = "application/json"
    ) -> tuple[int, str]:
        """One request; returns status and body.

        Raises:
            OSError: no answer.
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

    def answers(self, path: str) -> bool:
        """Whether a GET of the path succeeds now."""
        try:
            return self.request("GET", path)[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> Manifest | None:
        """The object at a path, or None when there is none or no answer."""
        try:
            status, text = self.request("GET", path)
        except OSError:
            return None
        return json.loads(text) if status == 200 else None

    def watch(self, path: str, version: str) -> Iterator[Manifest]:
        """The events of a collection after a resource version, until the server ends the watch.

        Raises:
            OSError: the connection broke, or the server was silent for too long.
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
        """Server-side apply.

        Raises:
            ClusterError: the API server refused it.
        """
        path = f"{path_of(manifest)}?fieldManager={FIELD_MANAGER}&force=true"
        status, text = self.request(
            "PATCH", path, json.dumps(manifest), "application/apply-patch+yaml"
        )
        if status not in {200, 201}:
            message = f"the API server refused {path_of(manifest)}: {text}"
            raise ClusterError(message)
