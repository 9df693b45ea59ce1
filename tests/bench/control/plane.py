"""A real API server with etcd and controllers of its own, fresh for each contestant.

Started and stopped through this project's own local cluster; nothing here knows what runs in it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import paths


class PlaneFailed(Exception):
    """The control plane did not start; the message is the command's own."""


@contextlib.contextmanager
def control_plane() -> Iterator[Path]:
    """A running control plane with our CRD and a namespace ``bench``; gives its kubeconfig.

    Raises:
        PlaneFailed: It did not start.
    """
    folder = paths.RESULTS / "control-plane"
    try:
        _local_cluster("down", folder)
        _local_cluster("up", folder, "--control-plane-only")
        yield folder / "kubeconfig"
    finally:
        _local_cluster("down", folder)


def _local_cluster(action: str, folder: Path, *flags: str) -> None:
    program = Path(sys.executable).parent / "local-cluster"
    answer = subprocess.run(
        [str(program), action, *flags, "--dir", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    if answer.returncode:
        raise PlaneFailed(f"local-cluster {action}: {answer.stderr.strip()[-500:]}")
