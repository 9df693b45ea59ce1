"""Talking to the cluster's containerd from outside: it listens in the cluster's mount namespace."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from local_cluster.errors import ClusterError, CommandError
from local_cluster.node import CONTAINERD_SOCKET
from local_cluster.processes import run

if TYPE_CHECKING:
    from pathlib import Path

    from local_cluster.processes import ProcessIdentity

KUBERNETES_NAMESPACE = "k8s.io"


def inside(supervisor: ProcessIdentity, command: list[str]) -> list[str]:
    """A command, to be run in the cluster's namespaces."""
    return ["nsenter", "--target", str(supervisor.pid), "--mount", "--net", "--pid", "--", *command]


def _ctr(arguments: list[str]) -> list[str]:
    return ["ctr", "--address", str(CONTAINERD_SOCKET), "-n", KUBERNETES_NAMESPACE, *arguments]


def present_images(supervisor: ProcessIdentity) -> set[str]:
    """The references of the images that the node has."""
    return set(run(inside(supervisor, _ctr(["images", "list", "--quiet"]))).split())


def import_image(supervisor: ProcessIdentity, archive: Path, snapshotter: str) -> None:
    """Load an image archive (docker or OCI layout) into the node, and unpack it there.

    Raises:
        ClusterError: the archive cannot be read, or containerd refused it.
    """
    # Opened here and passed as standard input: the node need not see the archive's folder.
    command = inside(supervisor, _ctr(["images", "import", "--snapshotter", snapshotter, "-"]))
    try:
        with archive.open("rb") as file:
            result = subprocess.run(
                command, stdin=file, capture_output=True, text=True, check=False
            )
    except OSError as error:
        message = f"the image archive {archive} cannot be read: {error.strerror}"
        raise ClusterError(message) from error
    if result.returncode != 0:
        raise CommandError(command, result.returncode, result.stdout + result.stderr)
