"""Ready is told only of services that answer, and whatever stands in the way is named.

Each situation comes from a report of users: something else has the child's name, a pod left its
Service, an object cannot go away, a policy refuses.
"""

from __future__ import annotations

from typing import Any

import pytest

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

COMPONENT = "app.kubernetes.io/component"


def url(kubectl: Kubectl) -> str | None:
    found = kubectl.get(KIND, "shapes") or {}
    answer: str | None = found.get("status", {}).get("url")
    return answer


def not_ready(kubectl: Kubectl, reason: str, *says: str) -> None:
    """Wait until the service is not Ready for this reason, without a URL."""

    def told() -> bool:
        ready = condition(kubectl)
        assert (ready.get("status"), ready.get("reason")) == ("False", reason), ready
        for words in says:
            assert words in ready["message"], ready
        return url(kubectl) is None

    eventually(told, reason)


def run_every_pod(kubectl: Kubectl) -> None:
    def up() -> bool:
        found = pods(kubectl)
        for pod in found:
            play_kubelet(kubectl, pod)
        return bool(found)

    eventually(up, "the pods run")


def foreign_service(kubectl: Kubectl, **spec: Any) -> None:
    body: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "shapes-predictor"},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": "http"}], **spec},
    }
    kubectl.apply(body)


@pytest.mark.parametrize("spec", [{"selector": {"app": "theirs"}}, {}])
def test_a_service_of_somebody_else_is_named_and_never_taken_over(
    kubectl: Kubectl, operator: Operator, spec: dict[str, Any]
) -> None:
    foreign_service(kubectl, **spec)
    kubectl.apply(service())
    run_every_pod(kubectl)
    not_ready(kubectl, "NameTaken", "the Service shapes-predictor", "belongs to nobody")
    kubectl.run("delete", KIND, "shapes")
    left = kubectl.get("service", "shapes-predictor") or {}
    assert left["spec"].get("selector") == spec.get("selector")
    assert "ownerReferences" not in left["metadata"]


def test_a_quota_that_refuses_the_service_is_not_ready(
    kubectl: Kubectl, operator: Operator
) -> None:
    kubectl.run("create", "quota", "none", "--hard=count/services=0")
    kubectl.apply(service())
    run_every_pod(kubectl)
    not_ready(kubectl, "QuotaExceeded", "count/services")
    kubectl.run("delete", "quota", "none")
    make_ready(kubectl)
    assert url(kubectl)


@pytest.mark.parametrize("label", [COMPONENT, "inference-operator.dev/inferenceservice"])
def test_a_pod_that_left_the_service_does_not_count(
    kubectl: Kubectl, operator: Operator, label: str
) -> None:
    kubectl.apply(service())
    make_ready(kubectl)
    (pod,) = pods(kubectl)
    kubectl.run("create", "quota", "full", "--hard=pods=1")
    kubectl.run("label", "pod", pod["metadata"]["name"], f"{label}-")
    eventually(lambda: condition(kubectl)["status"] == "False", "no pod is left")
    assert url(kubectl) is None
    events = kubectl.objects("events")
    told = [e for e in events if e["involvedObject"]["kind"] == "InferenceService"]
    assert any(e["type"] == "Warning" for e in told), [e["reason"] for e in told]


def test_children_of_kserves_service_of_the_same_name_are_named(
    kubectl: Kubectl, operator: Operator
) -> None:
    owner = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "name": "shapes",
        "uid": "00000000-0000-0000-0000-00000000000a",
        "controller": True,
    }
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "shapes-predictor", "ownerReferences": [owner]},
            "spec": {"ports": [{"port": 80}], "selector": {"app": "isvc.shapes-predictor"}},
        }
    )
    kubectl.apply(service())
    not_ready(kubectl, "NameTaken", "InferenceService.serving.kserve.io shapes")


def test_a_service_is_handed_over_by_an_annotation_of_its_owner(
    kubectl: Kubectl, operator: Operator
) -> None:
    """How a migration from KServe takes over the Service, and its address, without a gap."""
    foreign_service(kubectl, selector={"app": "isvc.shapes-predictor"})
    address = (kubectl.get("service", "shapes-predictor") or {})["spec"]["clusterIP"]
    kubectl.apply(service())
    run_every_pod(kubectl)
    not_ready(kubectl, "NameTaken")
    kubectl.run("annotate", "service", "shapes-predictor", "inference-operator.dev/adopt=shapes")
    make_ready(kubectl)
    adopted = present(kubectl, "service")
    assert adopted["spec"]["clusterIP"] == address
    assert "app" not in adopted["spec"]["selector"]
    assert adopted["metadata"]["ownerReferences"][0]["name"] == "shapes"


