"""A complete cluster: the control plane and a node that runs pods."""

from __future__ import annotations

import dataclasses
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster import cgroups, machine, network, node_config, packages
from local_cluster import state as states
from local_cluster.addons import dns_objects, load_balancer_rights, metrics_objects
from local_cluster.archive import single_program_image
from local_cluster.build import pause_path, revision
from local_cluster.control_plane import prepare_folders, server_names, write_kubeconfigs
from local_cluster.errors import ClusterError
from local_cluster.launch import start_supervisor, write_plan
from local_cluster.network import Network
from local_cluster.node import DATA, node_settings
from local_cluster.node_config import PAUSE_IMAGE, NodeSettings
from local_cluster.pki import create_cluster_pki
from local_cluster.programs import NODE_NAME, ProgramSettings, whole_cluster
from local_cluster.runtime import import_image, present_images
from local_cluster.supervisor import responds

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_cluster.api import ApiServer, Manifest
    from local_cluster.layout import Layout
    from local_cluster.processes import ProcessIdentity

COMPONENTS = (
    "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "coredns",
    "metrics-server",
)  # fmt: skip
HIDDEN = (Path("/run"), Path("/var/run"), Path("/var/log"))
API_PORT = 6443


def network_of(state: states.State) -> Network:
    """The addresses of a recorded cluster."""
    return Network(ipaddress.IPv4Network(state.network["block"]))


def server_url(state: states.State) -> str:
    """URL of the API server, on the host and on the node."""
    return f"https://{network_of(state).node}:{API_PORT}"


def check_folder(layout: Layout) -> None:
    """Check that the node can see the cluster's folder.

    Raises:
        ClusterError: the folder is below one that the node mounts over.
    """
    for hidden in HIDDEN:
        if layout.root.is_relative_to(hidden):
            message = (
                f"--dir {layout.root} is below {hidden}, which the node mounts over: use another"
            )
            raise ClusterError(message)


def start(layout: Layout, binary: Path) -> states.State:
    """Start a cluster; returns before it is ready."""
    check_folder(layout)
    block = network.find_block(layout.cluster_id)
    state = states.State(
        states.Mode.OWN,
        states.Profile.FULL,
        layout.cluster_id,
        network={"block": str(block.block)},
        revision=revision(),
    )
    states.save(layout.state, state)
    prepare_folders(layout)
    state = dataclasses.replace(state, snapshotter=machine.choose_snapshotter(layout.data))
    create_cluster_pki(layout.pki, NODE_NAME, server_names(block.node, block.api_service))
    write_kubeconfigs(layout, server_url(state), COMPONENTS)
    write_configuration(layout, block, state.snapshotter)
    cgroups.create(layout.cgroup)
    programs = ProgramSettings(
        binary=binary,
        pki=layout.pki,
        config=layout.config,
        data=DATA,
        address=block.node,
        service_range=str(block.services),
        load_balancer_range=str(block.load_balancers),
    )
    settings = node_settings(block, layout.data, layout.logs, NODE_NAME)
    write_plan(layout, whole_cluster(programs), settings)

    def record(identity: ProcessIdentity) -> None:
        states.save(layout.state, dataclasses.replace(state, supervisor=identity))
        network.connect(layout.device, block, identity.pid)

    start_supervisor(layout, isolated=True, record=record)
    return states.load(layout.state) or state


def write_configuration(layout: Layout, block: Network, snapshotter: str) -> None:
    """Write the node's configuration files."""
    folder = packages.cni_folder(("ptp",))
    resolver = machine.resolver_text()
    upstream = node_config.upstream_resolvers(resolver)
    settings = NodeSettings(
        pki=layout.pki,
        config=layout.config,
        network=block,
        mtu=machine.outgoing_mtu(),
        cgroup=layout.cgroup,
        cni_binaries=folder or packages.CNI_FOLDERS[0],
        snapshotter=snapshotter,
        may_raise_oom_score=machine.may_raise_oom_score(),
    )
    proxy = node_config.kube_proxy_configuration(settings, layout.config / "kube-proxy.kubeconfig")
    files = {
        "kubelet.yaml": node_config.kubelet_configuration(settings),
        "kube-proxy.yaml": proxy,
        "containerd.toml": node_config.containerd_configuration(settings),
        "cni/10-pods.conflist": node_config.cni_configuration(settings),
        "Corefile": node_config.corefile(layout.config / "coredns.kubeconfig", upstream),
        "resolv.conf": "".join(f"nameserver {address}\n" for address in upstream),
    }
    (layout.config / "cni").mkdir(exist_ok=True)
    for name, text in files.items():
        (layout.config / name).write_text(text)


def load_pause_image(layout: Layout, state: states.State) -> None:
    """Import the pause image, which every pod needs."""
    supervisor = state.supervisor
    if supervisor is None or PAUSE_IMAGE in present_images(supervisor):
        return
    path = layout.data / "pause.tar"
    path.write_bytes(single_program_image(pause_path().read_bytes(), PAUSE_IMAGE))
    import_image(supervisor, ["cat", str(path)], state.snapshotter)
    path.unlink()


def addons(layout: Layout, state: states.State) -> list[Manifest]:
    """The objects for DNS, load balancers and metrics."""
    block = network_of(state)
    authority = (layout.pki / "ca.crt").read_bytes()
    return [*dns_objects(block), *load_balancer_rights(), *metrics_objects(block, authority)]


def is_ready(node: Manifest | None) -> bool:
    """Whether a Node is Ready."""
    conditions = (node or {}).get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def checks(state: states.State, api: ApiServer) -> dict[str, Callable[[], bool]]:
    """Readiness conditions by their display names."""
    block = network_of(state)
    return {
        "the node": lambda: is_ready(api.get(f"/api/v1/nodes/{NODE_NAME}")),
        "cluster DNS": lambda: responds(f"{block.node}:53"),
        "the metrics API": lambda: api.is_ok("/apis/metrics.k8s.io/v1beta1"),
        "service accounts": lambda: api.is_ok("/api/v1/namespaces/default/serviceaccounts/default"),
    }
