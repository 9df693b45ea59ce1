"""Kubeconfig files for users and for the cluster's programs. Pure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = "local-cluster"


def _reference(user: dict[str, str], cluster: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": user}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }


def component_kubeconfig(server: str, pki: Path, stem: str) -> str:
    """The kubeconfig of a program, which refers to files in the `pki` folder.

    Args:
        server: URL of the API server.
        pki: folder of the certificates.
        stem: file name of the client's certificate and key, without suffix.
    """
    user = {
        "client-certificate": str(pki / f"{stem}.crt"),
        "client-key": str(pki / f"{stem}.key"),
    }
    cluster = {"server": server, "certificate-authority": str(pki / "ca.crt")}
    return yaml.safe_dump(_reference(user, cluster), sort_keys=False)


def portable_kubeconfig(server: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    """A self-contained kubeconfig with embedded certificates (PEM)."""

    def encode(content: bytes) -> str:
        return base64.b64encode(content).decode()

    user = {"client-certificate-data": encode(certificate), "client-key-data": encode(key)}
    cluster = {"server": server, "certificate-authority-data": encode(authority)}
    return yaml.safe_dump(_reference(user, cluster), sort_keys=False)
