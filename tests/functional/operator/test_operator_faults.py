"""Lost answers, lost events, refusals, crashes and failovers: the end is always the same."""

from __future__ import annotations

import base64
import functools
import itertools
import json
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.fault_proxy import Event, Faults, fault_proxy
from support.kube import Kubectl, Manifest
from support.operator_process import (
    KIND,
    Operator,
    child,
    condition,
    make_ready,
    play_kubelet,
    pods,
    present,
    service,
)
from support.poll import eventually

StartOperator = Callable[..., Operator]
KINDS = ("deployment", "service", "horizontalpodautoscaler", "poddisruptionbudget")


@pytest.fixture
def faults(identity: Path, tmp_path: Path) -> Iterator[tuple[Faults, str]]:
    """Faults to set, and a kubeconfig that leads through the proxy that has them."""
    config = yaml.safe_load(identity.read_text())
    cluster = config["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster.pop("certificate-authority-data")).decode()
    faults = Faults()
    with fault_proxy(cluster["server"], authority, faults) as address:
        cluster["server"] = address
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        yield faults, str(path)


def all_there(kubectl: Kubectl, name: str = "shapes") -> None:
    for kind in KINDS:
        eventually(lambda kind=kind: child(kubectl, kind, name), kind)  # type: ignore[misc]


def test_answers_that_are_lost(
    kubectl: Kubectl, start_operator: StartOperator, faults: tuple[Faults, str]
) -> None:
    """Every second write is carried out, and its answer never arrives."""
    fault, kubeconfig = faults
    counter = itertools.count()
    fault.lose_answer = lambda method, _: method != "GET" and next(counter) % 2 == 0
    start_operator(kubeconfig=kubeconfig, NAMESPACES=kubectl.namespace)
    kubectl.apply(service(predictor={"maxReplicas": 3}))
    all_there(kubectl)
    make_ready(kubectl)


def test_an_api_server_that_refuses_for_a_while(
    kubectl: Kubectl, start_operator: StartOperator, faults: tuple[Faults, str]
) -> None:
    fault, kubeconfig = faults
    operator = start_operator(kubeconfig=kubeconfig, NAMESPACES=kubectl.namespace)
    statuses = itertools.chain([500, 503, 429, 504, 409, 500, 502], itertools.repeat(0))
    fault.refuse = lambda method, _: next(statuses) if method in {"PATCH", "POST"} else 0
    kubectl.apply(service(predictor={"maxReplicas": 3}))
    all_there(kubectl)
    make_ready(kubectl)
    assert operator.metrics("inference_operator_reconcile_failures_total")[""] > 0
    assert "Traceback" not in operator.log()


def test_an_api_server_that_cannot_is_told(
    kubectl: Kubectl, start_operator: StartOperator, faults: tuple[Faults, str]
) -> None:
    """As when the addresses for Services are used up."""
    fault, kubeconfig = faults
    start_operator(kubeconfig=kubeconfig, NAMESPACES=kubectl.namespace)
    fault.refuse = lambda method, path: 500 * (method == "PATCH" and "/services/" in path)
    kubectl.apply(service())

    def told() -> bool:
        ready = condition(kubectl)
        assert ready.get("reason") == "ReconcileFailed", ready
        return "refused by the test" in ready["message"]

    eventually(told, "ReconcileFailed")
    fault.refuse = None
    present(kubectl, "service")
    make_ready(kubectl)


@pytest.mark.parametrize("kind", ["Deployment", "Pod", "InferenceService"])
def test_events_that_are_lost_are_made_up_for(
    kind: str, kubectl: Kubectl, start_operator: StartOperator, faults: tuple[Faults, str]
) -> None:
    """No event of one kind ever arrives; the slow second look finds out all the same."""
    fault, kubeconfig = faults

    def drop(event: Event) -> bool:
        return event["type"] != "BOOKMARK" and str(event["object"]["kind"]) == kind

    start_operator(kubeconfig=kubeconfig, NAMESPACES=kubectl.namespace, RESYNC_SECONDS="2")
    fault.drop_event = drop
    kubectl.apply(service(predictor={"maxReplicas": 3}))
    all_there(kubectl)
    make_ready(kubectl)
    old = present(kubectl, "deployment")["metadata"]["uid"]
    kubectl.run("delete", "deployment", "shapes-predictor", "--wait=false")
    eventually(
        lambda: (
            (child(kubectl, "deployment") or {"metadata": {"uid": old}})["metadata"]["uid"] != old
        ),
        "another Deployment",
    )
    make_ready(kubectl)


def blind(kubectl: Kubectl, fault: Faults) -> None:
    """A service that is ready, and from then on an operator that sees nothing."""
    kubectl.apply(service(predictor={"maxReplicas": 3}))
    all_there(kubectl)
    make_ready(kubectl)
    fault.refuse = lambda method, _: 503 if method == "GET" else 0
    before = len(fault.requests)
    fault.cut_watches()
    eventually(lambda: len(fault.requests) > before, "an attempt to go on")


def test_watches_that_break(
    kubectl: Kubectl, start_operator: StartOperator, faults: tuple[Faults, str]
) -> None:
    """They go on where they were, whatever happened meanwhile."""
    fault, kubeconfig = faults
    operator = start_operator(kubeconfig=kubeconfig, NAMESPACES=kubectl.namespace)
    blind(kubectl, fault)
    change = {"spec": {"maxReplicas": 9}}
    kubectl.run("patch", "hpa", "shapes-predictor", "--type=merge", "-p", json.dumps(change))
    kubectl.run("delete", "poddisruptionbudget", "shapes-predictor")
    fault.refuse = None
    eventually(
        lambda: present(kubectl, "horizontalpodautoscaler")["spec"]["maxReplicas"] == 3,
        "the autoscaler as it should be",
    )
    present(kubectl, "poddisruptionbudget")
    assert "restarting the watch" in operator.log()
    assert "was deleted without an event" not in operator.log()


def test_watches_that_are_too_old(
    kubectl: Kubectl, start_operator: StartOperator, faults: tuple[Faults, str]
) -> None:
    """What happened meanwhile is told by nobody; everything is listed again."""
    fault, kubeconfig = faults
    operator = start_operator(kubeconfig=kubeconfig, NAMESPACES=kubectl.namespace)
    blind(kubectl, fault)
    kubectl.run("delete", "deployment", "shapes-predictor")
    expired: list[str] = []

    def once(path: str) -> bool:
        mine = path.endswith("/deployments") and not expired
        if mine:
            expired.append(path)
        return mine

    fault.expire, fault.refuse = once, None
    present(kubectl, "deployment")
    assert len(expired) == 1
    assert "Deployment shapes-predictor was deleted without an event" in operator.log()


class OneWrite:
    """Lets one write through, whose answer is lost, and none after it."""

    def __init__(self, fault: Faults) -> None:
        self._asked = self._carried_out = False
        fault.lose_request, fault.lose_answer = self._too_late, self._last

    def _too_late(self, method: str, _: str) -> bool:
        late = method != "GET" and self._asked
        self._asked = self._asked or method != "GET"
        return late

    def _last(self, method: str, _: str) -> bool:
        self._carried_out = self._carried_out or method != "GET"
        return method != "GET"

    def came(self, operator: Operator) -> bool | None:
        """True when the write was carried out, False when there is none to come, else None."""
        if self._carried_out:
            return True
        passes = operator.metrics("inference_operator_reconciles_total")[""]
        return False if passes >= 3 and not self._asked else None


def test_a_crash_after_every_write(
    kubectl: Kubectl, start_operator: StartOperator, faults: tuple[Faults, str]
) -> None:
    """The operator is killed after every single write, until nothing is left to write."""
    fault, kubeconfig = faults
    kubectl.apply(service(predictor={"minReplicas": 2, "maxReplicas": 3}))
    settings = {
        "kubeconfig": kubeconfig,
        "NAMESPACES": kubectl.namespace,
        "RESYNC_SECONDS": "1",
    }
    lives, idle = 0, False
    while not idle:
        write = OneWrite(fault)
        operator = start_operator(**settings)
        (idle,) = eventually(
            lambda write=write, operator=operator: (  # type: ignore[misc]
                None if (came := write.came(operator)) is None else (not came,)
            ),
            "a write, or three passes without one",
        )
        assert operator.stop(signal.SIGKILL) == -signal.SIGKILL
        lives += 1
        assert lives < 25, fault.requests
    # Four children, a status and a life without a write; the autoscaler may set the replicas.
    assert lives >= 6, fault.requests
    fault.lose_request = fault.lose_answer = None
    start_operator(**settings)
    all_there(kubectl)
    make_ready(kubectl)
    for kind in KINDS:
        assert len(kubectl.objects(kind)) == 1


def test_two_replicas_of_which_one_works(
    kubectl: Kubectl, start_operator: StartOperator, cluster: Kubectl
) -> None:
    settings = {
        "NAMESPACES": kubectl.namespace,
        "LEADER_ELECT": "true",
        # Long enough that a machine with better things to do does not lose it for us.
        "LEASE_SECONDS": "15",
    }
    cluster.in_namespace("inference-operator-system").run(
        "delete", "lease", "inference-operator", "--ignore-not-found"
    )
    first = start_operator(**settings, IDENTITY="first")
    eventually(first.leads, "the first leads")
    second = start_operator(**settings, IDENTITY="second")
    kubectl.apply(service(predictor={"maxReplicas": 3}))
    all_there(kubectl)
    make_ready(kubectl)
    assert first.leads()
    assert not second.leads()
    assert second.metrics("inference_operator_services") == {"": 1.0}, "it watches all the same"

    # A crash: the Lease has to run out first.
    first.stop(signal.SIGKILL)
    kubectl.run("delete", "service", "shapes-predictor", "--wait=false")
    eventually(second.leads, "the second leads")
    eventually(lambda: child(kubectl, "service"), "the Service put back")

    # A farewell: the Lease is handed over at once.
    third = start_operator(**settings, IDENTITY="third")
    assert not third.leads()
    assert second.stop() == 0
    eventually(third.leads, "the third leads")
    kubectl.patch(KIND, "shapes", {"spec": {"predictor": {"maxReplicas": 4}}})

    def raised() -> bool:
        return bool(present(kubectl, "horizontalpodautoscaler")["spec"]["maxReplicas"] == 4)

    eventually(raised, "the change carried out")


def test_a_quota_is_told_and_overcome(kubectl: Kubectl, start_operator: StartOperator) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }
    kubectl.apply(quota)
    start_operator(NAMESPACES=kubectl.namespace)
    kubectl.apply(service())

    def told() -> bool:
        ready = condition(kubectl)
        assert ready.get("reason") == "QuotaExceeded", ready
        return "exceeded quota: none" in ready["message"]

    eventually(told, "QuotaExceeded")
    kubectl.run("delete", "resourcequota", "none")
    kubectl.run("delete", "replicasets", "--all")  # its next attempt would come in minutes
    make_ready(kubectl)


