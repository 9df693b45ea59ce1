"""Pulls artifacts and images from an OCI registry and checks every byte against its digest.

A pull, as defined by the distribution specification, needs two kinds of GET request and a token.
It uses our `Connections` and the same resumable fetch as the other sources. Two layouts are
supported:

    an artifact, as created by `oras push`: layers are files named by the annotation
        org.opencontainers.image.title, or folders packed as tar.gz
    an image (a "modelcar"): the files below /models in its layers

Credentials come from `docker login`: `auths` in config.json, in DOCKER_CONFIG or ~/.docker.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from model_server.download.connections import Connections
from model_server.download.errors import ChecksumMismatch, DownloadFailed, ModelNotFound, Transient
from model_server.download.fetch import Patience
from model_server.download.http_source import check_status, follow, open_url
from model_server.download.sources import Body, Item, Opener
from model_server.download.uri import OciUri, parse_sha256, safe_url

MODELS_FOLDER = "models"
_MAX_DOCUMENT_BYTES = 4 << 20
_MAX_LAYERS = 1000
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_TITLE = "org.opencontainers.image.title"
_UNPACK = "io.deis.oras.content.unpack"
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def oci_items(
    uri: OciUri,
    connections: Connections,
    patience: Patience,
    environment: Mapping[str, str],
    *,
    plain_http: bool = False,
) -> tuple[list[Item], str]:
    """Returns the files of an artifact or image, and the hex digest of what the reference names.

    Args:
        uri: oci://REGISTRY/REPOSITORY.
        connections: Makes the requests.
        patience: Time limit and retry policy for the manifest.
        environment: Environment variables; DOCKER_CONFIG and HOME are read.
        plain_http: Uses http for the registry instead of https.

    Raises:
        DownloadError: if the manifest cannot be fetched or names no files; the type is the reason.
    """
    registry = _Registry(uri, connections, environment, "http" if plain_http else "https")
    manifest, digest = patience.insist(registry.manifest, uri.shown)
    layers = manifest.get("layers")
    if not isinstance(layers, list) or len(layers) > _MAX_LAYERS:
        raise ModelNotFound(f"{uri.shown} is no artifact or image with layers")
    config = manifest.get("config")
    is_image = isinstance(config, dict) and config.get("mediaType") in _IMAGE_CONFIGS
    items = [registry.item(layer, is_image=is_image) for layer in layers]
    found = [item for item in items if item is not None]
    if not found:
        raise ModelNotFound(f"{uri.shown} has no layer that names a file")
    return found, digest


class _Registry:
    """One repository in one registry."""

    def __init__(
        self,
        uri: OciUri,
        connections: Connections,
        environment: Mapping[str, str],
        scheme: str,
    ) -> None:
        self._uri, self._connections = uri, connections
        host = "registry-1.docker.io" if uri.registry == "docker.io" else uri.registry
        self._base = f"{scheme}://{host}/v2/{uri.repository}"
        self._login = _login(uri.registry, environment)
        self._authorization = ""

    def manifest(self) -> tuple[Mapping[str, Any], str]:
        """Returns the manifest for this machine and the digest of what the reference names."""
        document, digest = self._document(self._uri.reference)
        if document.get("mediaType") in _INDEXES or "manifests" in document:
            document, _ = self._document(_choose(document, self._uri.shown))
        return document, digest

    def item(self, layer: Any, *, is_image: bool) -> Item | None:
        """Returns a layer as an item, or None if it is not part of the model."""
        if not isinstance(layer, dict):
            raise DownloadFailed(f"{self._uri.shown}: a layer of the manifest is not an object")
        sha256 = parse_sha256(str(layer.get("digest", "")), "a layer's digest")
        size = layer.get("size")
        known = size if isinstance(size, int) and size >= 0 else None
        annotations = layer.get("annotations")
        notes = annotations if isinstance(annotations, dict) else {}
        title = str(notes.get(_TITLE, ""))
        if not is_image and not title:
            return None
        return Item(
            path="" if is_image else title,
            shown=f"{self._uri.shown} {title or 'layer ' + sha256[:12]}",
            open=self._opener(sha256),
            sha256=sha256,
            size=known,
            unpack=is_image or str(notes.get(_UNPACK, "")).lower() == "true",
            keep=MODELS_FOLDER if is_image else "",
        )

    def _opener(self, sha256: str) -> Opener:
        def open_at(offset: int, _validator: str) -> Body:
            self._authorize()
            url = f"{self._base}/blobs/sha256:{sha256}"
            body = open_url(self._connections, url, self._headers(), offset)
            # The URL contains the content's digest, so a partial file can always be resumed.
            return Body(body.offset, body.total, sha256, body.chunks, body.close)

        return open_at

    def _document(self, reference: str) -> tuple[Mapping[str, Any], str]:
        """Returns a manifest or index and its digest, checked if the reference has a digest."""
        self._authorize()
        headers = self._headers() | {"accept": ", ".join((*_MANIFESTS, *_INDEXES))}
        url = f"{self._base}/manifests/{reference}"
        with follow(self._connections, url, headers) as response:
            check_status(response)
            content = response.content(_MAX_DOCUMENT_BYTES)
        digest = hashlib.sha256(content).hexdigest()
        if ":" in reference and reference != f"sha256:{digest}":
            raise ChecksumMismatch(f"{self._uri.shown}: the manifest is not {reference}")
        try:
            document = json.loads(content)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise DownloadFailed(f"{safe_url(url)} is no OCI manifest; is that a registry?")
        return document, digest

    def _headers(self) -> dict[str, str]:
        return {"authorization": self._authorization} if self._authorization else {}

    def _authorize(self) -> None:
        """Gets new authorization if the registry asks for it; tokens expire within minutes."""
        probe = f"{self._base}/manifests/{self._uri.reference}"
        accept = {"accept": ", ".join((*_MANIFESTS, *_INDEXES))}
        with follow(self._connections, probe, self._headers() | accept) as response:
            if response.status != 401:
                return
            challenge = response.headers.get("WWW-Authenticate", "")
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic" and self._login:
            self._authorization = f"Basic {self._login}"
        elif kind.lower() == "bearer":
            self._authorization = f"Bearer {self._token(dict(_CHALLENGE.findall(rest)))}"

    def _token(self, challenge: Mapping[str, str]) -> str:
        realm = challenge.get("realm", "")
        if not realm.startswith(("https://", self._base.partition("/v2/")[0] + "/")):
            raise DownloadFailed(f"{self._uri.registry} wants a login at {safe_url(realm)}")
        query = {
            "scope": challenge.get("scope") or f"repository:{self._uri.repository}:pull",
            **({"service": challenge["service"]} if "service" in challenge else {}),
        }
        headers = {"authorization": f"Basic {self._login}"} if self._login else {}
        with follow(self._connections, f"{realm}?{urlencode(query)}", headers) as response:
            check_status(response)
            content = response.content(_MAX_DOCUMENT_BYTES)
        try:
            answer = json.loads(content)
            return str(answer.get("token") or answer["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise Transient(f"{safe_url(realm)} gave no token") from error


def _choose(index: Mapping[str, Any], shown: str) -> str:
    """Returns the digest of the first manifest in an index for this machine or for any platform."""
    machine = platform.machine()
    wanted = {"os": "linux", "architecture": _ARCHITECTURES.get(machine, machine)}
    entries = index.get("manifests")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        described = entry.get("platform") or wanted
        if isinstance(described, dict) and wanted.items() <= described.items():
            return f"sha256:{parse_sha256(str(entry.get('digest', '')), 'a digest in the index')}"
    raise ModelNotFound(f"{shown} has nothing for linux/{wanted['architecture']}")


def _login(registry: str, environment: Mapping[str, str]) -> str:
    """Returns the base64-encoded `user:password` for a registry; empty without a login.

    Raises:
        DownloadFailed: if config.json exists but cannot be parsed.
    """
    folder = environment.get("DOCKER_CONFIG") or f"{environment.get('HOME', '')}/.docker"
    path = Path(folder) / "config.json"
    try:
        document = json.loads(path.read_text())
        auths = document.get("auths", {})
        hub = ("https://index.docker.io/v1/",) if registry == "docker.io" else ()
        for name in (registry, f"https://{registry}", *hub):
            entry = auths.get(name)
            if entry:
                return _encode(entry)
    except OSError:
        return ""
    except (ValueError, AttributeError, KeyError, TypeError, binascii.Error) as error:
        raise DownloadFailed(f"{path} is no configuration of docker login") from error
    return ""


def _encode(entry: Mapping[str, str]) -> str:
    if entry.get("auth"):
        base64.b64decode(entry["auth"], validate=True)
        return entry["auth"]
    return base64.b64encode(f"{entry['username']}:{entry['password']}".encode()).decode()
