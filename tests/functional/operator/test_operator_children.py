"""Children are created, repaired, handed over, pruned and left alone as they should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from support.kube import Kubectl, Manifest
from support.operator_process import (
    KIND,
    Operator,
    child,
    condition,
    make_ready,
    pods,
    present,
    service,
)
from support.poll import eventually

StartOperator = Callable[..., Operator]
KINDS = ("deployment", "service", "horizontalpodautoscaler", "poddisruptionbudget")


def test_children_are_owned_and_marked(kubectl: Kubectl, operator: Operator) -> None:
    kubectl.apply(service(predictor={"maxReplicas": 3}))
    uid = (kubectl.get(KIND, "shapes") or {})["metadata"]["uid"]
    for kind in KINDS:
        metadata = present(kubectl, kind)["metadata"]
        assert [(o["uid"], o["controller"]) for o in metadata["ownerReferences"]] == [(uid, True)]
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "inference-operator"
        assert "finalizers" not in metadata
    resource = kubectl.get(KIND, "shapes") or {}
    assert "finalizers" not in resource["metadata"]
    kept = set(resource["metadata"]["annotations"])
    assert kept == {"kubectl.kubernetes.io/last-applied-configuration"}


def test_an_annotation_of_kserve_that_is_not_fulfilled_is_named(
    kubectl: Kubectl, operator: Operator
) -> None:
    key = "serving.kserve.io/autoscalerClass"
    asked = service()
    asked["metadata"]["annotations"] = {key: "keda"}
    kubectl.apply(asked)

    def named() -> bool:
        ready = condition(kubectl)
        assert ready.get("reason") == "InvalidSpec", ready
        return f"metadata.annotations[{key}]: 'keda' is not supported" in ready["message"]

    eventually(named, "the annotation is named")
    assert child(kubectl, "deployment") is None
    # Its generation stays the same when only an annotation changes; it is noticed all the same.
    kubectl.run("annotate", KIND, "shapes", f"{key}=hpa", "--overwrite")
    present(kubectl, "deployment")
    eventually(lambda: condition(kubectl).get("reason") != "InvalidSpec", "the reason is gone")
    kubectl.run("annotate", KIND, "shapes", "serving.kserve.io/stop=true")
    eventually(lambda: condition(kubectl).get("reason") == "InvalidSpec", "the other is named")
    assert child(kubectl, "deployment"), "what serves goes on"


def test_what_is_changed_by_hand_is_put_back(kubectl: Kubectl, operator: Operator) -> None:
    kubectl.apply(service(predictor={"maxReplicas": 3}))
    for kind in KINDS:
        present(kubectl, kind)
    selector = {"spec": {"selector": {"app": "stolen"}}}
    changes: dict[str, Manifest] = {
        "service": selector,
        "horizontalpodautoscaler": {"spec": {"maxReplicas": 9}},
        "poddisruptionbudget": {"spec": {"maxUnavailable": 2}},
        "deployment": {
            "spec": {"progressDeadlineSeconds": 7, "paused": True, "minReadySeconds": 3}
        },
    }
    for kind, change in changes.items():
        kubectl.patch(kind, "shapes-predictor", change)
    kubectl.run("label", "service", "shapes-predictor", "theirs=kept")
    kubectl.run("label", "service", "shapes-predictor", "app.kubernetes.io/managed-by-")

    def repaired() -> bool:
        found = {kind: child(kubectl, kind) or {} for kind in KINDS}
        assert "app" not in found["service"]["spec"]["selector"]
        assert found["service"]["metadata"]["labels"]["theirs"] == "kept"
        assert "app.kubernetes.io/managed-by" in found["service"]["metadata"]["labels"]
        assert found["horizontalpodautoscaler"]["spec"]["maxReplicas"] == 3
        assert found["poddisruptionbudget"]["spec"]["maxUnavailable"] == 1
        assert found["deployment"]["spec"]["progressDeadlineSeconds"] == 600
        assert "paused" not in found["deployment"]["spec"], "it would never roll out"
        assert found["deployment"]["spec"]["minReadySeconds"] == 3, "never ours, so left alone"
        return True

    eventually(repaired, "all changes put back")


def test_a_service_account_that_is_no_longer_asked_for_is_gone(
    kubectl: Kubectl, operator: Operator
) -> None:
    """The API server copies its name to an older field, and would copy it back from there."""
    kubectl.apply(service(predictor={"serviceAccountName": "default"}))
    assert present(kubectl, "deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    kubectl.apply(service(predictor={}))

    def gone() -> bool:
        pod = present(kubectl, "deployment")["spec"]["template"]["spec"]
        assert "serviceAccountName" not in pod, pod["serviceAccountName"]
        return "serviceAccount" not in pod

    eventually(gone, "pods without it")


@pytest.mark.parametrize("kind", KINDS)
def test_a_deleted_child_comes_back(kind: str, kubectl: Kubectl, operator: Operator) -> None:
    kubectl.apply(service(predictor={"maxReplicas": 3}))
    old = present(kubectl, kind)["metadata"]["uid"]
    kubectl.run("delete", kind, "shapes-predictor", "--wait=false")
    eventually(
        lambda: (child(kubectl, kind) or {"metadata": {"uid": old}})["metadata"]["uid"] != old,
        f"another {kind}",
    )


def replicas(kubectl: Kubectl) -> int:
    count: int = present(kubectl, "deployment")["spec"]["replicas"]
    return count


def owners_of_replicas(kubectl: Kubectl) -> set[str]:
    done = kubectl.run(
        "get", "deployment", "shapes-predictor", "-o", "json", "--show-managed-fields"
    )
    fields: list[Any] = json.loads(done)["metadata"]["managedFields"]
    return {
        entry["manager"] for entry in fields if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }


def settled(kubectl: Kubectl) -> bool:
    """Whether the controller has acted on the newest spec of the Deployment."""
    found = present(kubectl, "deployment")
    seen: int = found["status"].get("observedGeneration", 0)
    return seen == int(found["metadata"]["generation"])


def scale_downs(kubectl: Kubectl) -> list[str]:
    """What the Deployment's controller says of every time that it took pods away."""
    events = kubectl.run("get", "events", "-o", "json", "--field-selector=reason=ScalingReplicaSet")
    messages = [event["message"] for event in json.loads(events)["items"]]
    return [message for message in messages if message.startswith("Scaled down")]