def crashed(reason: str, message: str) -> Manifest:
    ended = {"exitCode": 1, "reason": "Error", "message": f"{reason}: {message}"}
    container = {
        "name": "model-server", "image": "x", "imageID": "", "ready": False, "restartCount": 1,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": ended},
    }  # fmt: skip
    ready = {"type": "Ready", "status": "False"}
    scheduled = {"type": "PodScheduled", "status": "True"}
    return {"conditions": [scheduled, ready], "containerStatuses": [container]}


def test_a_failing_pod_is_told_once(kubectl: Kubectl, start_operator: StartOperator) -> None:
    start_operator(NAMESPACES=kubectl.namespace)
    kubectl.apply(service())
    (pod,) = eventually(lambda: pods(kubectl), "a pod")
    play_kubelet(kubectl, pod, **crashed("InvalidModel", "no model in it"))
    eventually(lambda: condition(kubectl).get("reason") == "InvalidModel", "told")
    ready = condition(kubectl)
    assert pod["metadata"]["name"] in ready["message"]
    version = (kubectl.get(KIND, "shapes") or {})["metadata"]["resourceVersion"]
    running: dict[str, Any] = crashed("InvalidModel", "no model in it")
    running["containerStatuses"][0] |= {"state": {"running": {}}, "restartCount": 2}
    play_kubelet(kubectl, pod, **running)
    make_ready(kubectl)
    assert (kubectl.get(KIND, "shapes") or {})["metadata"]["resourceVersion"] != version
    selector = "involvedObject.kind=InferenceService"
    events = kubectl.run("get", "events", "--field-selector", selector, "-o", "yaml")
    reasons = [(e["type"], e["reason"]) for e in yaml.safe_load(events)["items"]]
    assert sorted(reasons) == [("Normal", "Ready"), ("Warning", "InvalidModel")]


