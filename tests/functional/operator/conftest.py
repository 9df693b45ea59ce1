"""The operator as a process against a real API server with its controllers, but without nodes.

It runs with the token of its own ServiceAccount, so every test also proves that its RBAC is
enough. What kubelet would write into the status of a pod the tests write themselves, through the
same API.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.control_plane import control_plane, operator_kubeconfig
from support.kube import Kubectl
from support.operator_process import NODE, Operator
from support.poll import eventually


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            # One control plane for all of them.
            item.add_marker(pytest.mark.xdist_group("control_plane"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """An API server of our own, with the resource and the operator's rights installed."""
    with control_plane(tmp_path_factory.mktemp("control-plane") / "cluster") as kubectl:
        kubectl.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        yield kubectl


@pytest.fixture(scope="session")
def identity(cluster: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig that is the operator's ServiceAccount."""
    return operator_kubeconfig(cluster, tmp_path_factory.mktemp("identity") / "kubeconfig")


StartOperator = Callable[..., Operator]


@pytest.fixture
def start_operator(identity: Path, tmp_path: Path) -> Iterator[StartOperator]:
    """Start operators; those that still run are stopped after the test."""
    started: list[Operator] = []

    def start(**settings: str) -> Operator:
        kubeconfig = Path(settings.pop("kubeconfig", str(identity)))
        one = Operator(kubeconfig, tmp_path / f"operator-{len(started)}.log", **settings)
        started.append(one)
        return one

    yield start
    for one in started:
        one.stop()
        print(one.log())


@pytest.fixture
def kubectl(cluster: Kubectl) -> Iterator[Kubectl]:
    """A namespace of this test's own."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.run("create", "namespace", name)
    kubectl = cluster.in_namespace(name)
    eventually(lambda: kubectl.get("serviceaccount", "default"), "default service account")
    yield kubectl
    cluster.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
def operator(start_operator: StartOperator, kubectl: Kubectl) -> Operator:
    """An operator that serves only this test's namespace."""
    return start_operator(NAMESPACES=kubectl.namespace)
