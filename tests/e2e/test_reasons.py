"""Why-not-ready: each cause is in `kubectl get inferenceservices` within 30 seconds."""

from __future__ import annotations

import pytest

from support.isvc import (
    KIND,
    PICTURE,
    WITHIN_S,
    condition,
    detect,
    inference_service,
    wait_ready,
    wait_reason,
)
from support.kube import Kubectl, KubectlError, Manifest
from support.poll import eventually


@pytest.mark.parametrize(
    ("model", "reason", "says"),
    [
        (
            {"image": "inference-operator.dev/absent:1"},
            "ImagePull",
            "inference-operator.dev/absent",
        ),
        (
            {"storageUri": "http://models.absent.invalid/m.zip"},
            "DownloadFailed",
            "models.absent.invalid",
        ),
        ({"storageUri": "http://169.254.169.254/m.zip"}, "AddressNotAllowed", "169.254.169.254"),
        ({"resources": {"requests": {"cpu": "500"}}}, "Unschedulable", "cpu"),
    ],
    ids=["bad-image", "bad-storage-uri", "metadata-address", "too-big"],
)
def test_a_cause_is_named(kubectl: Kubectl, model: Manifest, reason: str, says: str) -> None:
    kubectl.apply(inference_service("broken", {"model": model}))
    service = wait_reason(kubectl, "broken", reason)
    ready = condition(service, "Ready")
    assert ready["status"] == "False"
    assert says in ready["message"]
    assert "broken-predictor-" in ready["message"], "the pod's name is in the message"
    events = kubectl.run("get", "events", "--field-selector=involvedObject.name=broken")
    assert "Warning" in events


@pytest.mark.parametrize(
    ("predictor", "says"),
    [
        ({"minReplicas": 3, "maxReplicas": 2}, "maxReplicas"),
        ({"model": {"modelFormat": {"name": "pytorch"}}}, "pytorch"),
        ({"model": {"storageUri": "ftp://example.com/m"}}, "storageUri"),
        ({"workerSpec": {}}, "workerSpec"),
    ],
    ids=["replicas", "format", "scheme", "unsupported-field"],
)
def test_an_invalid_spec_is_refused_in_plain_words(
    kubectl: Kubectl, predictor: Manifest, says: str
) -> None:
    with pytest.raises(KubectlError, match=says):
        kubectl.apply(inference_service("invalid", predictor))


def test_an_unsupported_component_is_refused_by_name(kubectl: Kubectl) -> None:
    with pytest.raises(KubectlError, match="transformer"):
        kubectl.apply(inference_service("invalid", transformer={"containers": []}))


def test_what_only_the_api_server_knows_to_be_wrong_is_told(kubectl: Kubectl) -> None:
    """The schema cannot see it, so the resource is accepted, and its Deployment is not."""
    env = [{"name": "A=B", "value": "1"}]
    kubectl.apply(inference_service("odd", {"model": {"env": env}}))
    message = condition(wait_reason(kubectl, "odd", "InvalidSpec"), "Ready")["message"]
    assert "the Deployment odd-predictor is refused" in message
    assert '"A=B"' in message


def test_a_bad_update_leaves_the_good_revision_serving(kubectl: Kubectl) -> None:
    kubectl.apply(inference_service("shapes"))
    wait_ready(kubectl, "shapes")
    model = {"storageUri": "http://models.absent.invalid/m.zip"}
    kubectl.patch(KIND, "shapes", {"spec": {"predictor": {"model": model}}})

    def failing_and_said() -> bool:
        service = kubectl.get(KIND, "shapes") or {}
        conditions = service.get("status", {}).get("conditions", [])
        text = " ".join(f"{c.get('reason')} {c.get('message')}" for c in conditions)
        assert "DownloadFailed" in text, text
        return True

    eventually(failing_and_said, "the failing revision is named", timeout_s=WITHIN_S)
    deployment = kubectl.get("deployment", "shapes-predictor")
    assert deployment
    assert deployment["status"]["readyReplicas"] >= 1
    with kubectl.port_forward("svc/shapes-predictor") as base:
        assert detect(base, PICTURE)["detections"]
    kubectl.patch(KIND, "shapes", {"spec": {"predictor": {"model": {"storageUri": None}}}})
    wait_ready(kubectl, "shapes")