CHOICES: dict[str, list[Any]] = {
    "minReplicas": [None, 1, 2],
    "maxReplicas": [None, 3, 4],
    "timeout": [None, 5],
    "nodeSelector": [None, {"a": "b"}, {"c": "d"}],
    "tolerations": [None, [{"operator": "Exists"}], [{"key": "a"}, {"key": "b"}]],
    "deploymentStrategy": [None, {"type": "Recreate"}, {"rollingUpdate": {"maxSurge": 1}}],
    "scaleTarget": [None, 50],
    "labels": [None, {"x": "1"}, {"y": "2"}],
    "model": [
        None,
        {"storageUri": "https://example.com/m.zip"},
        {"storageUri": "pvc://models/m", "env": [{"name": "A", "value": "1"}]},
        {"env": [{"name": "B", "value": "2"}], "resources": {"limits": {"cpu": "0.5"}}},
    ],
}


def wanted_of(kubectl: Kubectl, kind: str, name: str) -> Manifest | None:
    """What a child asks for, without what differs between two services by nature."""
    found = child(kubectl, kind, name)
    if found is None:
        return None
    text = yaml.safe_dump(found["spec"]).replace(name, "NAME")
    spec: Manifest = yaml.safe_load(text)
    for key in ("clusterIP", "clusterIPs"):
        spec.pop(key, None)
    labels = spec.get("template", {}).get("metadata", {}).get("labels", {})
    labels.pop("inference-operator.dev/revision", None)
    return spec