def test_an_autoscaled_service_starts_with_its_least_number_of_pods(
    kubectl: Kubectl, operator: Operator
) -> None:
    """The autoscaler itself looks at a new Deployment after 15 seconds only."""
    kubectl.apply(service(predictor={"minReplicas": 3, "maxReplicas": 5}))
    eventually(lambda: replicas(kubectl) == 3, "three replicas")
    assert owners_of_replicas(kubectl) == {"inference-operator-handover"}, "not the autoscaler's"
    eventually(lambda: len(pods(kubectl)) == 3, "three pods")
    # A fourth that somebody (an autoscaler, a person) asks for is theirs, whatever we do.
    kubectl.run("scale", "deployment", "shapes-predictor", "--replicas=4")
    kubectl.apply(service(predictor={"minReplicas": 3, "maxReplicas": 6}))
    eventually(
        lambda: present(kubectl, "horizontalpodautoscaler")["spec"]["maxReplicas"] == 6,
        "another maximum",
    )
    assert replicas(kubectl) == 4
    assert "inference-operator-handover" not in owners_of_replicas(kubectl)
    assert not scale_downs(kubectl)


def test_a_stopped_service_starts_again_with_an_autoscaler(
    kubectl: Kubectl, operator: Operator
) -> None:
    """An autoscaler leaves a Deployment without replicas at rest for ever."""
    kubectl.apply(service(predictor={"minReplicas": 0}))
    eventually(lambda: replicas(kubectl) == 0, "no replicas")
    kubectl.apply(service(predictor={"minReplicas": 2, "maxReplicas": 5}))
    eventually(lambda: replicas(kubectl) == 2, "two replicas")
    assert "inference-operator" not in owners_of_replicas(kubectl)


