"""From `kubectl apply` to answers, to repairs, to nothing left behind."""

from __future__ import annotations

import pytest

from support.isvc import (
    CHILD_SUFFIX,
    KIND,
    PICTURE,
    classify,
    condition,
    detect,
    inference_service,
    wait_ready,
    wait_rolled_out,
)
from support.kube import Kubectl, Manifest
from support.poll import eventually

CHILD_KINDS = ("deployment", "service", "horizontalpodautoscaler")


def child(kubectl: Kubectl, kind: str, name: str) -> Manifest | None:
    """A child as it is when it is not being deleted."""
    found = kubectl.get(kind, name + CHILD_SUFFIX)
    return None if found and "deletionTimestamp" in found["metadata"] else found


def test_apply_gives_owned_children_that_answer(kubectl: Kubectl) -> None:
    kubectl.apply(inference_service("shapes", {"minReplicas": 1, "maxReplicas": 2}))
    service = wait_ready(kubectl, "shapes")

    uid = service["metadata"]["uid"]
    for kind in CHILD_KINDS:
        found = child(kubectl, kind, "shapes")
        assert found, f"no {kind}"
        owners = found["metadata"]["ownerReferences"]
        assert [(o["kind"], o["uid"], o["controller"]) for o in owners] == [
            ("InferenceService", uid, True)
        ]
    assert service["status"]["url"] == (
        f"http://shapes-predictor.{kubectl.namespace}.svc.cluster.local"
    )
    with kubectl.port_forward("svc/shapes-predictor") as base:
        answer = detect(base, PICTURE)
    assert answer["detections"], "nothing was found in our own example picture"
    assert answer["image size"].startswith("size=")


def test_the_table_that_people_read(kubectl: Kubectl) -> None:
    kubectl.apply(inference_service("shapes"))
    wait_ready(kubectl, "shapes")
    (row,) = kubectl.table("inferenceservices")
    assert row["NAME"] == "shapes"
    assert row["READY"] == "True"
    assert row["URL"].startswith("http://shapes-predictor.")
    assert list(row) == [
        *("NAME", "URL", "READY", "PREV", "LATEST"),
        *("PREVROLLEDOUTREVISION", "LATESTREADYREVISION", "AGE", "REASON"),
    ]
    assert row["LATEST"] == "100"
    assert row["LATESTREADYREVISION"].startswith("shapes-predictor-")
    assert row["REASON"] == ""
    events = kubectl.run("get", "events", "--field-selector=involvedObject.name=shapes")
    assert "InferenceService/shapes" in events.replace("inferenceservice/", "InferenceService/")


def test_an_empty_spec_serves_the_bundled_model(kubectl: Kubectl) -> None:
    service = inference_service("empty")
    service["spec"] = {}
    kubectl.apply(service)
    wait_ready(kubectl, "empty")


