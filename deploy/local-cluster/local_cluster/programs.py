"""The command line of every program of the cluster, and their start order. Pure.

The control plane is the same with and without a node, apart from its listen addresses. Flags are
those of a production cluster, without what a disposable cluster on two cores can do without: fsync,
leader election and audit.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_cluster.node import CONTAINERD_SOCKET
from local_cluster.supervisor import Program

if TYPE_CHECKING:
    from pathlib import Path

CLUSTER_DOMAIN = "cluster.local"
NODE_NAME = "node-1"
KUBELET_PORT = 10250
METRICS_PORT = 4443
CONTAINERD = "containerd"
RIGHTS_GATE = "rights-granted"


@dataclass(frozen=True)
class ProgramSettings:
    """Paths, addresses and ports of one cluster's programs.

    Attributes:
        binary: the Go binary that contains all Kubernetes programs.
        pki: folder of certificates and keys.
        config: folder of rendered configuration files.
        data: folder for the programs' data.
        address: IPv4 address of the API server.
        etcd_port, etcd_peer_port, api_port, controller_port: TCP ports.
        service_range: CIDR of Service addresses.
        load_balancer_range: CIDR of LoadBalancer addresses; empty without a node.
    """

    binary: Path
    pki: Path
    config: Path
    data: Path
    address: str
    service_range: str
    load_balancer_range: str = ""
    etcd_port: int = 2379
    etcd_peer_port: int = 2380
    api_port: int = 6443
    controller_port: int = 10257

    @property
    def api_probe(self) -> str:
        """Readiness URL of the API server, which covers its built-in roles."""
        return f"https://{self.address}:{self.api_port}/readyz"

    @property
    def rights_gate(self) -> str:
        """File that exists once the RBAC roles of the add-on programs are applied."""
        return str(self.config / RIGHTS_GATE)

    def command(self, program: str, flags: dict[str, str]) -> tuple[str, ...]:
        """The command line of one of the binary's programs."""
        return (str(self.binary), program, *(f"--{name}={value}" for name, value in flags.items()))

    def client_config(self, program: str) -> str:
        """Path of a program's kubeconfig."""
        return str(self.config / f"{program}.kubeconfig")


