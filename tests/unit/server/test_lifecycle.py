"""What surrounds a request: ids, log lines, metrics, probes, deadlines."""

import base64
import io
import logging
import socket
import threading
import time
from typing import Any

import orjson
import pytest
from PIL import Image

from model_server.logs import JsonFormatter, TextFormatter
from model_server.request.budgets import PictureBudget
from model_server.serving.registry import Registry
from model_server.vision.inference import Options, VisionModel
from support.poll import eventually
from support.tiny_models import BrightBoxDetector

from .conftest import Client


def test_the_clients_request_id_comes_back(client: Client) -> None:
    response = client().get("/healthz", headers={"X-Request-Id": "abc-1"})
    assert response.headers["X-Request-Id"] == "abc-1"


@pytest.mark.parametrize("wanted", ["", "x" * 200, "with space", "<script>"])
def test_an_unsafe_request_id_is_replaced(client: Client, wanted: str) -> None:
    response = client().get("/healthz", headers={"X-Request-Id": wanted})
    assert len(response.headers["X-Request-Id"]) == 32


def test_probes_answer(client: Client) -> None:
    assert client().get("/healthz").get_json() == {"status": "alive"}
    ready = client().get("/readyz").get_json()
    assert ready == {"status": "ready", "models": ["lights", "colours"], "not_served": {}}


def test_a_request_is_one_log_line(
    client: Client, picture: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = client()
    server.get("/healthz")
    server.post("/predict", data=picture, headers={"X-Request-Id": "r1"})
    (record,) = caplog.records
    line = orjson.loads(JsonFormatter().format(record))
    assert line["message"] == "POST /predict 200"
    assert line["request_id"] == "r1"
    assert line["model"] == "colours"
    assert {"queue", "decode", "preprocess", "inference", "postprocess"} <= set(line["stages_ms"])
    assert "request_id=r1" in TextFormatter().format(record)


def test_metrics_count_requests_stages_and_errors(client: Client, picture: bytes) -> None:
    server = client()
    server.post("/predict", data=picture)
    server.post("/predict", data=b"")
    server.get("/made/up/by/the/client")
    page = server.get("/metrics").text
    for line in (
        'model_server_requests_total{endpoint="/predict",model="colours",status="200"} 1.0',
        'model_server_errors_total{code="MissingImage",endpoint="/predict"} 1.0',
        'model_server_errors_total{code="UnknownPath",endpoint="unmatched"} 1.0',
        'model_server_stage_seconds_count{model="colours",stage="inference"} 1.0',
        'model_server_model_info{format="tflite",model="lights",task="detection"} 1.0',
    ):
        assert line in page
    assert "made" not in page


def test_a_full_queue_is_503_and_probes_still_answer(client: Client, picture: bytes) -> None:
    model = BrightBoxDetector()
    registry = Registry({"m": VisionModel("m", model)})
    server = client(registry, container_concurrency=1, queue_size=0)
    model.busy.acquire()  # the warm-up
    model.hold.clear()
    first: list[Any] = []
    thread = threading.Thread(target=lambda: first.append(_detect(server, picture)))
    thread.start()
    assert model.busy.acquire(timeout=10)
    refused = _detect(server, picture)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "1"
    assert refused.get_json()["code"] == "Overloaded"
    assert server.get("/readyz").status_code == 200
    model.hold.set()
    thread.join(10)
    assert first[0].status_code == 200


def _detect(server: Any, picture: bytes) -> Any:
    return server.application.test_client().post("/object_detection", data=picture)


def test_a_request_whose_time_is_up_is_504(client: Client, picture: bytes) -> None:
    server = client(timeout_seconds=0.0001)
    time.sleep(0.001)
    response = server.post("/predict", data=picture)
    assert response.status_code == 504
    assert response.get_json()["code"] == "DeadlineExceeded"


def test_bodies_are_counted_while_their_requests_last(client: Client, picture: bytes) -> None:
    server = client(max_waiting_bytes=len(picture) + 10)
    bodies = server.application.extensions["model_server"].bodies
    assert server.post("/predict", data=picture).status_code == 200
    assert bodies.reserved == 0
    bodies.reserve(20)
    refused = server.post("/predict", data=picture)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert bodies.reserved == 20


PIXELS = [[[0.5] * 3] * 8] * 8
TENSOR = {"name": "image", "shape": [1, 8, 8, 3], "datatype": "FP32", "data": [0.5] * 192}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/colours:predict", {"instances": [PIXELS]}),
        ("/v2/models/colours/infer", {"inputs": [TENSOR]}),
        ("/predict", {"image": "PICTURE"}),
        ("/predict", None),
    ],
)
def test_what_is_made_of_a_body_is_counted_too(
    client: Client, picture: bytes, path: str, body: dict[str, Any] | None
) -> None:
    if body is None:
        head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        data, kind = head + picture + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"
    else:
        text = orjson.dumps(body).replace(b"PICTURE", base64.b64encode(picture))
        data, kind = text, "application/json"
    server = client(max_waiting_bytes=len(data) + 200)
    bodies = server.application.extensions["model_server"].bodies
    bodies.reserve(100)
    refused = server.post(path, data=data, content_type=kind)
    assert refused.status_code == 503, "the body fits beside the other, its objects do not"
    assert bodies.reserved == 100
    bodies.release(100)
    assert server.post(path, data=data, content_type=kind).status_code == 200
    assert bodies.reserved == 0


