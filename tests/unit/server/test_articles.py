"""The two articles' endpoints: their JSON to the byte, and typed errors for everything else."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest

from model_server.protocols.schemas import ArticleDetections, ArticlePredictions, ErrorAnswer

from .conftest import Client


def test_detection_answers_as_the_article_says(client: Client, picture: bytes) -> None:
    response = client().post("/object_detection", data=picture, content_type="image/jpeg")
    assert response.status_code == 200
    answer = json.loads(response.data)
    assert list(answer) == ["detections", "image size", "image data"]
    assert answer["detections"] == [{"red light": "79%"}]
    assert answer["image size"] == "size=200x100"
    pixels = np.asarray(answer["image data"])
    assert pixels.shape == (100, 200, 3)
    # BGR: the red light's third channel is the bright one.
    assert pixels[30, 40].tolist() == [0, 0, 255]
    ArticleDetections.model_validate(answer)


def test_prediction_answers_as_the_article_says(client: Client, picture: bytes) -> None:
    upload = {"image": (io.BytesIO(picture), "dog.png")}
    response = client().post("/predict", data=upload, content_type="multipart/form-data")
    assert response.status_code == 200
    answer = json.loads(response.data)
    assert list(answer) == ["predictions", "success"]
    assert answer["success"] is True
    assert [list(item) for item in answer["predictions"]] == [["label", "probability"]] * 3
    assert answer["predictions"][0]["label"] == "red"
    ArticlePredictions.model_validate(answer)


@pytest.mark.parametrize("url", ["/object_detection", "/predict"])
def test_every_way_to_send_a_picture(client: Client, picture: bytes, url: str) -> None:
    text = base64.b64encode(picture).decode()
    ways: list[dict[str, Any]] = [
        {"data": picture},
        {"data": picture, "content_type": "image/png"},
        {"data": picture, "content_type": "application/octet-stream"},
        {"data": picture, "content_type": "application/x-www-form-urlencoded"},
        {"data": {"image": (io.BytesIO(picture), "a.png")}},
        {"data": {"file": (io.BytesIO(picture), "a.png")}},
        {"json": {"image": text}},
        {"json": {"image": {"b64": text}}},
        {"json": {"image": f"data:image/png;base64,{text}"}},
    ]
    server = client()
    answers = [server.post(url, **way) for way in ways]
    assert [answer.status_code for answer in answers] == [200] * len(ways)
    assert len({answer.data for answer in answers}) == 1


@pytest.mark.parametrize("url", ["/object_detection", "/predict"])
@pytest.mark.parametrize(
    ("request_arguments", "status", "code"),
    [
        ({}, 400, "MissingImage"),
        ({"data": {"other": "text"}, "content_type": "multipart/form-data"}, 400, "MissingImage"),
        ({"data": {"other": "text"}}, 415, "UnsupportedMediaType"),
        ({"data": b"hello"}, 415, "UnsupportedMediaType"),
        ({"data": b"x", "content_type": "text/plain"}, 415, "UnsupportedMediaType"),
        ({"data": b"{", "content_type": "application/json"}, 400, "InvalidRequest"),
        ({"data": b"[" * 90_000, "content_type": "application/json"}, 400, "InvalidRequest"),
        ({"json": []}, 400, "MissingImage"),
        ({"json": {"image": 5}}, 400, "InvalidRequest"),
        ({"json": {"image": "%%%"}}, 400, "InvalidRequest"),
        ({"data": b"x" * 200_000}, 413, "PayloadTooLarge"),
        ({"data": b"x", "content_type": "multipart/form-data"}, 400, "InvalidRequest"),
    ],
)
def test_bad_input_is_a_typed_error(
    client: Client, url: str, request_arguments: Any, status: int, code: str
) -> None:
    response = client(max_body_bytes=100_000).post(url, **request_arguments)
    answer = response.get_json()
    assert (response.status_code, answer["code"]) == (status, code)
    assert answer["success"] is False
    assert "Traceback" not in response.text
    ErrorAnswer.model_validate(answer)


def test_an_empty_upload_is_a_missing_image(client: Client) -> None:
    response = client().post("/predict", data={"image": (io.BytesIO(b""), "a.png")})
    assert response.get_json()["code"] == "MissingImage"


def test_unknown_paths_and_wrong_methods_are_typed_errors(client: Client) -> None:
    server = client()
    missing = server.get("/nothing")
    assert (missing.status_code, missing.get_json()["code"]) == (404, "UnknownPath")
    wrong = server.get("/predict")
    assert (wrong.status_code, wrong.get_json()["code"]) == (405, "MethodNotAllowed")
    assert wrong.headers["Allow"] == "OPTIONS, POST"


def test_a_failure_inside_says_nothing_about_it(client: Client, monkeypatch: Any) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("model_server.http.blueprints.articles.picture", broken)
    response = client().post("/predict", data=b"x")
    assert response.status_code == 500
    assert response.get_json()["code"] == "InferenceFailed"
    assert "secret" not in response.text


class Noted(io.BytesIO):
    """A body that notes how it is read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.asked: list[int | None] = []

    def read(self, size: int | None = -1, /) -> bytes:
        self.asked.append(size)
        return super().read(size)


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=b"])
def test_a_body_is_read_at_once(client: Client, picture: bytes, kind: str) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body = head + picture + b"\r\n--b--\r\n" if "form" in kind else picture
    stream = Noted(body)
    given = {
        "wsgi.input": stream,
        "wsgi.input_terminated": True,
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": kind,
    }
    response = client().post("/predict", environ_overrides=given)
    assert response.status_code == 200
    assert stream.asked == [len(body)]


def test_a_body_that_is_too_long_is_not_read(client: Client, picture: bytes) -> None:
    stream = Noted(picture)
    given = {
        "wsgi.input": stream,
        "wsgi.input_terminated": True,
        "CONTENT_LENGTH": str(len(picture)),
    }
    server = client(max_body_bytes=len(picture) - 1)
    response = server.post("/predict", content_type="image/png", environ_overrides=given)
    assert response.status_code == 413
    assert response.get_json()["code"] == "PayloadTooLarge"
    assert stream.asked == []
