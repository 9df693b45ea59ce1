"""KServe V1: TensorFlow Serving's row format, pictures and tensors, errors by field."""

import base64
from typing import Any

import numpy as np
import pytest

from model_server.protocols.schemas import ErrorAnswer, PictureClasses, PictureDetections
from model_server.serving.registry import Registry
from model_server.vision.inference import VisionModel
from support.tiny_models import BrightBoxDetector, MeanColourClassifier

from .conftest import Client

RED = np.zeros((8, 8, 3)).tolist()
for _row in RED:
    for _pixel in _row:
        _pixel[0] = 1.0


def encoded(picture: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(picture).decode()}


def test_models_are_listed_and_ready(client: Client) -> None:
    server = client()
    assert server.get("/v1/models").get_json() == {"models": ["lights", "colours"]}
    described = server.get("/v1/models/lights").get_json()
    assert (described["name"], described["ready"]) == ("lights", True)
    assert described["inputs"] == [
        {"name": "image", "datatype": "UINT8", "shape": [1, 100, 100, 3]}
    ]
    missing = server.get("/v1/models/nobody")
    assert missing.status_code == 404
    assert missing.get_json()["error"].startswith("unknown model 'nobody'")
    ErrorAnswer.model_validate(missing.get_json())


def test_a_picture_gets_named_detections_in_its_own_pixels(client: Client, picture: bytes) -> None:
    response = client().post(
        "/v1/models/lights:predict", json={"instances": [encoded(picture), encoded(picture)]}
    )
    first, second = response.get_json()["predictions"]
    assert first == second
    assert first["image"] == {"width": 200, "height": 100}
    (found,) = first["detections"]
    assert found["label"] == "red light"
    assert found["box"] == pytest.approx([20, 10, 60, 50], abs=2)
    PictureDetections.model_validate(first)


def test_a_picture_gets_classes(client: Client, picture: bytes) -> None:
    for instance in (encoded(picture), {"image": encoded(picture)}, {"bytes": encoded(picture)}):
        response = client().post("/v1/models/colours:predict", json={"instances": [instance]})
        (prediction,) = response.get_json()["predictions"]
        assert prediction["classes"][0]["label"] == "red"
        PictureClasses.model_validate(prediction)


def test_query_parameters_choose_what_is_answered(client: Client, picture: bytes) -> None:
    server, body = client(), {"instances": [encoded(picture)]}
    url = "/v1/models/lights:predict"
    counts = {
        query: len(
            server.post(f"{url}?{query}", json=body).get_json()["predictions"][0]["detections"]
        )
        for query in ("score_threshold=0.2", "score_threshold=0.8", "score_threshold=0&max_boxes=1")
    }
    assert list(counts.values()) == [2, 0, 1]
    classes = server.post("/v1/models/colours:predict?top_k=2", json=body).get_json()
    assert len(classes["predictions"][0]["classes"]) == 2


def test_tensors_of_equal_shape_are_computed_together(client: Client) -> None:
    model = MeanColourClassifier()
    server = client(Registry({"m": VisionModel("m", model)}))
    model.batches.clear()
    answer = server.post("/v1/models/m:predict", json={"instances": [RED, RED, {"image": RED}]})
    predictions = answer.get_json()["predictions"]
    assert model.batches == [3]
    assert predictions == [[11.0, 1.0, 1.0]] * 3


def test_several_outputs_come_by_name(client: Client) -> None:
    server = client(Registry({"m": VisionModel("m", BrightBoxDetector(side=4))}))
    image = np.zeros((4, 4, 3), int).tolist()
    answer = server.post("/v1/models/m:predict", json={"instances": [image, image]})
    rows = answer.get_json()["predictions"]
    assert len(rows) == 2
    assert set(rows[0]) == {"boxes", "classes", "scores", "count"}
    assert np.shape(rows[0]["boxes"]) == (2, 4)