def test_a_former_child_that_cannot_go_away_is_named_with_its_finalizers(
    kubectl: Kubectl, operator: Operator
) -> None:
    kubectl.apply(service())
    present(kubectl, "service")
    hold = {"metadata": {"finalizers": ["example.com/hold"]}}
    kubectl.patch("service", "shapes-predictor", hold)
    kubectl.run("delete", KIND, "shapes")
    eventually(
        lambda: (
            "deletionTimestamp" in (kubectl.get("service", "shapes-predictor") or {})["metadata"]
        ),
        "the Service waits",
    )
    kubectl.apply(service())
    not_ready(kubectl, "ReconcileFailed", "Service shapes-predictor", "example.com/hold")
    kubectl.patch("service", "shapes-predictor", {"metadata": {"finalizers": None}})
    make_ready(kubectl)


def test_orphans_are_adopted_without_a_new_pod(kubectl: Kubectl, operator: Operator) -> None:
    kubectl.apply(service())
    make_ready(kubectl)
    before = {pod["metadata"]["uid"] for pod in pods(kubectl)}
    kubectl.run("delete", KIND, "shapes", "--cascade=orphan")
    kubectl.apply(service())
    uid = (kubectl.get(KIND, "shapes") or {})["metadata"]["uid"]

    def adopted() -> bool:
        for kind in ("deployment", "service"):
            owners = present(kubectl, kind)["metadata"].get("ownerReferences", [])
            assert [owner["uid"] for owner in owners] == [uid], (kind, owners)
        return condition(kubectl).get("status") == "True"

    eventually(adopted, "the orphans are adopted")
    assert {pod["metadata"]["uid"] for pod in pods(kubectl)} == before
    kubectl.patch("deployment", "shapes-predictor", {"metadata": {"ownerReferences": None}})
    eventually(adopted, "a stripped owner is restored")


def test_a_policy_is_told_as_one_and_tried_again(
    kubectl: Kubectl, cluster: Kubectl, operator: Operator
) -> None:
    name = f"needs-team-{kubectl.namespace}"
    where = {"matchLabels": {"kubernetes.io/metadata.name": kubectl.namespace}}
    rules = [
        {
            "apiGroups": ["apps"],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["deployments"],
        }
    ]
    policy: Manifest = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": rules, "namespaceSelector": where},
            "validations": [
                {
                    "expression": "has(object.metadata.labels) && 'team' in object.metadata.labels",
                    "message": "needs the label team",
                }
            ],
        },
    }
    binding: Manifest = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    cluster.apply(policy, binding)
    try:
        canary = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}
        eventually(
            lambda: (
                "needs the label team"
                in kubectl.try_run(
                    "create", "deployment", "x", "--image=x", "--dry-run=server"
                ).stderr
            ),
            f"the policy holds for {canary['kind']}s",
        )
        kubectl.apply(service())
        not_ready(kubectl, "PolicyRefused", "needs the label team")
        kubectl.run("label", KIND, "shapes", "team=vision")
        assert present(kubectl, "deployment")["metadata"]["labels"]["team"] == "vision"
        make_ready(kubectl)
        assert all(pod["metadata"]["labels"]["team"] == "vision" for pod in pods(kubectl))
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            cluster.run("delete", kind, name)


def test_a_deletion_that_waits_is_not_ready(kubectl: Kubectl, operator: Operator) -> None:
    kubectl.apply(service())
    make_ready(kubectl)
    kubectl.patch(KIND, "shapes", {"metadata": {"finalizers": ["example.com/hold"]}})
    try:
        kubectl.run("delete", KIND, "shapes", "--wait=false")
        kubectl.run("delete", "deployment", "shapes-predictor")
        not_ready(kubectl, "Terminating", "example.com/hold")
        assert child(kubectl, "deployment") is None, "nothing is made for what goes away"
    finally:
        kubectl.patch(KIND, "shapes", {"metadata": {"finalizers": None}})


def test_a_resource_that_no_operator_has_seen_is_not_done(kubectl: Kubectl) -> None:
    kubectl.apply(service())
    ready = condition(kubectl)
    assert (ready["status"], ready["reason"]) == ("Unknown", "WaitingForOperator")
    assert "lastTransitionTime" in ready