def test_an_autoscaler_takes_over_and_gives_back_without_a_bounce(
    kubectl: Kubectl, operator: Operator
) -> None:
    kubectl.apply(service(predictor={"minReplicas": 3}))
    assert replicas(kubectl) == 3
    eventually(lambda: len(pods(kubectl)) == 3, "three pods")
    before = {pod["metadata"]["uid"] for pod in pods(kubectl)}

    kubectl.patch(KIND, "shapes", {"spec": {"predictor": {"minReplicas": 1, "maxReplicas": 5}}})
    present(kubectl, "horizontalpodautoscaler")
    eventually(lambda: "inference-operator" not in owners_of_replicas(kubectl), "replicas let go")
    assert replicas(kubectl) == 3
    eventually(lambda: settled(kubectl), "a settled Deployment")
    after = {pod["metadata"]["uid"] for pod in kubectl.objects("pods")}
    assert after == before, "no pod went or came in between"
    assert not scale_downs(kubectl)

    kubectl.run("scale", "deployment", "shapes-predictor", "--replicas=4")
    kubectl.run("annotate", KIND, "shapes", "look=again")
    kubectl.patch("poddisruptionbudget", "shapes-predictor", {"spec": {"maxUnavailable": 2}})

    def repaired() -> bool:
        return bool(present(kubectl, "poddisruptionbudget")["spec"]["maxUnavailable"] == 1)

    eventually(repaired, "another pass")
    assert replicas(kubectl) == 4, "the autoscaler's number is not touched"

    kubectl.patch(KIND, "shapes", {"spec": {"predictor": {"minReplicas": 2, "maxReplicas": None}}})
    eventually(lambda: replicas(kubectl) == 2, "a fixed number again")
    assert "inference-operator" in owners_of_replicas(kubectl)
    eventually(lambda: not child(kubectl, "horizontalpodautoscaler"), "no autoscaler")


def test_what_is_no_longer_wanted_goes_away(kubectl: Kubectl, operator: Operator) -> None:
    kubectl.apply(service(predictor={"maxReplicas": 3, "nodeSelector": {"a": "b"}, "timeout": 5}))
    for kind in KINDS:
        present(kubectl, kind)
    kubectl.apply(service(predictor={"minReplicas": 1}))
    for kind in ("horizontalpodautoscaler", "poddisruptionbudget"):
        eventually(lambda kind=kind: not child(kubectl, kind), f"no {kind}")  # type: ignore[misc]

    def cleared() -> bool:
        pod = present(kubectl, "deployment")["spec"]["template"]["spec"]
        assert "nodeSelector" not in pod
        variables = {entry["name"] for entry in pod["containers"][0]["env"]}
        assert "MODEL_SERVER_TIMEOUT_SECONDS" not in variables
        return True

    eventually(cleared, "fields removed")


def test_strategies_change_there_and_back(kubectl: Kubectl, operator: Operator) -> None:
    kubectl.apply(service())
    assert present(kubectl, "deployment")["spec"]["strategy"]["type"] == "RollingUpdate"

    def strategy() -> Manifest:
        found: Manifest = present(kubectl, "deployment")["spec"]["strategy"]
        return found

    kubectl.apply(service(predictor={"deploymentStrategy": {"type": "Recreate"}}))
    eventually(lambda: strategy() == {"type": "Recreate"}, "Recreate")
    rolling = {"rollingUpdate": {"maxSurge": 2}}
    kubectl.apply(service(predictor={"deploymentStrategy": rolling}))
    expected = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}}
    eventually(lambda: strategy() == expected, "RollingUpdate")


def test_service_types_change_there_and_back(kubectl: Kubectl, operator: Operator) -> None:
    kubectl.apply(service(service={"type": "LoadBalancer", "annotations": {"a": "b"}}))
    assert present(kubectl, "service")["spec"]["type"] == "LoadBalancer"
    for kind in ("NodePort", "ClusterIP"):
        kubectl.apply(service(service={"type": kind}))
        eventually(lambda kind=kind: present(kubectl, "service")["spec"]["type"] == kind, kind)  # type: ignore[misc]
    assert "a" not in present(kubectl, "service")["metadata"]["annotations"]


