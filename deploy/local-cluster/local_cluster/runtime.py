"""Access to the cluster's containerd, whose socket is in the cluster's mount namespace."""

from __future__ import annotations

import subprocess
import tempfile
from typing import TYPE_CHECKING

from local_cluster.errors import CommandError
from local_cluster.node import CONTAINERD_SOCKET
from local_cluster.processes import run

if TYPE_CHECKING:
    from local_cluster.processes import ProcessIdentity

KUBERNETES_NAMESPACE = "k8s.io"


def inside(supervisor: ProcessIdentity, command: list[str]) -> list[str]:
    """The command that runs another one in the cluster's namespaces."""
    return ["nsenter", "--target", str(supervisor.pid), "--mount", "--net", "--pid", "--", *command]


def _ctr(arguments: list[str]) -> list[str]:
    return ["ctr", "--address", str(CONTAINERD_SOCKET), "-n", KUBERNETES_NAMESPACE, *arguments]


def present_images(supervisor: ProcessIdentity) -> set[str]:
    """References of the images on the node."""
    return set(run(inside(supervisor, _ctr(["images", "list", "--quiet"]))).split())


def import_image(supervisor: ProcessIdentity, producer: list[str], snapshotter: str) -> None:
    """Import an image into the node and unpack it.

    Args:
        supervisor: the cluster's supervisor.
        producer: a command that writes an image archive (Docker or OCI) to standard output. It is
            streamed, so that a large image is not written to disk again.
        snapshotter: containerd's snapshotter.

    Raises:
        ClusterError: the producer failed, or containerd rejected the archive.
    """
    command = inside(supervisor, _ctr(["images", "import", "--snapshotter", snapshotter, "-"]))
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(producer, stdout=subprocess.PIPE, stderr=complaints) as source,
    ):
        result = subprocess.run(
            command, stdin=source.stdout, capture_output=True, text=True, check=False
        )
        if source.stdout is not None:
            source.stdout.close()
        if source.wait() != 0:
            complaints.seek(0)
            raise CommandError(producer, source.returncode, complaints.read())
    if result.returncode != 0:
        raise CommandError(command, result.returncode, result.stdout + result.stderr)
