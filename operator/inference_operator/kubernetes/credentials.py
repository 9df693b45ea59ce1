"""Credentials for the API server: the pod's service account, or a kubeconfig.

The official client loads them, so every kubeconfig feature works, including exec plugins, and a
rotated service-account token is reloaded. kopf's watches and our own requests use the same
function, so both talk to the same cluster as the same user. Reads files and the environment and
runs plugins; opens no connections.
"""

from __future__ import annotations

import os

import kopf
from kubernetes import client, config

from inference_operator.errors import ConfigError


def login(settings: kopf.OperatorSettings) -> kopf.ConnectionInfo:
    """Load credentials; called again whenever the API server rejects them.

    Raises:
        ConfigError: There is neither a service account nor a usable kubeconfig.
    """
    loaded = client.Configuration()
    try:
        _load(loaded)
    except (config.ConfigException, OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"no credentials for a cluster ({error}): run in a pod with a service account, set "
            "KUBECONFIG, or create ~/.kube/config"
        ) from error
    return kopf.ConnectionInfo(
        server=loaded.host,
        ca_path=loaded.ssl_ca_cert,
        insecure=not loaded.verify_ssl,
        username=loaded.username or None,
        password=loaded.password or None,
        token=_token(loaded),
        certificate_path=loaded.cert_file,
        private_key_path=loaded.key_file,
        trust_env=settings.networking.trust_env,
    )


def _load(into: client.Configuration) -> None:
    # An explicit kubeconfig takes precedence over the pod's service account.
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        try:
            config.load_incluster_config(client_configuration=into)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            pass
        else:
            return
    config.load_kube_config(kubeconfig, client_configuration=into)  # type: ignore[no-untyped-call]


def _token(loaded: client.Configuration) -> str | None:
    """The bearer token without its scheme; the client stores it under either name."""
    for identifier in ("BearerToken", "authorization"):
        header = loaded.get_api_key_with_prefix(identifier)
        if header:
            return str(header).rpartition(" ")[2]
    return None
