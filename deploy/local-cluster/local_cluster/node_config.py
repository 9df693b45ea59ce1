"""The configuration files of the node's programs. Pure.

Comments give the reason where a setting differs from a production node.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from local_cluster.node import CONTAINERD_ROOT, CONTAINERD_SOCKET, CONTAINERD_STATE
from local_cluster.programs import CLUSTER_DOMAIN, NODE_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from local_cluster.network import Network

PAUSE_IMAGE = "inference-operator.dev/pause:1"


# Images are imported and cannot be pulled again, and the host owns memory and disk: never collect
# images, never evict pods.
KEEP_EVERYTHING: dict[str, Any] = {
    "imageGCHighThresholdPercent": 100,
    "imageGCLowThresholdPercent": 99,
    "evictionHard": dict.fromkeys(
        ("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available"), "0%"
    ),
}


@dataclass(frozen=True)
class NodeSettings:
    """Input of the node's configuration.

    Attributes:
        pki: folder of certificates.
        config: folder the rendered files are in.
        network: the cluster's addresses.
        mtu: MTU of the host's default route, in bytes.
        cgroup: control group that contains all pods.
        cni_binaries: folder of the CNI plugins.
        snapshotter: containerd's snapshotter: `overlayfs`, or `native` where the file system does
            not support overlays.
        may_raise_oom_score: whether root may protect processes from the OOM killer.
    """

    pki: Path
    config: Path
    network: Network
    mtu: int
    cgroup: str
    cni_binaries: Path
    snapshotter: str
    may_raise_oom_score: bool


def kubelet_configuration(settings: NodeSettings) -> str:
    """The KubeletConfiguration (kubelet.config.k8s.io/v1beta1)."""
    configuration: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",  # noqa: S104 - in a network namespace of its own
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(settings.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(settings.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(settings.pki / "kubelet.key"),
        "clusterDomain": CLUSTER_DOMAIN,
        "clusterDNS": [settings.network.dns_service],
        "resolvConf": str(settings.config / "resolv.conf"),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "seccompDefault": True,
        "oomScoreAdj": -999 if settings.may_raise_oom_score else 0,
        "enforceNodeAllocatable": ["pods"],
        "maxPods": 200,
        # The host manages its own iptables rules; kube-proxy uses nftables.
        "makeIPTablesUtilChains": False,
        **KEEP_EVERYTHING,
        "containerLogMaxSize": "10Mi",
        "containerLogMaxFiles": 2,
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": "/run/kubelet-volume-plugins",
        "shutdownGracePeriod": "0s",
        "nodeStatusUpdateFrequency": "10s",
    }
    return yaml.safe_dump(configuration, sort_keys=False)


def kube_proxy_configuration(settings: NodeSettings, kubeconfig: Path) -> str:
    """The KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1)."""
    untouched = {
        # The connection table belongs to the host.
        "maxPerCore": 0,
        "min": 0,
        "tcpEstablishedTimeout": "0s",
        "tcpCloseWaitTimeout": "0s",
    }
    configuration: dict[str, Any] = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": NODE_NAME,
        "mode": "nftables",
        "detectLocalMode": "ClusterCIDR",
        "clusterCIDR": str(settings.network.pods),
        "conntrack": untouched,
        "oomScoreAdj": None if settings.may_raise_oom_score else 0,
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "127.0.0.1:10256",
    }
    return yaml.safe_dump(
        {k: v for k, v in configuration.items() if v is not None}, sort_keys=False
    )


def containerd_configuration(settings: NodeSettings) -> str:
    """The configuration of containerd, format version 2 (containerd 1.6 and 1.7).

    AppArmor is disabled: its profiles would be loaded into the host's kernel and remain there.
    """
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{CONTAINERD_ROOT}"
state = "{CONTAINERD_STATE}"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[{cri}]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = {str(not settings.may_raise_oom_score).lower()}
  disable_apparmor = true
  [{cri}.cni]
    bin_dir = "{settings.cni_binaries}"
    conf_dir = "{settings.config / "cni"}"
  [{cri}.containerd]
    snapshotter = "{settings.snapshotter}"
    default_runtime_name = "runc"
  [{cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [{cri}.containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def cni_configuration(settings: NodeSettings) -> str:
    """The pod network: one routed veth pair per pod.

    Not a bridge: connection tracking, and with it Services, would need br_netfilter.
    """
    point_to_point = {
        "type": "ptp",
        "ipMasq": False,
        "mtu": settings.mtu,
        "ipam": {
            "type": "host-local",
            "dataDir": "/var/lib/cni/networks",
            "ranges": [[{"subnet": str(settings.network.pods)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    host_ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    configuration = {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [point_to_point, host_ports],
    }
    return json.dumps(configuration, indent=2) + "\n"


def upstream_resolvers(resolv_conf: str) -> list[str]:
    """The name servers of a resolv.conf that are reachable from another network namespace.

    Resolvers on loopback (systemd-resolved, dnsmasq) are not.
    """
    servers = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = ipaddress.ip_address(words[1].partition("%")[0])
        except ValueError:
            continue
        if not address.is_loopback and not address.is_link_local and address.version == 4:
            servers.append(str(address))
    return servers


def corefile(kubeconfig: Path, upstream: list[str]) -> str:
    """The configuration of CoreDNS: cluster names, and the host's resolvers for all others."""
    forward = f"  forward . {' '.join(upstream)}\n" if upstream else ""
    return f""".:53 {{
  errors
  health 127.0.0.1:8080
  ready 127.0.0.1:8181
  kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
    kubeconfig {kubeconfig}
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
  }}
{forward}  cache 30
}}
"""
