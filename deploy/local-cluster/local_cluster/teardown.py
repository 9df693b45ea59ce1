"""Removes a cluster completely, whatever state it is in.

Names are derived from the cluster's folder, so this also cleans up after an interrupted run, a
crash of the machine or a lost state file. Every step is safe to repeat.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from local_cluster import cgroups, network
from local_cluster.errors import ClusterError
from local_cluster.node import BOUND
from local_cluster.processes import boot_id, stop, wait_until

if TYPE_CHECKING:
    from local_cluster.layout import Layout
    from local_cluster.state import State


def stop_programs(state: State) -> None:
    """Stop the supervisor, and with it all programs and containers of the cluster."""
    if state.supervisor is not None and state.supervisor.boot_id == boot_id():
        stop(state.supervisor)


def remove_own_cluster(layout: Layout, state: State | None) -> None:
    """Remove a local cluster: processes, devices, firewall, control groups, files.

    The logs remain until the next `up`.

    Raises:
        ClusterError: something could not be removed.
    """
    if state is not None:
        stop_programs(state)
    network.remove(layout.device)
    if not wait_until(lambda: cgroups.remove(layout.cgroup), 10.0):
        left = ", ".join(str(path) for path in cgroups.folders(layout.cgroup))
        message = f"processes of the cluster still run below {left}; run `local-cluster down` again"
        raise ClusterError(message)
    if not network.cluster_devices():
        remove_mount_points()
    remove_files(layout)


def remove_mount_points() -> None:
    """Delete the empty mount points on the host after the last cluster."""
    for folder in BOUND.values():
        if os.geteuid() == 0 and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def remove_files(layout: Layout) -> None:
    """Delete the files of the cluster, except its logs and its lock."""
    for folder in (layout.data, layout.pki, layout.config):
        shutil.rmtree(folder, ignore_errors=False, onerror=_unless_missing)
    for file in (layout.kubeconfig, layout.plan, layout.programs, layout.images, layout.state):
        file.unlink(missing_ok=True)


def _unless_missing(_function: object, path: str, info: tuple[type, BaseException, object]) -> None:
    if not isinstance(info[1], FileNotFoundError):
        message = f"cannot delete {path}: {info[1]}"
        raise ClusterError(message) from info[1]
