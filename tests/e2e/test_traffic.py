"""Under real traffic: autoscaling by measured CPU, and rollouts that lose no request."""

from __future__ import annotations

from support.isvc import KIND, PICTURE, inference_service, wait_ready, wait_rolled_out
from support.kube import Kubectl, Manifest
from support.pods import start_load
from support.poll import eventually


def hpa_of(kubectl: Kubectl, name: str) -> Manifest:
    """The HorizontalPodAutoscaler of a service."""
    hpa = kubectl.get("hpa", f"{name}-predictor")
    assert hpa, "no HPA"
    return hpa


def test_the_hpa_reads_cpu_and_scales_up_and_down(kubectl: Kubectl, images: dict[str, str]) -> None:
    quick = {"stabilizationWindowSeconds": 0}
    predictor = {
        "minReplicas": 1,
        "maxReplicas": 2,
        "scaleMetric": "cpu",
        "scaleTarget": 50,
        "autoScaling": {"behavior": {"scaleDown": quick, "scaleUp": quick}},
    }
    kubectl.apply(inference_service("busy", predictor))
    wait_ready(kubectl, "busy")

    def measured() -> bool:
        metrics = hpa_of(kubectl, "busy").get("status", {}).get("currentMetrics") or []
        return any(
            "averageUtilization" in m.get("resource", {}).get("current", {}) for m in metrics
        )

    eventually(measured, "a CPU figure in the HPA", timeout_s=120)
    load = start_load(kubectl, images["litert"], "busy-predictor", PICTURE)

    def ready_pods(count: int) -> bool:
        deployment = kubectl.get("deployment", "busy-predictor") or {}
        found = deployment.get("status", {}).get("readyReplicas", 0)
        assert found == count, f"{found} ready, wanted {count}"
        return True

    eventually(lambda: ready_pods(2), "scale up under load", timeout_s=180)
    report = load.stop()
    assert report["sent"] > 0
    assert report["failed"] == 0, report
    eventually(lambda: ready_pods(1), "scale down after", timeout_s=240)


def test_a_rollout_and_a_scale_down_lose_no_request(
    kubectl: Kubectl, images: dict[str, str]
) -> None:
    kubectl.apply(inference_service("steady", {"minReplicas": 2}))
    wait_ready(kubectl, "steady")
    wait_rolled_out(kubectl, "steady")
    load = start_load(kubectl, images["litert"], "steady-predictor", PICTURE)
    env = [{"name": "MODEL_SERVER_SCORE_THRESHOLD", "value": "0.4"}]
    kubectl.patch(KIND, "steady", {"spec": {"predictor": {"model": {"env": env}}}})
    wait_ready(kubectl, "steady")
    wait_rolled_out(kubectl, "steady")
    kubectl.patch(KIND, "steady", {"spec": {"predictor": {"minReplicas": 1}}})
    wait_rolled_out(kubectl, "steady")
    report = load.stop()
    assert report["sent"] >= 20, report
    assert report["failed"] == 0, report
