"""Which kubectl to run: the one inside our binary, or the machine's where ours is not built."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from local_cluster.build import binary_path
from local_cluster.errors import ClusterError

# Set for the kubectl that we run from PATH. Seeing it again means that this kubectl called us.
CALLED = "LOCAL_CLUSTER_RUNS_KUBECTL"


def kubectl_command() -> list[str]:
    """The kubectl inside our binary, or the one on PATH if ours is not built.

    Raises:
        ClusterError: there is neither, or the one on PATH is a wrapper that calls us.
    """
    if binary_path().exists():
        return [str(binary_path()), "kubectl"]
    found = shutil.which("kubectl")
    if found is None:
        message = "kubectl is not installed: install it, or build our own: local-cluster build"
        raise ClusterError(message)
    if CALLED in os.environ:
        message = (
            f"{found} is a wrapper of `local-cluster kubectl`, and our own kubectl is not built: "
            "build it with `local-cluster build`, or put the real kubectl first on PATH"
        )
        raise ClusterError(message)
    return [found]


def replace_process(arguments: list[str], kubeconfig: Path) -> None:
    """Become kubectl, on the cluster of this kubeconfig if it exists. Does not return.

    Raises:
        ClusterError: there is no kubectl.
    """
    environment = {**os.environ, CALLED: "1"}
    if kubeconfig.exists():
        environment["KUBECONFIG"] = str(kubeconfig)
    command = [*kubectl_command(), *arguments]
    os.execve(command[0], command, environment)  # noqa: S606 - no shell is wanted
