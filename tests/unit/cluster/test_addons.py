"""The objects that complete a cluster."""

from __future__ import annotations

import base64
import ipaddress
from typing import TYPE_CHECKING

from local_cluster.addons import (
    dns_objects,
    kind_metrics_objects,
    load_balancer_rights,
    metrics_objects,
)
from local_cluster.api import path_of
from local_cluster.network import Network

if TYPE_CHECKING:
    from local_cluster.api import Manifest

NETWORK = Network(ipaddress.IPv4Network("10.64.4.0/22"))
OWN = [*dns_objects(NETWORK), *load_balancer_rights(), *metrics_objects(NETWORK, b"PEM")]


def one(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    found = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name]
    assert len(found) == 1
    return found[0]


def test_dns_has_the_address_that_pods_are_told() -> None:
    service = one(OWN, "Service", "kube-dns")
    assert service["spec"]["clusterIP"] == "10.64.5.10"
    assert [port["protocol"] for port in service["spec"]["ports"]] == ["UDP", "TCP"]


def test_services_of_the_nodes_programs_lead_to_the_node() -> None:
    for name in ("kube-dns", "metrics-server"):
        slice_ = one(OWN, "EndpointSlice", f"{name}-node")
        assert slice_["endpoints"][0]["addresses"] == ["10.64.7.2"]
        assert slice_["metadata"]["labels"]["kubernetes.io/service-name"] == name
        service = one(OWN, "Service", name)
        assert "selector" not in service["spec"]
        assert [p["name"] for p in slice_["ports"]] == [p["name"] for p in service["spec"]["ports"]]


def test_the_metrics_api_is_verified() -> None:
    spec = one(OWN, "APIService", "v1beta1.metrics.k8s.io")["spec"]
    assert base64.b64decode(spec["caBundle"]) == b"PEM"
    assert "insecureSkipTLSVerify" not in spec


def test_no_right_is_a_wildcard() -> None:
    for manifest in [*OWN, *kind_metrics_objects()]:
        for rule in manifest.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_every_binding_is_to_a_role_that_is_made_here_or_built_in() -> None:
    built_in = {"system:auth-delegator", "extension-apiserver-authentication-reader"}
    for manifests in (OWN, kind_metrics_objects()):
        made = {m["metadata"]["name"] for m in manifests if m["kind"] == "ClusterRole"}
        bound = {m["roleRef"]["name"] for m in manifests if m["kind"].endswith("Binding")}
        assert bound <= made | built_in


def test_kind_runs_metrics_server_as_a_restricted_pod() -> None:
    manifests = kind_metrics_objects()
    pod = one(manifests, "Deployment", "metrics-server")["spec"]["template"]
    container = pod["spec"]["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    service = one(manifests, "Service", "metrics-server")
    assert service["spec"]["selector"] == pod["metadata"]["labels"]


def test_paths_of_objects() -> None:
    paths = {path_of(manifest) for manifest in OWN}
    assert "/api/v1/namespaces/kube-system/services/kube-dns" in paths
    assert "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-node" in paths
    assert "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io" in paths
    assert "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:coredns" in paths
    assert len(paths) == len(OWN)