def test_compressed_bodies_are_refused(client: Client, picture: bytes) -> None:
    response = client().post("/predict", data=picture, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 415
    assert "gzip" in response.get_json()["error"]


def test_a_client_that_hung_up_while_it_waited_costs_no_inference(
    client: Client, picture: bytes
) -> None:
    model = BrightBoxDetector()
    server = client(Registry({"m": VisionModel("m", model)}), container_concurrency=1)
    gate = server.application.extensions["model_server"].gate
    model.busy.acquire()  # the warm-up
    model.hold.clear()
    answers: list[Any] = []
    ours, theirs = socket.socketpair()

    def ask(connection: socket.socket | None = None) -> None:
        environment = {"gunicorn.socket": connection} if connection else {}
        answers.append(
            server.application.test_client().post(
                "/object_detection", data=picture, environ_overrides=environment
            )
        )

    threads = [threading.Thread(target=ask), threading.Thread(target=ask, args=(ours,))]
    threads[0].start()
    assert model.busy.acquire(timeout=10)
    threads[1].start()
    eventually(lambda: gate.waiting == 1, "the second one waits", 10, 0.001)
    theirs.close()
    model.hold.set()
    for thread in threads:
        thread.join(10)
    ours.close()
    assert sorted(answer.status_code for answer in answers) == [200, 499]
    assert model.runs == 2  # the warm-up and the first


def test_a_pictures_memory_is_held_until_its_answer_is_sent(client: Client) -> None:
    image = io.BytesIO()
    Image.new("RGB", (2000, 2000)).save(image, "PNG")
    budget = PictureBudget()
    model = VisionModel("m", BrightBoxDetector(), options=Options(pictures=budget))
    server = client(Registry({"m": model}))
    wanted = {"Accept": "application/vnd.inference-operator.detections+json"}
    with server.post("/object_detection", data=image.getvalue(), headers=wanted) as response:
        assert response.status_code == 200
        assert budget.taken == 0  # nobody draws on it
    with server.post("/object_detection", data=image.getvalue()) as response:
        assert next(response.iter_encoded())
        assert budget.taken == 2000 * 2000 * 8
    assert budget.taken == 0
    refused = server.post("/object_detection", data=image.getvalue()[:-2000])
    refused.close()
    assert refused.status_code == 400
    assert budget.taken == 0
