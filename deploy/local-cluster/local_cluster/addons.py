"""The objects of the add-ons: DNS, metrics, load balancers and their RBAC. Pure.

DNS and metrics run on the node, so their Services have no selector but an EndpointSlice with the
node's address.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from local_cluster.programs import METRICS_PORT

if TYPE_CHECKING:
    from local_cluster.api import Manifest
    from local_cluster.network import Network

SYSTEM = "kube-system"
RBAC = "rbac.authorization.k8s.io"
METRICS_VERSION = "v0.9.0"
METRICS_IMAGE = f"registry.k8s.io/metrics-server/metrics-server:{METRICS_VERSION}"
DNS_PORTS = ({"name": "dns", "protocol": "UDP"}, {"name": "dns-tcp", "protocol": "TCP"})


def _metadata(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "labels": {"app.kubernetes.io/managed-by": "local-cluster"} | (labels or {}),
    }


def _role(name: str, rules: list[dict[str, Any]], labels: dict[str, str] | None = None) -> Manifest:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": _metadata(name, labels),
        "rules": rules,
    }


def user(name: str) -> dict[str, str]:
    """A user, as the subject of a binding."""
    return {"apiGroup": RBAC, "kind": "User", "name": name}


def service_account(name: str) -> dict[str, str]:
    """A service account of the system namespace, as the subject of a binding."""
    return {"kind": "ServiceAccount", "name": name, "namespace": SYSTEM}


def _binding(name: str, role: str, subject: dict[str, str], *, namespace: str = "") -> Manifest:
    """Bind a subject to a ClusterRole, or to a Role in a namespace."""
    prefix = "" if namespace else "Cluster"
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": f"{prefix}RoleBinding",
        "metadata": _metadata(name) | ({"namespace": namespace} if namespace else {}),
        "roleRef": {"apiGroup": RBAC, "kind": f"{prefix}Role", "name": role},
        "subjects": [subject],
    }


def _rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _service(name: str, ports: list[dict[str, Any]], address: str | None = None) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name, {"k8s-app": name}) | {"namespace": SYSTEM},
        "spec": {"ports": ports} | ({"clusterIP": address} if address else {}),
    }


def _endpoints(service: str, ports: list[dict[str, Any]], address: str) -> Manifest:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": _metadata(f"{service}-node", {"kubernetes.io/service-name": service})
        | {"namespace": SYSTEM},
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


def dns_objects(network: Network) -> list[Manifest]:
    """RBAC of CoreDNS, and the Service `kube-dns`."""
    name = "system:coredns"
    watch = ["list", "watch"]
    rules = [
        _rule("", ["services", "pods", "namespaces", "nodes"], watch),
        _rule("discovery.k8s.io", ["endpointslices"], watch),
    ]
    ports = [{**port, "port": 53} for port in DNS_PORTS]
    return [
        _role(name, rules),
        _binding(name, name, user(name)),
        _service("kube-dns", ports, network.dns_service),
        _endpoints("kube-dns", ports, network.node),
    ]


def load_balancer_rights() -> list[Manifest]:
    """RBAC of the load balancer controller."""
    name = "system:load-balancer"
    rules = [
        _rule("", ["services"], ["list", "watch"]),
        _rule("", ["services/status"], ["patch"]),
    ]
    return [_role(name, rules), _binding(name, name, user(name))]


def metrics_rights(subject: dict[str, str]) -> list[Manifest]:
    """RBAC of metrics-server and of its readers.

    Args:
        subject: identity of metrics-server: a `user` or a `service_account`.
    """
    name = "system:metrics-server"
    rules = [
        _rule("", ["nodes/metrics"], ["get"]),
        _rule("", ["pods", "nodes", "namespaces"], ["get", "list", "watch"]),
    ]
    aggregate = "rbac.authorization.k8s.io/aggregate-to-"
    reader = _role(
        "system:aggregated-metrics-reader",
        [_rule("metrics.k8s.io", ["pods", "nodes"], ["get", "list", "watch"])],
        {f"{aggregate}{role}": "true" for role in ("view", "edit", "admin")},
    )
    authentication = "extension-apiserver-authentication-reader"
    return [
        _role(name, rules),
        reader,
        _binding(name, name, subject),
        _binding(f"{name}:auth-delegator", "system:auth-delegator", subject),
        _binding("metrics-server-auth-reader", authentication, subject, namespace=SYSTEM),
    ]


def _metrics_api(trust: dict[str, Any]) -> Manifest:
    version = "v1beta1"
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": _metadata(f"{version}.metrics.k8s.io"),
        "spec": {
            "group": "metrics.k8s.io",
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": "metrics-server", "namespace": SYSTEM, "port": 443},
            **trust,
        },
    }


def metrics_objects(network: Network, authority: bytes) -> list[Manifest]:
    """The metrics API of the metrics-server on the node.

    Args:
        network: the cluster's addresses.
        authority: CA certificate of metrics-server (PEM).
    """
    port = {"name": "https", "protocol": "TCP"}
    return [
        *metrics_rights(user("system:metrics-server")),
        _service("metrics-server", [{**port, "port": 443, "targetPort": METRICS_PORT}]),
        _endpoints("metrics-server", [{**port, "port": METRICS_PORT}], network.node),
        _metrics_api({"caBundle": base64.b64encode(authority).decode()}),
    ]


def kind_metrics_objects() -> list[Manifest]:
    """metrics-server as a Deployment, for kind. Its image is pulled.

    kind's kubelets have self-signed certificates, so they are not verified.
    """
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata("metrics-server") | {"namespace": SYSTEM},
    }
    port = {"name": "https", "protocol": "TCP", "port": 443, "targetPort": METRICS_PORT}
    service = _service("metrics-server", [port])
    service["spec"]["selector"] = {"k8s-app": "metrics-server"}
    return [
        account,
        *metrics_rights(service_account("metrics-server")),
        service,
        _metrics_deployment(),
        _metrics_api({"insecureSkipTLSVerify": True}),
    ]


def _metrics_container() -> dict[str, Any]:
    return {
        "name": "metrics-server",
        "image": METRICS_IMAGE,
        "args": [
            f"--secure-port={METRICS_PORT}",
            "--cert-dir=/tmp",
            "--kubelet-insecure-tls",
            "--kubelet-preferred-address-types=InternalIP",
            "--metric-resolution=15s",
        ],
        "ports": [{"name": "https", "containerPort": METRICS_PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "https", "scheme": "HTTPS"},
            "periodSeconds": 5,
        },
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - in the container
    }


def _metrics_deployment() -> Manifest:
    labels = {"k8s-app": "metrics-server"}
    pod = {
        "serviceAccountName": "metrics-server",
        "priorityClassName": "system-cluster-critical",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_metrics_container()],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata("metrics-server", labels) | {"namespace": SYSTEM},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
