"""A control plane without a node: etcd, kube-apiserver and kube-controller-manager on loopback.

For developing and testing code that only talks to the API. It needs no root, packages or
namespaces; pods never run.
"""

from __future__ import annotations

import dataclasses
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

from local_cluster import state as states
from local_cluster.build import revision
from local_cluster.kubeconfigs import component_kubeconfig, portable_kubeconfig
from local_cluster.launch import start_supervisor, write_plan
from local_cluster.pki import create_cluster_pki, write_private
from local_cluster.programs import NODE_NAME, ProgramSettings, control_plane

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_cluster.api import ApiServer
    from local_cluster.layout import Layout
    from local_cluster.processes import ProcessIdentity

LOOPBACK = "127.0.0.1"
# Never routed. Every Service takes an address, and benchmarks create thousands.
SERVICE_RANGE = "10.63.0.0/16"
PORT_NAMES = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager")
COMPONENTS = ("kube-controller-manager",)


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """A distinct free TCP port on loopback for each name."""
    with ExitStack() as held:
        ports = {}
        for name in names:
            listener = held.enter_context(socket.socket())
            listener.bind((LOOPBACK, 0))
            ports[name] = listener.getsockname()[1]
    return ports


def server_names(address: str, service_address: str) -> tuple[str, ...]:
    """All addresses and names of the cluster's servers, for their certificates."""
    return (
        address,
        service_address,
        LOOPBACK,
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "metrics-server.kube-system.svc",
        NODE_NAME,
    )


def prepare_folders(layout: Layout) -> None:
    """Create the cluster's folders; only the owner may list the data."""
    for folder in (layout.root, layout.logs, layout.config, layout.data):
        folder.mkdir(parents=True, exist_ok=True)
    layout.data.chmod(0o711)


def write_kubeconfigs(layout: Layout, server: str, components: tuple[str, ...]) -> None:
    """Write the administrator's kubeconfig and those of the cluster's programs."""
    for component in components:
        text = component_kubeconfig(server, layout.pki, component)
        (layout.config / f"{component}.kubeconfig").write_text(text)
    parts = [(layout.pki / name).read_bytes() for name in ("ca.crt", "admin.crt", "admin.key")]
    write_private(layout.kubeconfig, portable_kubeconfig(server, *parts).encode())


def settings_for(layout: Layout, binary: Path, ports: dict[str, int]) -> ProgramSettings:
    """Paths, addresses and ports of a control plane on loopback."""
    return ProgramSettings(
        binary=binary,
        pki=layout.pki,
        config=layout.config,
        data=layout.data,
        address=LOOPBACK,
        service_range=SERVICE_RANGE,
        etcd_port=ports["etcd"],
        etcd_peer_port=ports["etcd-peer"],
        api_port=ports["kube-apiserver"],
        controller_port=ports["kube-controller-manager"],
    )


def server_url(state: states.State) -> str:
    """URL of the API server."""
    return f"https://{LOOPBACK}:{state.ports['kube-apiserver']}"


def start(layout: Layout, binary: Path) -> states.State:
    """Start a control plane; returns before it is ready."""
    ports = free_ports(PORT_NAMES)
    state = states.State(states.Mode.OWN, states.Profile.CONTROL_PLANE, layout.cluster_id)
    state = dataclasses.replace(state, ports=ports, revision=revision())
    states.save(layout.state, state)
    prepare_folders(layout)
    create_cluster_pki(layout.pki, NODE_NAME, server_names(LOOPBACK, "10.63.0.1"))
    write_kubeconfigs(layout, server_url(state), COMPONENTS)
    write_plan(layout, control_plane(settings_for(layout, binary, ports), with_node=False), None)

    def record(identity: ProcessIdentity) -> None:
        states.save(layout.state, dataclasses.replace(state, supervisor=identity))

    start_supervisor(layout, isolated=False, record=record)
    return states.load(layout.state) or state


def checks(api: ApiServer) -> dict[str, Callable[[], bool]]:
    """Readiness conditions by their display names."""
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    return {"the controllers": lambda: api.is_ok(account)}