def etcd(settings: ProgramSettings) -> Program:
    """etcd, without fsync: the cluster is discarded after a crash."""
    client = f"https://127.0.0.1:{settings.etcd_port}"
    peer = f"https://127.0.0.1:{settings.etcd_peer_port}"
    flags = {
        "name": "etcd",
        "data-dir": str(settings.data / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"etcd={peer}",
        "cert-file": str(settings.pki / "etcd.crt"),
        "key-file": str(settings.pki / "etcd.key"),
        "trusted-ca-file": str(settings.pki / "ca.crt"),
        "client-cert-auth": "true",
        "peer-cert-file": str(settings.pki / "etcd.crt"),
        "peer-key-file": str(settings.pki / "etcd.key"),
        "peer-trusted-ca-file": str(settings.pki / "ca.crt"),
        "peer-client-cert-auth": "true",
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }
    return Program("etcd", settings.command("etcd", flags), probe=f"127.0.0.1:{settings.etcd_port}")


def kube_apiserver(settings: ProgramSettings, *, with_node: bool) -> Program:
    """The API server: RBAC, Pod Security admission (on by default), aggregation, no audit."""
    flags = {
        "bind-address": "0.0.0.0" if with_node else settings.address,  # noqa: S104 - own namespace
        "advertise-address": settings.address,
        "secure-port": str(settings.api_port),
        "service-cluster-ip-range": settings.service_range,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "profiling": "false",
        "allow-privileged": "true",
        "enable-bootstrap-token-auth": "false",
        "client-ca-file": str(settings.pki / "ca.crt"),
        "tls-cert-file": str(settings.pki / "kube-apiserver.crt"),
        "tls-private-key-file": str(settings.pki / "kube-apiserver.key"),
        "etcd-servers": f"https://127.0.0.1:{settings.etcd_port}",
        "etcd-cafile": str(settings.pki / "ca.crt"),
        "etcd-certfile": str(settings.pki / "etcd.crt"),
        "etcd-keyfile": str(settings.pki / "etcd.key"),
        "kubelet-certificate-authority": str(settings.pki / "ca.crt"),
        "kubelet-client-certificate": str(settings.pki / "kubelet-client.crt"),
        "kubelet-client-key": str(settings.pki / "kubelet-client.key"),
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": f"https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        "service-account-key-file": str(settings.pki / "service-accounts.pub"),
        "service-account-signing-key-file": str(settings.pki / "service-accounts.key"),
        "requestheader-client-ca-file": str(settings.pki / "front-proxy-ca.crt"),
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": str(settings.pki / "front-proxy-client.crt"),
        "proxy-client-key-file": str(settings.pki / "front-proxy-client.key"),
        "enable-aggregator-routing": "true",
    }
    if not with_node:
        # The `kubernetes` Service may not have a loopback endpoint.
        flags["endpoint-reconciler-type"] = "none"
    command = settings.command("kube-apiserver", flags)
    return Program("kube-apiserver", command, after=("etcd",), probe=settings.api_probe)


def kube_controller_manager(settings: ProgramSettings, *, with_node: bool) -> Program:
    """All built-in controllers, without leader election.

    Without a node there is no kubelet to report, so a Node that a test creates would be lost, and
    its pods evicted, within a minute: the controller that does that is off.

    The HPA controller runs every 5 s instead of 15 s, so that demonstrations and tests wait less.
    """
    own = settings.client_config("kube-controller-manager")
    flags = {
        "kubeconfig": own,
        "authentication-kubeconfig": own,
        "authorization-kubeconfig": own,
        "bind-address": "127.0.0.1",
        "secure-port": str(settings.controller_port),
        "leader-elect": "false",
        "profiling": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": str(settings.pki / "service-accounts.key"),
        "root-ca-file": str(settings.pki / "ca.crt"),
        "cluster-signing-cert-file": str(settings.pki / "ca.crt"),
        "cluster-signing-key-file": str(settings.pki / "ca.key"),
        "requestheader-client-ca-file": str(settings.pki / "front-proxy-ca.crt"),
        "horizontal-pod-autoscaler-sync-period": "5s",
        "kube-api-qps": "200",
        "kube-api-burst": "400",
    }
    if not with_node:
        flags["controllers"] = "*,-node-lifecycle-controller"
    command = settings.command("kube-controller-manager", flags)
    return Program("kube-controller-manager", command, after=("kube-apiserver",))


def control_plane(settings: ProgramSettings, *, with_node: bool) -> list[Program]:
    """etcd, the API server and the controllers."""
    return [
        etcd(settings),
        kube_apiserver(settings, with_node=with_node),
        kube_controller_manager(settings, with_node=with_node),
    ]


def kube_scheduler(settings: ProgramSettings) -> Program:
    """The scheduler, without leader election."""
    own = settings.client_config("kube-scheduler")
    flags = {
        "kubeconfig": own,
        "authentication-kubeconfig": own,
        "authorization-kubeconfig": own,
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
        "profiling": "false",
    }
    return Program(
        "kube-scheduler", settings.command("kube-scheduler", flags), after=("kube-apiserver",)
    )


def containerd(settings: ProgramSettings) -> Program:
    """The container runtime; it depends on no other program and starts immediately."""
    command = (
        CONTAINERD,
        "--config",
        str(settings.config / "containerd.toml"),
        "--log-level",
        "warn",
    )
    return Program("containerd", command, probe=str(CONTAINERD_SOCKET))


def kubelet(settings: ProgramSettings) -> Program:
    """The kubelet.

    Housekeeping runs every 5 s instead of 10 s, so that autoscalers see load sooner.
    """
    flags = {
        "config": str(settings.config / "kubelet.yaml"),
        "kubeconfig": settings.client_config("kubelet"),
        "hostname-override": NODE_NAME,
        "node-ip": settings.address,
        "housekeeping-interval": "5s",
    }
    return Program(
        "kubelet",
        settings.command("kubelet", flags),
        after=("kube-apiserver", "containerd"),
        probe=f"{settings.address}:{KUBELET_PORT}",
    )


def kube_proxy(settings: ProgramSettings) -> Program:
    """kube-proxy, which implements Services with nftables in the cluster's network namespace."""
    flags = {"config": str(settings.config / "kube-proxy.yaml")}
    return Program("kube-proxy", settings.command("kube-proxy", flags), after=("kube-apiserver",))


def coredns(settings: ProgramSettings) -> Program:
    """The cluster's DNS. It runs on the node instead of in a pod, so it needs no image."""
    command = (str(settings.binary), "coredns", "-conf", str(settings.config / "Corefile"))
    after = ("kube-apiserver",)
    return Program("coredns", command, after, f"{settings.address}:53", settings.rights_gate)


def metrics_server(settings: ProgramSettings) -> Program:
    """The resource metrics for HPAs and `kubectl top`, at the shortest resolution (10 s)."""
    own = settings.client_config("metrics-server")
    flags = {
        "kubeconfig": own,
        "authentication-kubeconfig": own,
        "authorization-kubeconfig": own,
        "secure-port": str(METRICS_PORT),
        "tls-cert-file": str(settings.pki / "metrics-server.crt"),
        "tls-private-key-file": str(settings.pki / "metrics-server.key"),
        "kubelet-certificate-authority": str(settings.pki / "ca.crt"),
        "kubelet-preferred-address-types": "InternalIP",
        "metric-resolution": "10s",
        "kubelet-request-timeout": "5s",
    }
    return Program(
        "metrics-server",
        settings.command("metrics-server", flags),
        after=("kube-apiserver",),
        probe=f"{settings.address}:{METRICS_PORT}",
        gate=settings.rights_gate,
    )


def load_balancer(settings: ProgramSettings) -> Program:
    """The controller that assigns addresses to LoadBalancer Services."""
    server = f"https://{settings.address}:{settings.api_port}"
    module = (sys.executable, "-m", "local_cluster.load_balancer")
    command = (*module, server, str(settings.pki), settings.load_balancer_range)
    after = ("kube-apiserver",)
    return Program("load-balancer", command, after, gate=settings.rights_gate)


def whole_cluster(settings: ProgramSettings) -> list[Program]:
    """All programs: the control plane and one node."""
    return [
        containerd(settings),
        *control_plane(settings, with_node=True),
        kubelet(settings),
        kube_scheduler(settings),
        kube_proxy(settings),
        coredns(settings),
        metrics_server(settings),
        load_balancer(settings),
    ]
