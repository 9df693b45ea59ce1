"""The real cluster for the e2e tests: a guarded context, a namespace a test, a dump on failure."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kube import Kubectl, KubectlError
from support.poll import eventually

ROOT = Path(__file__).parents[2]
SHARED_DATA = ROOT.parent / "shared" / "data"
OPERATOR_NAMESPACE = "inference-operator-system"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def cluster() -> Kubectl:
    """The cluster that `make cluster-up` made; any other is refused unless it is named."""
    own = ROOT / ".cluster" / "kubeconfig"
    named = os.environ.get("E2E_KUBECONFIG")
    kubeconfig = Path(named) if named else own
    assert kubeconfig.is_file(), (
        f"{kubeconfig} is not there: run `make cluster-up deploy` first, or name a cluster that "
        "these tests may use with E2E_KUBECONFIG"
    )
    kubectl = Kubectl(kubeconfig.resolve())
    kubectl.run("get", "crd", "inferenceservices.inference-operator.dev")
    return kubectl


@pytest.fixture(scope="session")
def images(cluster: Kubectl) -> dict[str, str]:
    """The images that the installed operator gives to model servers."""
    deployment = cluster.in_namespace(OPERATOR_NAMESPACE).get("deployment", "inference-operator")
    assert deployment, "the operator is not installed: run `make deploy`"
    environment = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    by_name = {entry["name"]: entry.get("value", "") for entry in environment}
    return {
        "litert": by_name["INFERENCE_OPERATOR_MODEL_SERVER_IMAGE"],
        "tensorflow": by_name["INFERENCE_OPERATOR_MODEL_SERVER_TENSORFLOW_IMAGE"],
    }


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The public pictures and models beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("../shared/data, the public pictures and models, is not on this machine")
    return SHARED_DATA


@pytest.fixture
def operator_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold the operator: shared by all tests, exclusively by those that stop it."""
    alone = request.node.get_closest_marker("stops_operator") is not None
    with (ROOT / ".cluster" / "operator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


@pytest.fixture
def kubectl(
    cluster: Kubectl, operator_running: None, request: pytest.FixtureRequest
) -> Iterator[Kubectl]:
    """A namespace of this test's own that enforces the `restricted` Pod Security Standard."""
    name = f"e2e-{secrets.token_hex(4)}"
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        }
    )
    kubectl = cluster.in_namespace(name)
    # Pods need the namespace's own service account, which its controller makes a moment later.
    eventually(lambda: kubectl.get("serviceaccount", "default"), "default service account")
    yield kubectl
    report = getattr(request.node, "report_of_call", None)
    if report is not None and report.failed:
        dump(kubectl, request.node.name)
    cluster.run("delete", "namespace", name, "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.when == "call":
        item.report_of_call = report  # type: ignore[attr-defined]
    return report  # type: ignore[return-value]


def dump(kubectl: Kubectl, title: str) -> None:
    """Print what a person would look at after a failure."""
    operator = kubectl.in_namespace(OPERATOR_NAMESPACE)
    looks = [
        (kubectl, ["get", "inferenceservices", "-o", "yaml"]),
        (kubectl, ["get", "all,hpa,events"]),
        (kubectl, ["describe", "pods"]),
        (kubectl, ["logs", "-l", "app.kubernetes.io/name=model-server", "--tail=50", "--prefix"]),
        (operator, ["logs", "deployment/inference-operator", "--tail=80"]),
    ]
    print(f"\n===== state of the cluster after {title} failed")
    for where, command in looks:
        try:
            print(f"--- kubectl {' '.join(command)}\n{where.run(*command)}")
        except KubectlError as error:
            print(f"--- {error}")