def test_the_body_may_be_the_picture_and_the_answer_too(client: Client, picture: bytes) -> None:
    server = client()
    url = "/v1/models/lights:predict"
    answer = server.post(url, data=picture, content_type="image/png")
    assert answer.get_json()["predictions"][0]["detections"][0]["label"] == "red light"
    drawn = server.post(
        url, data=picture, content_type="image/png", headers={"Accept": "image/jpeg"}
    )
    assert drawn.content_type == "image/jpeg"
    assert drawn.data.startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ([], 400, 'JSON object with "instances"'),
        ({}, 400, "instances: must be a non-empty list"),
        ({"instances": []}, 400, "non-empty list"),
        ({"instances": [1] * 9}, 400, "9 given, at most 8 allowed"),
        ({"instances": [RED], "inputs": 1}, 400, "unknown field 'inputs'"),
        ({"instances": [RED], "signature_name": "other"}, 400, "signature_name"),
        ({"instances": [{"b64": "%"}]}, 400, r"instances[0]"),
        ({"instances": [{"other": RED}]}, 400, "unknown input 'other'"),
        ({"instances": [[[1, 2], [3]]]}, 400, "different lengths"),
        ({"instances": [[[1, "a"]]]}, 400, "not a valid FP32"),
        ({"instances": [[[1.0, None]]]}, 400, "not a valid FP32"),
        ({"instances": [[[1.0]]]}, 400, "has shape"),
        ({"instances": [{"b64": "aGVsbG8="}]}, 415, "not a picture"),
    ],
)
def test_wrong_bodies_name_the_field(client: Client, body: Any, status: int, said: str) -> None:
    response = client(max_instances=8).post("/v1/models/colours:predict", json=body)
    assert response.status_code == status
    assert said in response.get_json()["error"]
    ErrorAnswer.model_validate(response.get_json())


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [RED], "x" * 100_000: 1},
        {"instances": [{"x" * 100_000: [1]}]},
        {"instances": [{"x" * 100_000: "text", "y": 1}]},
    ],
    ids=range(3),
)
def test_an_error_shows_only_a_part_of_what_came(client: Client, body: Any) -> None:
    response = client().post("/v1/models/colours:predict", json=body)
    assert response.status_code == 400
    assert "..." in response.get_json()["error"]
    assert len(response.data) < 1000


def test_a_long_text_among_many_numbers_takes_no_memory(client: Client) -> None:
    # As one array of equal elements these would be 40 GB.
    body = {"instances": [["x" * 1_000_000, *[0] * 10_000]]}
    response = client().post("/v1/models/colours:predict", json=body)
    assert response.status_code == 400
    assert "not a valid FP32" in response.get_json()["error"]


@pytest.mark.parametrize("value", [256, -1, 0.5])
def test_numbers_that_the_type_cannot_hold_are_refused(client: Client, value: float) -> None:
    image = np.full((100, 100, 3), value).tolist()
    response = client().post("/v1/models/lights:predict", json={"instances": [image]})
    assert response.status_code == 400
    assert "not a valid UINT8" in response.get_json()["error"]


def test_a_method_that_predict_does_not_have_is_405(client: Client) -> None:
    response = client().get("/v1/models/colours:predict")
    assert response.status_code == 405
    assert response.headers["Allow"] == "OPTIONS, POST"


def test_versions_other_than_one_are_unknown(client: Client) -> None:
    body = {"instances": [RED]}
    server = client()
    assert server.post("/v1/models/colours/versions/1:predict", json=body).status_code == 200
    assert server.post("/v1/models/colours/versions/2:predict", json=body).status_code == 404


def test_more_json_than_memory_is_worth_is_refused(client: Client) -> None:
    body = b'{"instances":[[' + b"0," * 4_100_000 + b"0]]}"
    response = client().post(
        "/v1/models/colours:predict", data=body, content_type="application/json"
    )
    assert response.status_code == 413
    assert "4000000 values" in response.get_json()["error"]
