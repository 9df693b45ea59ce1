"""What bounds a server's work reaches it from the resource: concurrency and time."""

from __future__ import annotations

from support.isvc import (
    KIND,
    PICTURE,
    detect,
    inference_service,
    metrics,
    wait_ready,
    wait_rolled_out,
)
from support.kube import Kubectl
from support.pods import PYTHON, helper_pod, start_load, wait_pod_ready
from support.poll import eventually

# Sends the head of a request and the first byte of its body; prints the first line of the answer.
TRICKLE = """
import socket, sys
with socket.create_connection((sys.argv[1], 80), timeout=float(sys.argv[2])) as connection:
    connection.sendall(b'POST /object_detection HTTP/1.1\\r\\nHost: server\\r\\n'
                       b'Content-Type: image/jpeg\\r\\nContent-Length: 1000\\r\\n\\r\\n\\xff')
    try:
        print(connection.recv(100).decode().splitlines()[0])
    except TimeoutError:
        print('silence')
"""


def test_more_than_fits_waits_or_is_refused(kubectl: Kubectl, images: dict[str, str]) -> None:
    predictor = {
        "containerConcurrency": 2,
        "model": {"env": [{"name": "MODEL_SERVER_QUEUE_SIZE", "value": "4"}]},
    }
    kubectl.apply(inference_service("busy", predictor))
    wait_ready(kubectl, "busy")
    load = start_load(kubectl, images["litert"], "busy-predictor", PICTURE, threads=16)

    def has_refused() -> bool:
        with kubectl.port_forward("svc/busy-predictor") as base:
            return 'status="503"' in metrics(base)

    eventually(has_refused, "some are refused")
    report = load.stop()
    # Six of sixteen have a place; the others are told so at once, and nothing else happens to any.
    assert set(report["statuses"]) == {"200", "503"}, report
    assert report["retry_after"] == report["statuses"]["503"], report
    with kubectl.port_forward("svc/busy-predictor") as base:
        assert detect(base, PICTURE)["detections"], "after the rush all is as before"


def test_a_request_has_its_time_and_no_more(kubectl: Kubectl, images: dict[str, str]) -> None:
    kubectl.apply(
        inference_service("brief", {"timeout": 2}),
        helper_pod("slow", images["litert"], [PYTHON, "-c", "import time; time.sleep(600)"]),
    )
    wait_ready(kubectl, "brief")
    wait_pod_ready(kubectl, "slow")

    def answer(patience_s: int) -> str:
        script = [PYTHON, "-c", TRICKLE, "brief-predictor", str(patience_s)]
        return kubectl.run("exec", "slow", "--", *script).strip()

    assert eventually(lambda: answer(30), "an answer") == "HTTP/1.1 408 REQUEST TIMEOUT"
    kubectl.patch(KIND, "brief", {"spec": {"predictor": {"timeout": 600}}})
    wait_ready(kubectl, "brief")
    wait_rolled_out(kubectl, "brief")
    # The old pod may still get a request or two.
    eventually(lambda: answer(8) == "silence", "the new pod waits longer for the body")
