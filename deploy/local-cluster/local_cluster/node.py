"""Making a node's private view of the machine, inside the cluster's own namespaces.

Called by the supervisor before it starts any program. All mounts are in the cluster's mount
namespace and go with it. Only the standard library is imported: see `supervisor`.
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

# Programs have these paths built in. `up` makes the mount points where the machine lacks them.
BOUND = {"kubelet": Path("/var/lib/kubelet"), "cni": Path("/var/lib/cni")}

# What the kubelet insists on writing. The kernel is the machine's, not the cluster's: it is shown
# files that already hold what it wants.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def node_settings(network: Network, data: Path, logs: Path, name: str) -> dict[str, object]:
    """What `prepare` needs to know, as the plan's JSON has it."""
    return {
        "block": str(network.block),
        "data": str(data),
        "logs": str(logs),
        "name": name,
    }


def prepare(settings: dict[str, Any]) -> None:
    """Turn fresh namespaces into a node: host name, network, folders, kernel settings.

    Raises:
        ClusterError: a mount or a device could not be made.
    """
    socket.sethostname(settings["name"])
    set_up_inside(Network(ipaddress.IPv4Network(settings["block"])))
    # The kubelet needs to pass mounts on to containers; in a namespace of our own that ends here.
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
