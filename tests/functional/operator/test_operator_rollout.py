"""What kubectl shows during a rollout, and what it answers to the samples of KServe."""

from __future__ import annotations

from typing import Any

import pytest

from support.kube import Kubectl
from support.operator_process import (
    KIND,
    Operator,
    make_ready,
    play_kubelet,
    pods,
    present,
    service,
)
from support.poll import eventually


def row(kubectl: Kubectl) -> dict[str, str]:
    """The resource as a person sees it."""
    (only,) = kubectl.table("inferenceservices")
    return only


def share(kubectl: Kubectl) -> tuple[str, str]:
    seen = row(kubectl)
    return seen["PREV"], seen["LATEST"]


def test_the_columns_follow_a_rollout(kubectl: Kubectl, operator: Operator) -> None:
    kubectl.apply(service(predictor={"minReplicas": 2}))
    before = eventually(lambda: pods(kubectl) if len(pods(kubectl)) == 2 else None, "two pods")
    make_ready(kubectl)
    first = row(kubectl)["LATESTREADYREVISION"]
    assert first.startswith("shapes-predictor-")
    assert share(kubectl) == ("", "100")
    assert row(kubectl)["PREVROLLEDOUTREVISION"] == ""

    env = [{"name": "A", "value": "1"}]
    kubectl.apply(service(predictor={"minReplicas": 2, "model": {"env": env}}))
    old = {pod["metadata"]["name"] for pod in before}

    def newer() -> Any:
        return next((pod for pod in pods(kubectl) if pod["metadata"]["name"] not in old), None)

    play_kubelet(kubectl, eventually(newer, "a pod of the new revision"))
    # It is ready, so one of the earlier two was taken away; the other half is still the earlier.
    eventually(lambda: share(kubectl) == ("50", "50"), "half of each")
    assert row(kubectl)["REASON"] == "", "it answers, and the newest revision does too"

    make_ready(kubectl)
    eventually(lambda: row(kubectl)["PREVROLLEDOUTREVISION"] == first, "the earlier one named")
    assert row(kubectl)["LATESTREADYREVISION"] not in {"", first}
    assert share(kubectl) == ("", "100")


def sample(predictor: Any) -> dict[str, Any]:
    """One of the samples of KServe's documentation, its apiVersion changed."""
    return service("sample", predictor)


FLOWERS = "gs://examples/models/tensorflow/flowers"
TAKEN = [
    # Of its rollout: default, canary, pinned, promotion; of TensorFlow: with a GPU.
    {"tensorflow": {"storageUri": FLOWERS}},
    {"canaryTrafficPercent": 10, "tensorflow": {"storageUri": f"{FLOWERS}-2"}},
    {"canaryTrafficPercent": 0, "tensorflow": {"storageUri": f"{FLOWERS}-2"}},
    {"tensorflow": {"storageUri": f"{FLOWERS}-2"}},
    {"tensorflow": {"storageUri": FLOWERS, "resources": {"limits": {"nvidia.com/gpu": 1}}}},
    {"model": {"modelFormat": {"name": "tensorflow"}, "storageUri": "gs://examples/flowers"}},
    {"tensorflow": {"storageUri": "gs://examples/flowers"}},
    {
        "minReplicas": 1,
        "scaleTarget": 1,
        "scaleMetric": "cpu",
        "tensorflow": {"storageUri": "gs://examples/flowers", "protocolVersion": "v1"},
    },
]
REFUSED = [
    ({"sklearn": {"storageUri": "gs://examples/iris"}}, "sklearn", "model format"),
    (
        {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://examples/iris"}},
        "modelFormat.name",
        "use tflite, savedmodel",
    ),
    ({"containers": [{"image": "x", "name": "c"}]}, "predictor.containers", "custom containers"),
    ({"scaleMetric": "concurrency", "tensorflow": {}}, "scaleMetric", "cpu or memory"),
    ({"minReplicas": 0, "maxReplicas": 1}, "minReplicas", "scaling from zero"),
    ({"model": {"runtime": "kserve-tritonserver"}}, "model.runtime", "one model server"),
]


def test_samples_of_kserve_are_taken(kubectl: Kubectl, operator: Operator) -> None:
    for predictor in TAKEN:
        kubectl.apply(sample(predictor))
        image = present(kubectl, "deployment", "sample")["spec"]["template"]["spec"]["containers"]
        assert image[0]["image"].endswith("-tensorflow")
        kubectl.run("delete", KIND, "sample", "--cascade=foreground")


@pytest.mark.parametrize(("predictor", "field", "advice"), REFUSED, ids=lambda case: str(case)[:30])
def test_samples_of_kserve_are_refused_by_name(
    predictor: Any, field: str, advice: str, kubectl: Kubectl
) -> None:
    with pytest.raises(AssertionError) as refused:
        kubectl.apply(sample(predictor))
    assert field in str(refused.value)
    assert advice in str(refused.value)
