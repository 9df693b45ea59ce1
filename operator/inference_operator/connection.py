"""Credentials for the API server: the pod's service account, or a kubeconfig on a desk.

One function serves kopf's watches and our own calls, so both always talk to the same cluster as
the same user. Reads files and the environment; opens no connection.
"""

from __future__ import annotations

import os
from pathlib import Path

import kopf

from inference_operator.errors import ConfigError

_KUBECONFIG = "~/.kube/config"


def login(settings: kopf.OperatorSettings) -> kopf.ConnectionInfo:
    """Find credentials; called again whenever the API server rejected the last ones.

    Raises:
        ConfigError: there is neither a service account nor a readable kubeconfig.
    """
    # An explicit kubeconfig wins, so that a person in a pod can point elsewhere.
    if not os.environ.get("KUBECONFIG"):
        info = kopf.login_with_service_account(settings=settings)
        if info is not None:
            return info
    try:
        info = kopf.login_with_kubeconfig(settings=settings)
    except (OSError, KeyError, TypeError, ValueError, kopf.LoginError) as error:
        raise ConfigError(f"the kubeconfig cannot be used: {error}") from error
    if info is None:
        raise ConfigError(
            "no credentials for a cluster: run in a pod with a service account, set KUBECONFIG, "
            f"or make {Path(_KUBECONFIG)}"
        )
    if not (info.token or info.username or info.certificate_path or info.certificate_data):
        raise ConfigError(
            "the kubeconfig's user has neither a token nor a client certificate (plugins that "
            "fetch credentials are not run): create a token with `kubectl create token`"
        )
    return info