def test_an_object_of_somebody_else_is_not_taken_over(kubectl: Kubectl, operator: Operator) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "shapes-predictor"},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 81, "name": "theirs"}]},
    }
    kubectl.apply(foreign)
    kubectl.apply(service())

    def told() -> bool:
        ready = condition(kubectl)
        assert ready.get("reason") == "NameTaken", ready
        return "Service shapes-predictor" in ready["message"]

    eventually(told, "NameTaken")
    assert present(kubectl, "service")["spec"]["selector"] == {"app": "theirs"}
    kubectl.run("delete", "service", "shapes-predictor")
    eventually(
        lambda: "ownerReferences" in (child(kubectl, "service") or {"metadata": {}})["metadata"],
        "our own after theirs is gone",
    )


def test_a_successor_of_the_same_name_gets_its_own_children(
    kubectl: Kubectl, operator: Operator
) -> None:
    kubectl.apply(service())
    old = present(kubectl, "deployment")["metadata"]["uid"]
    kubectl.run("delete", KIND, "shapes")
    kubectl.apply(service())
    uid = (kubectl.get(KIND, "shapes") or {})["metadata"]["uid"]

    def own() -> bool:
        found = child(kubectl, "deployment")
        assert found
        assert found["metadata"]["uid"] != old
        return bool(found["metadata"]["ownerReferences"][0]["uid"] == uid)

    eventually(own, "a Deployment of the successor")


def test_deletion_needs_no_operator(kubectl: Kubectl, operator: Operator) -> None:
    kubectl.apply(service(predictor={"maxReplicas": 3}))
    for kind in KINDS:
        present(kubectl, kind)
    assert operator.stop() == 0
    kubectl.run("delete", KIND, "shapes", "--timeout=20s")
    for kind in KINDS:
        eventually(lambda kind=kind: kubectl.get(kind, "shapes-predictor") is None, f"no {kind}")  # type: ignore[misc]


def test_an_idle_operator_writes_nothing_nor_does_a_restarted_one(
    kubectl: Kubectl, start_operator: StartOperator
) -> None:
    settings = {"NAMESPACES": kubectl.namespace, "RESYNC_SECONDS": "1"}
    first = start_operator(**settings)
    # 0.5 and 1000m come back from the API server in another form.
    resources = {"requests": {"cpu": "0.5", "memory": "128Mi"}, "limits": {"cpu": "1000m"}}
    kubectl.apply(service(predictor={"maxReplicas": 3, "model": {"resources": resources}}))
    make_ready(kubectl)

    def idle(one: Operator) -> bool:
        before, passes = one.writes(), one.metrics("inference_operator_reconciles_total")[""]
        eventually(
            lambda: one.metrics("inference_operator_reconciles_total")[""] >= passes + 3,
            "three more passes",
        )
        return one.writes() == before

    eventually(lambda: idle(first), "an idle operator")
    version = (kubectl.get(KIND, "shapes") or {})["metadata"]["resourceVersion"]
    generation = present(kubectl, "deployment")["metadata"]["generation"]
    assert first.stop() == 0

    newer = "registry.example.com/model-server:2"
    second = start_operator(**settings, MODEL_SERVER_IMAGE=newer)
    eventually(lambda: idle(second), "an idle successor")
    # One pass over what the API server wrote in another form; nothing that changes anything.
    assert second.writes() <= 1
    assert (kubectl.get(KIND, "shapes") or {})["metadata"]["resourceVersion"] == version
    assert present(kubectl, "deployment")["metadata"]["generation"] == generation


def test_a_quarrel_slows_down(kubectl: Kubectl, operator: Operator) -> None:
    """Another controller that insists is answered, but ever more slowly, and it is told."""
    kubectl.apply(service())
    present(kubectl, "service")
    stolen = {"spec": {"selector": {"app": "stolen"}}}
    rounds = 12
    for _ in range(rounds):
        kubectl.patch("service", "shapes-predictor", stolen)
    calls = operator.metrics("inference_operator_api_calls_total")
    patches = calls['{code="200",method="PATCH",resource="services"}']
    assert patches < rounds

    def repaired() -> bool:
        return "app" not in present(kubectl, "service")["spec"]["selector"]

    eventually(repaired, "put right in the end")
    events = kubectl.run("get", "events", "-o", "json", "--field-selector", "reason=Repaired")
    messages = [event["message"] for event in json.loads(events)["items"]]
    assert messages
    assert all("Service was changed by kubectl" in message for message in messages)
