"""Prepares the node's namespaces: host name, network, mounts and kernel settings.

The supervisor calls it before it starts any program. All mounts are in the cluster's mount
namespace and disappear with it. Imports only the standard library, see `supervisor`.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

from local_cluster.network import Network, set_up_inside
from local_cluster.processes import run

DATA = Path("/run/local-cluster")
CONTAINERD_ROOT = DATA / "containerd"
CONTAINERD_STATE = Path("/run/containerd")
CONTAINERD_SOCKET = CONTAINERD_STATE / "containerd.sock"

# Paths that programs have built in. `up` creates missing mount points on the host.
BOUND = {"kubelet": Path("/var/lib/kubelet"), "cni": Path("/var/lib/cni")}

# Settings that the kubelet insists on. They would change the host's kernel, so the kubelet is shown
# files that already have these values.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def node_settings(network: Network, data: Path, logs: Path, name: str) -> dict[str, object]:
    """Settings for `prepare`, as stored in the plan."""
    return {
        "block": str(network.block),
        "data": str(data),
        "logs": str(logs),
        "name": name,
    }


def prepare(settings: dict[str, Any]) -> None:
    """Turn new namespaces into a node.

    Raises:
        ClusterError: a mount or a device could not be created.
    """
    socket.sethostname(settings["name"])
    set_up_inside(Network(ipaddress.IPv4Network(settings["block"])))
    # The kubelet propagates mounts to containers; they stay within this namespace.
    run(["mount", "--make-rshared", "/"])
    for folder in ("/run", "/var/log"):
        run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder])
    _bind_folders(Path(settings["data"]), Path(settings["logs"]))
    _bind_kernel_settings()


def _bind_folders(data: Path, logs: Path) -> None:
    binds = {DATA: data, Path("/var/log/pods"): logs / "pods"}
    binds |= {target: data / name for name, target in BOUND.items()}
    for target, source in binds.items():
        source.mkdir(parents=True, exist_ok=True)
        target.mkdir(parents=True, exist_ok=True)
        run(["mount", "--bind", str(source), str(target)])


def _bind_kernel_settings() -> None:
    folder = Path("/run/kernel-settings")
    folder.mkdir()
    for name, value in KERNEL_SETTINGS.items():
        setting = Path("/proc/sys") / name
        if setting.exists():
            shown = folder / name.replace("/", ".")
            shown.write_text(f"{value}\n")
            run(["mount", "--bind", str(shown), str(setting)])
