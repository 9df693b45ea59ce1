"""Delivery on the real cluster, under load: bad revisions and canaries cost no request."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from support.isvc import KIND, PICTURE, condition, inference_service, wait_ready
from support.kube import Kubectl, Manifest
from support.pods import start_load
from support.poll import eventually

OPERATOR = "inference-operator-system"
REVISION_LABEL = "inference-operator.dev/revision"
SMALL = {"requests": {"cpu": "50m"}}
STABLE, CANARY = "shapes-predictor", "shapes-predictor-canary"
ENOUGH_REQUESTS = 100


def model(threshold: str = "0.3", **fields: Any) -> Manifest:
    """A model whose revision depends on the threshold."""
    env = [{"name": "MODEL_SERVER_SCORE_THRESHOLD", "value": threshold}]
    return {"resources": SMALL, "env": env, **fields}


def predictor(kubectl: Kubectl) -> Manifest:
    found: Manifest = kubectl.get(KIND, "shapes") or {}
    part: Manifest = found["status"]["components"]["predictor"]
    return part


def rolled_out(kubectl: Kubectl, **fields: Any) -> str:
    """A service whose first revision is rolled out; returns the revision's name."""
    kubectl.apply(inference_service("shapes", {"minReplicas": 2, "model": model(), **fields}))
    wait_ready(kubectl, "shapes")
    return str(
        eventually(
            lambda: predictor(kubectl).get("latestRolledoutRevision"),
            "the first revision rolled out",
        )
    )


def pods_of(kubectl: Kubectl, revision: str) -> list[str]:
    selector = f"{REVISION_LABEL}={revision.rpartition('-')[2]}"
    return [pod["metadata"]["name"] for pod in kubectl.objects("pods", selector)]


BAD = {
    "ImagePullBackOff": {"model": model(image="inference-operator.dev/is-not-there:1")},
    "InvalidSettings": {"model": model("as much as you like")},
    "GoldenImageFailed": {
        "golden": [
            {
                "configMapKeyRef": {"name": "golden", "key": PICTURE.name},
                "expect": {"label": "elephant", "minScore": 0.5},
            }
        ]
    },
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_update_is_taken_back_and_costs_no_request(
    reason: str, kubectl: Kubectl, images: dict[str, str]
) -> None:
    picture = base64.b64encode(PICTURE.read_bytes()).decode()
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "golden"},
            "binaryData": {PICTURE.name: picture},
        }
    )
    deadline = {"progressDeadlineSeconds": 60}
    good = rolled_out(kubectl, rollout=deadline)
    load = start_load(kubectl, images["litert"], STABLE, PICTURE)
    kubectl.patch(KIND, "shapes", {"spec": {"predictor": BAD[reason]}})

    def taken_back() -> Manifest | None:
        service = kubectl.get(KIND, "shapes") or {}
        latest = condition(service, "LatestDeploymentReady")
        assert latest.get("reason") == "RolledBack", latest
        return service

    service = eventually(taken_back, "rolled back", timeout_s=240)
    bad = service["status"]["components"]["predictor"]["latestCreatedRevision"]
    assert bad != good
    ready = condition(service, "Ready")
    assert (ready["status"], ready["reason"]) == ("True", reason)
    if reason == "GoldenImageFailed":
        assert f"golden picture golden/{PICTURE.name}: expected elephant>=0.5" in ready["message"]
    eventually(lambda: not pods_of(kubectl, bad), "no pod of the bad revision", timeout_s=90)
    report = load.stop()
    assert report["sent"] >= ENOUGH_REQUESTS, report
    assert report["failed"] == 0, report
    assert len(pods_of(kubectl, good)) == 2

    kubectl.patch(KIND, "shapes", {"spec": {"predictor": {"model": model("0.5"), "golden": None}}})
    kubectl.patch(KIND, "shapes", {"spec": {"predictor": {"model": {"image": None}}}})
    wait_ready(kubectl, "shapes", timeout_s=180)


@pytest.mark.stops_operator
def test_a_canary_costs_no_request_although_the_operator_dies(
    kubectl: Kubectl, images: dict[str, str]
) -> None:
    good = rolled_out(kubectl)
    load = start_load(kubectl, images["litert"], STABLE, PICTURE)

    def share() -> tuple[str, str]:
        (row,) = kubectl.table("inferenceservices")
        return row["PREV"], row["LATEST"]

    def step(percent: int, expected: tuple[str, str], **fields: Any) -> None:
        change = {"canaryTrafficPercent": percent, **fields}
        kubectl.patch(KIND, "shapes", {"spec": {"predictor": change}})
        operator = kubectl.in_namespace(OPERATOR)
        selector = "app.kubernetes.io/name=inference-operator"
        operator.run("delete", "pods", "-l", selector, "--now", "--wait=false")
        eventually(lambda: share() == expected, f"{percent} percent", timeout_s=180)

    # Two pods of the earlier revision and one of the newest are as near as whole pods come.
    step(10, ("66", "34"), model=model("0.4"))
    new = predictor(kubectl)["latestCreatedRevision"]
    assert predictor(kubectl)["latestRolledoutRevision"] == good
    step(50, ("50", "50"))
    assert len(pods_of(kubectl, good)) == 2, "the stable side keeps its scale"
    step(100, ("", "100"))
    eventually(
        lambda: predictor(kubectl)["latestRolledoutRevision"] == new, "rolled out", timeout_s=120
    )
    eventually(lambda: kubectl.get("deployment", CANARY) is None, "no canary", timeout_s=60)
    eventually(lambda: not pods_of(kubectl, good), "no pod of before", timeout_s=90)
    report = load.stop()
    assert report["sent"] >= ENOUGH_REQUESTS, report
    assert report["failed"] == 0, report
    assert predictor(kubectl)["previousRolledoutRevision"] == good
