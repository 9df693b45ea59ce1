"""InferenceService resources and questions about them, as tests ask them."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from support.kube import Kubectl, Manifest
from support.poll import eventually

KIND = "inferenceservices.inference-operator.dev"
CHILD_SUFFIX = "-predictor"
EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
PICTURE = min((EXAMPLES / "images").glob("*.jpg"))
WITHIN_S = 30  # the promise: a cause is named within this time


def inference_service(name: str, predictor: Manifest | None = None, **spec: Any) -> Manifest:
    """An InferenceService; small CPU requests, so that many fit on the test node."""
    predictor = dict(predictor or {})
    model = dict(predictor.get("model", {}))
    model.setdefault("resources", {"requests": {"cpu": "50m", "memory": "128Mi"}})
    predictor["model"] = model
    return {
        "apiVersion": "inference-operator.dev/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": predictor, **spec},
    }


def condition(service: Manifest, kind: str) -> Manifest:
    """One condition of a resource, empty when it has none of that type."""
    conditions = service.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})


def is_ready(service: Manifest | None) -> bool:
    """Ready for the generation that was applied last, as `kubectl wait` understands it."""
    if service is None:
        return False
    ready = condition(service, "Ready")
    seen = ready.get("observedGeneration", 0)
    return bool(seen == service["metadata"]["generation"] and ready.get("status") == "True")


def wait_ready(kubectl: Kubectl, name: str, timeout_s: float = 120) -> Manifest:
    """Wait for Ready=True of the current generation; returns the resource."""

    def probe() -> Manifest | None:
        service = kubectl.get(KIND, name)
        ready = condition(service or {}, "Ready")
        assert is_ready(service), (
            f"Ready is {ready.get('status')}: {ready.get('reason')}: {ready.get('message')}"
        )
        return service

    return eventually(probe, f"InferenceService {name} Ready", timeout_s=timeout_s)


def wait_rolled_out(kubectl: Kubectl, name: str, timeout_s: float = 150) -> Manifest:
    """Wait until every pod is of the newest template; returns the Deployment."""

    def probe() -> Manifest | None:
        deployment = kubectl.get("deployment", name + CHILD_SUFFIX)
        assert deployment, "no deployment"
        status, spec = deployment.get("status", {}), deployment["spec"]
        wanted = spec.get("replicas", 1)
        counts = {
            key: status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")
        }
        assert status.get("observedGeneration") == deployment["metadata"]["generation"]
        assert all(value == wanted for value in counts.values()), f"{counts}, wanted {wanted}"
        return deployment

    return eventually(probe, f"rollout of {name}", timeout_s=timeout_s)


def post(
    url: str, body: bytes, content_type: str = "application/octet-stream", accept: str = "*/*"
) -> tuple[int, bytes]:
    """POST and return status and body, whatever the status."""
    request = urllib.request.Request(  # noqa: S310
        url, data=body, headers={"Content-Type": content_type, "Accept": accept}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def metrics(base: str) -> str:
    """What a server tells Prometheus, as it is written."""
    with urllib.request.urlopen(f"{base}/metrics", timeout=30) as answer:  # noqa: S310 - loopback
        text: str = answer.read().decode()
        return text


def detect(base: str, picture: Path) -> dict[str, Any]:
    """The article's request; fails on anything but 200."""
    status, body = post(f"{base}/object_detection", picture.read_bytes())
    assert status == 200, body[:500]
    parsed: dict[str, Any] = json.loads(body)
    return parsed


def classify(base: str, picture: Path) -> dict[str, Any]:
    """The second article's multipart request; fails on anything but 200."""
    boundary = "e2e-boundary"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; '
        f'filename="{picture.name}"\r\n\r\n'
    )
    body = head.encode() + picture.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    status, answer = post(f"{base}/predict", body, f"multipart/form-data; boundary={boundary}")
    assert status == 200, answer[:500]
    parsed: dict[str, Any] = json.loads(answer)
    return parsed


def reason_in_table(kubectl: Kubectl, name: str) -> str:
    """The REASON column of one resource."""
    rows = {row["NAME"]: row for row in kubectl.table("inferenceservices")}
    return rows.get(name, {}).get("REASON", "")


def wait_reason(kubectl: Kubectl, name: str, expected: str) -> Manifest:
    """Wait for a reason in the column; returns the resource."""

    def probe() -> bool:
        reason = reason_in_table(kubectl, name)
        assert expected in reason, f"REASON is {reason!r}"
        return True

    eventually(probe, f"REASON {expected}", timeout_s=WITHIN_S)
    service = kubectl.get(KIND, name)
    assert service
    return service
