"""Configuration of the node's programs, read back by parsers of their formats."""

from __future__ import annotations

import ipaddress
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cluster import node_config
from local_cluster.network import Network
from local_cluster.node_config import NodeSettings

NETWORK = Network(ipaddress.IPv4Network("10.64.4.0/22"))


def site(**changes: Any) -> NodeSettings:
    settings: dict[str, Any] = {
        "pki": Path("/c/pki"),
        "config": Path("/c/config"),
        "network": NETWORK,
        "mtu": 1400,
        "cgroup": "iop-0badcafe",
        "cni_binaries": Path("/usr/lib/cni"),
        "snapshotter": "overlayfs",
        "may_raise_oom_score": False,
    }
    return NodeSettings(**(settings | changes))


def test_kubelet_keeps_pods_below_the_clusters_own_group() -> None:
    kubelet = yaml.safe_load(node_config.kubelet_configuration(site()))
    assert kubelet["cgroupRoot"] == "/iop-0badcafe"
    assert kubelet["cgroupDriver"] == "cgroupfs"
    assert kubelet["clusterDNS"] == ["10.64.5.10"]


def test_kubelet_asks_who_calls_and_confines_system_calls() -> None:
    kubelet = yaml.safe_load(node_config.kubelet_configuration(site()))
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}
    assert kubelet["authorization"] == {"mode": "Webhook"}
    assert kubelet["seccompDefault"] is True


def test_kubelet_never_evicts_for_the_machines_own_use_of_memory_and_disk() -> None:
    kubelet = yaml.safe_load(node_config.kubelet_configuration(site()))
    assert set(kubelet["evictionHard"].values()) == {"0%"}
    assert kubelet["imageGCHighThresholdPercent"] == 100


@pytest.mark.parametrize(("may", "score"), [(True, -999), (False, 0)])
def test_nobody_asks_for_protection_that_root_here_cannot_give(*, may: bool, score: int) -> None:
    node = site(may_raise_oom_score=may)
    assert yaml.safe_load(node_config.kubelet_configuration(node))["oomScoreAdj"] == score
    containerd = tomllib.loads(node_config.containerd_configuration(node))
    cri = containerd["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["restrict_oom_score_adj"] is not may


def test_kube_proxy_uses_nftables_and_leaves_the_connection_table_alone() -> None:
    text = node_config.kube_proxy_configuration(site(), Path("/c/kube-proxy.kubeconfig"))
    proxy = yaml.safe_load(text)
    assert proxy["mode"] == "nftables"
    assert proxy["clusterCIDR"] == "10.64.4.0/24"
    assert proxy["conntrack"]["maxPerCore"] == proxy["conntrack"]["min"] == 0


def test_containerd_unpacks_as_the_file_system_allows() -> None:
    for snapshotter in ("overlayfs", "native"):
        text = node_config.containerd_configuration(site(snapshotter=snapshotter))
        cri = tomllib.loads(text)["plugins"]["io.containerd.grpc.v1.cri"]
        assert cri["containerd"]["snapshotter"] == snapshotter
        assert cri["sandbox_image"] == node_config.PAUSE_IMAGE
        assert cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": "/c/config/cni"}
        assert cri["disable_apparmor"] is True


def test_pods_get_addresses_of_their_range_and_packets_that_fit() -> None:
    pod = json.loads(node_config.cni_configuration(site()))["plugins"][0]
    assert pod["ipam"]["ranges"] == [[{"subnet": "10.64.4.0/24"}]]
    assert pod["mtu"] == 1400
    assert pod["ipMasq"] is False


def test_only_resolvers_that_the_cluster_can_reach_are_asked() -> None:
    text = (
        "# comment\nsearch example\nnameserver 127.0.0.53\nnameserver 192.0.2.53\n"
        "nameserver fe80::1%eth0\nnameserver nonsense\nnameserver\nnameserver 198.51.100.7\n"
    )
    assert node_config.upstream_resolvers(text) == ["192.0.2.53", "198.51.100.7"]


def test_corefile_with_and_without_resolvers() -> None:
    path = Path("/c/coredns.kubeconfig")
    assert (
        node_config.corefile(path, ["192.0.2.53"])
        == """.:53 {
  errors
  health 127.0.0.1:8080
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig /c/coredns.kubeconfig
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
  }
  forward . 192.0.2.53
  cache 30
}
"""
    )
    assert "forward" not in node_config.corefile(path, [])