def test_other_resources_roll_out(kubectl: Kubectl) -> None:
    kubectl.apply(inference_service("shapes"))
    before = wait_ready(kubectl, "shapes")["status"]["components"]["predictor"]
    model = {"resources": {"requests": {"cpu": "70m"}}}
    kubectl.patch(KIND, "shapes", {"spec": {"predictor": {"model": model}}})
    after = wait_ready(kubectl, "shapes")["status"]["components"]["predictor"]
    (container,) = wait_rolled_out(kubectl, "shapes")["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["cpu"] == "70m"
    assert after["latestReadyRevision"] != before["latestReadyRevision"]


def test_another_model_rolls_out(kubectl: Kubectl) -> None:
    kubectl.apply(inference_service("vision", {"model": {"storageUri": "bundled://detector"}}))
    wait_ready(kubectl, "vision")
    model = {"model": {"storageUri": "bundled://classifier"}}
    kubectl.patch(KIND, "vision", {"spec": {"predictor": model}})
    wait_ready(kubectl, "vision")
    wait_rolled_out(kubectl, "vision")
    with kubectl.port_forward("svc/vision-predictor") as base:
        answer = classify(base, PICTURE)
    assert answer["success"] is True
    assert answer["predictions"]


def test_min_replicas_and_kubectl_scale(kubectl: Kubectl) -> None:
    kubectl.apply(inference_service("shapes"))
    wait_ready(kubectl, "shapes")
    kubectl.patch(KIND, "shapes", {"spec": {"predictor": {"minReplicas": 2}}})
    eventually(lambda: replicas(kubectl, "shapes") == (2, 2), "two replicas", timeout_s=90)
    kubectl.run("scale", KIND, "shapes", "--replicas=1")
    eventually(lambda: replicas(kubectl, "shapes") == (1, 1), "one replica", timeout_s=90)


def replicas(kubectl: Kubectl, name: str) -> tuple[int, int]:
    """Replicas wanted of the Deployment, and ready."""
    deployment = kubectl.get("deployment", name + CHILD_SUFFIX) or {}
    ready = deployment.get("status", {}).get("readyReplicas", 0)
    return deployment.get("spec", {}).get("replicas", 0), ready


def test_a_deleted_child_comes_back(kubectl: Kubectl) -> None:
    kubectl.apply(inference_service("shapes", {"minReplicas": 1, "maxReplicas": 2}))
    wait_ready(kubectl, "shapes")
    for kind in CHILD_KINDS:
        before = child(kubectl, kind, "shapes")
        assert before
        kubectl.run("delete", kind, "shapes-predictor", "--wait=false")

        def replaced(kind: str = kind, old: str = before["metadata"]["uid"]) -> bool:
            now = child(kubectl, kind, "shapes")
            return now is not None and now["metadata"]["uid"] != old

        eventually(replaced, f"a new {kind}", timeout_s=20)
    wait_ready(kubectl, "shapes")


def test_a_hand_edit_is_repaired(kubectl: Kubectl) -> None:
    kubectl.apply(inference_service("shapes", {"minReplicas": 1, "maxReplicas": 2}))
    wait_ready(kubectl, "shapes")
    kubectl.patch("service", "shapes-predictor", {"spec": {"selector": {"app": "stolen"}}})
    kubectl.patch("hpa", "shapes-predictor", {"spec": {"maxReplicas": 7}})

    def repaired() -> bool:
        service = child(kubectl, "service", "shapes")
        hpa = child(kubectl, "hpa", "shapes")
        assert service
        assert hpa
        return hpa["spec"]["maxReplicas"] == 2 and "app" not in service["spec"]["selector"]

    eventually(repaired, "repair of Service and HPA", timeout_s=20)


def test_deleting_the_resource_removes_everything(kubectl: Kubectl) -> None:
    kubectl.apply(inference_service("shapes", {"minReplicas": 1, "maxReplicas": 2}))
    wait_ready(kubectl, "shapes")
    kubectl.run("delete", KIND, "shapes", "--timeout=30s")
    eventually(lambda: nothing_left(kubectl), "no child left", timeout_s=60)


@pytest.mark.stops_operator
def test_deletion_works_while_the_operator_is_stopped(kubectl: Kubectl) -> None:
    operator = kubectl.in_namespace("inference-operator-system")
    deployment = operator.get("deployment", "inference-operator")
    assert deployment
    kubectl.apply(inference_service("shapes"))
    wait_ready(kubectl, "shapes")
    try:
        operator.run("scale", "deployment/inference-operator", "--replicas=0")
        eventually(
            lambda: not operator.objects("pods", "app.kubernetes.io/name=inference-operator"),
            "operator stopped",
            timeout_s=60,
        )
        kubectl.run("delete", KIND, "shapes", "--timeout=30s")
        eventually(lambda: nothing_left(kubectl), "no child left", timeout_s=60)
        kubectl.apply(inference_service("while-away"))
    finally:
        wanted = deployment["spec"]["replicas"]
        operator.run("scale", "deployment/inference-operator", f"--replicas={wanted}")
    wait_ready(kubectl, "while-away")


def nothing_left(kubectl: Kubectl) -> bool:
    """True once no object of an InferenceService is left in the namespace."""
    kinds = "deployments,replicasets,pods,services,hpa,pdb,controllerrevisions"
    left = kubectl.objects(kinds, "app.kubernetes.io/managed-by=inference-operator")
    names = [f"{item['kind']}/{item['metadata']['name']}" for item in left]
    assert not names, f"left: {names}"
    return True


def test_condition_follows_the_pods(kubectl: Kubectl) -> None:
    kubectl.apply(inference_service("shapes"))
    service = wait_ready(kubectl, "shapes")
    assert condition(service, "PredictorReady")["status"] == "True"
    kubectl.run("delete", "pods", "-l", "inference-operator.dev/inferenceservice=shapes", "--now")
    wait_ready(kubectl, "shapes")