def test_the_way_does_not_matter(kubectl: Kubectl, start_operator: StartOperator) -> None:
    """What a chain of changes leads to is what the last of them leads to from scratch."""
    start_operator(NAMESPACES=kubectl.namespace)
    chance = random.Random(20260101)
    for step in range(8):
        drawn = {key: chance.choice(values) for key, values in CHOICES.items()}
        predictor = {key: value for key, value in drawn.items() if value is not None}
        fresh = f"fresh-{step}"
        kubectl.apply(service("walked", predictor), service(fresh, predictor))
        probe = functools.partial(same_children, kubectl, fresh)
        eventually(probe, f"step {step}: {predictor}")


def same_children(kubectl: Kubectl, fresh: str) -> bool:
    """Whether `walked` has the children that `fresh` has."""
    for kind in KINDS:
        walked, straight = (wanted_of(kubectl, kind, name) for name in ("walked", fresh))
        if walked and straight and child(kubectl, "horizontalpodautoscaler", fresh):
            # The autoscaler's number has a history.
            walked.pop("replicas", None)
            straight.pop("replicas", None)
        assert walked == straight, kind
    return wanted_of(kubectl, "deployment", fresh) is not None


def test_a_deleted_crd_ends_the_operator_in_one_line(
    kubectl: Kubectl, start_operator: StartOperator, cluster: Kubectl
) -> None:
    definition = (Path(__file__).parents[3] / "crds" / "inferenceservices.yaml").read_text()
    operator = start_operator(NAMESPACES=kubectl.namespace)
    kubectl.apply(service())
    present(kubectl, "deployment")
    try:
        cluster.run("delete", "crd", KIND, "--timeout=60s")
        assert operator.ended() == 1
    finally:
        cluster.apply(definition)
        cluster.run("wait", "--for=condition=Established", f"crd/{KIND}", "--timeout=30s")
        eventually(lambda: cluster.try_run("get", KIND).returncode == 0, "the API is back")
    log = operator.log()
    assert "Traceback" not in log
    (line,) = [line for line in log.splitlines() if line.startswith("inference-operator: ")]
    assert "inferenceservices.inference-operator.dev was deleted" in line
    assert "kubectl apply" in line
    errors = [one for one in log.splitlines() if " ERROR " in one]
    assert not errors


def test_two_installations_that_serve_one_resource_notice_each_other(
    kubectl: Kubectl, start_operator: StartOperator
) -> None:
    """They differ in what the status should be, and each puts it right: that must not go on."""
    operators = [
        start_operator(NAMESPACES=kubectl.namespace, CLUSTER_DOMAIN=domain)
        for domain in ("cluster.local", "corp.local")
    ]
    kubectl.apply(service())

    def told() -> bool:
        contests = [one.metrics("inference_operator_status_contests_total") for one in operators]
        return sum(one[""] for one in contests) > 0

    eventually(told, "a contest")
    contested = next(one for one in operators if "second installation" in one.log())
    assert "INFERENCE_OPERATOR_NAMESPACES" in contested.log()
    selector = "involvedObject.kind=InferenceService,reason=StatusContested"
    events = kubectl.run("get", "events", "--field-selector", selector, "-o", "name").split()
    assert 1 <= len(events) <= 2, "each tells of it once"
