"""Credentials: read by the official client, from a kubeconfig of any form."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml

from inference_operator.errors import ConfigError
from inference_operator.kubernetes.credentials import login


def kubeconfig(folder: Path, user: dict[str, Any]) -> Path:
    """A kubeconfig with one cluster and this user."""
    path = folder / "config"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:6443"}}],
                "users": [{"name": "me", "user": user}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            }
        )
    )
    return path


def test_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, {"token": "secret-token"})))
    info = login(kopf.OperatorSettings())
    assert info.server == "https://127.0.0.1:6443"
    assert info.token == "secret-token"


def test_a_plugin_that_fetches_the_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(
        "#!/bin/sh\n"
        'echo \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
        '"status":{"token":"fetched"}}\'\n'
    )
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    fetch = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(plugin),
        "interactiveMode": "Never",
    }
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, {"exec": fetch})))
    assert login(kopf.OperatorSettings()).token == "fetched"


def test_no_credentials_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match="KUBECONFIG"):
        login(kopf.OperatorSettings())
