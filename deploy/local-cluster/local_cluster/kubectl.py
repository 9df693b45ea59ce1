"""Chooses the kubectl to run: ours, or the machine's where ours has not been built."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from local_cluster.build import binary_path
from local_cluster.errors import ClusterError

# Set for the kubectl on PATH. If it is set here, that kubectl has called us.
CALLED = "LOCAL_CLUSTER_RUNS_KUBECTL"


def kubectl_command() -> list[str]:
    """The kubectl in our binary, or the one on PATH if ours has not been built.

    Raises:
        ClusterError: there is neither, or the one on PATH calls `local-cluster kubectl`.
    """
    if binary_path().exists():
        return [str(binary_path()), "kubectl"]
    found = shutil.which("kubectl")
    if found is None:
        message = "kubectl is not installed: install it, or build ours with `local-cluster build`"
        raise ClusterError(message)
    if CALLED in os.environ:
        message = (
            f"{found} calls `local-cluster kubectl`, and our kubectl has not been built: "
            "run `local-cluster build`, or put the real kubectl first on PATH"
        )
        raise ClusterError(message)
    return [found]


def replace_process(arguments: list[str], kubeconfig: Path) -> None:
    """Replace this process by kubectl, with this kubeconfig if it exists.

    Raises:
        ClusterError: there is no kubectl.
    """
    environment = {**os.environ, CALLED: "1"}
    if kubeconfig.exists():
        environment["KUBECONFIG"] = str(kubeconfig)
    command = [*kubectl_command(), *arguments]
    os.execve(command[0], command, environment)  # noqa: S606 - no shell is wanted
