"""A real API server with its controllers but no node, and the operator's own rights on it."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from support.endings import afterwards
from support.kube import Kubectl
from support.operator_process import KIND
from support.poll import eventually

ROOT = Path(__file__).parents[2]
SYSTEM = "inference-operator-system"


@contextmanager
def control_plane(folder: Path) -> Iterator[Kubectl]:
    """An API server of our own, with the resource and the operator's rights installed."""
    command = [str(Path(sys.executable).with_name("local-cluster"))]
    up = [*command, "up", "--control-plane-only", "--dir", str(folder)]
    with afterwards([*command, "down", "--dir", str(folder)]):
        started = subprocess.run(up, capture_output=True, text=True, check=False, timeout=1200)
        assert started.returncode == 0, started.stdout + started.stderr
        kubectl = Kubectl(folder / "kubeconfig")
        documents = yaml.safe_load_all((ROOT / "deploy" / "install.yaml").read_text())
        kubectl.in_namespace(SYSTEM).apply(*[d for d in documents if d["kind"] != "Deployment"])
        kubectl.run("wait", "--for=condition=Established", f"crd/{KIND}", "--timeout=30s")
        eventually(lambda: kubectl.try_run("get", KIND).returncode == 0, "the new API")
        yield kubectl


def operator_kubeconfig(cluster: Kubectl, path: Path) -> Path:
    """Write a kubeconfig that is the operator's ServiceAccount to `path`."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    token = cluster.run("create", "token", "inference-operator", "-n", SYSTEM, "--duration=4h")
    config["users"] = [{"name": "operator", "user": {"token": token.strip()}}]
    for context in config["contexts"]:
        context["context"]["user"] = "operator"
    authority = config["clusters"][0]["cluster"].pop("certificate-authority", None)
    if authority:
        data = base64.b64encode(Path(authority).read_bytes()).decode()
        config["clusters"][0]["cluster"]["certificate-authority-data"] = data
    path.write_text(yaml.safe_dump(config))
    return path
