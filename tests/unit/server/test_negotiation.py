"""The same URL answers JSON or the annotated picture; query parameters are checked by name."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_server.http.options import DETECTIONS
from model_server.protocols.schemas import Detections

from .conftest import Client

URL = "/object_detection"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html,*/*;q=0.8", "application/json"),
        ("image/png", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("image/*", "image/png"),
        ("image/webp,image/jpeg;q=0.9", "image/jpeg"),
        (DETECTIONS, DETECTIONS),
        (f"{DETECTIONS}, application/json;q=0.5", DETECTIONS),
    ],
)
def test_the_accept_header_chooses(
    client: Client, picture: bytes, accept: str | None, kind: str
) -> None:
    headers = {"Accept": accept} if accept else {}
    response = client().post(URL, data=picture, headers=headers)
    assert response.status_code == 200
    assert response.content_type == kind


def test_the_picture_is_the_same_as_in_the_articles_json(client: Client, picture: bytes) -> None:
    server = client()
    listed = np.asarray(server.post(URL, data=picture).get_json()["image data"])
    png = server.post(URL, data=picture, headers={"Accept": "image/png"}).data
    with Image.open(io.BytesIO(png)) as image:
        assert np.array_equal(np.asarray(image)[..., ::-1], listed)


def test_boxes_and_if_wanted_the_picture_inside_json(client: Client, picture: bytes) -> None:
    server, headers = client(), {"Accept": DETECTIONS}
    plain = Detections.model_validate(server.post(URL, data=picture, headers=headers).get_json())
    assert plain.picture is None
    assert plain.model.name == "lights"
    assert plain.detections[0].box == pytest.approx([20, 10, 60, 50], abs=2)
    drawn = server.post(f"{URL}?picture=jpeg", data=picture, headers=headers).get_json()
    Detections.model_validate(drawn)
    assert drawn["picture"]["content_type"] == "image/jpeg"
    assert base64.b64decode(drawn["picture"]["base64"]).startswith(b"\xff\xd8")


@pytest.mark.parametrize("url", [URL, "/predict"])
def test_what_cannot_be_made_is_406(client: Client, picture: bytes, url: str) -> None:
    response = client().post(url, data=picture, headers={"Accept": "video/mp4"})
    assert response.status_code == 406
    assert response.get_json()["code"] == "NotAcceptable"


def test_an_address_that_ends_in_a_slash_is_no_redirect(client: Client, picture: bytes) -> None:
    path = {"PATH_INFO": "//object_detection"}
    assert client().post("/", data=picture, environ_overrides=path).status_code == 200


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("threshold=0.5", "'threshold'; the parameters are score_threshold, max_boxes, picture"),
        ("score_threshold=2", "must be between 0 and 1"),
        ("score_threshold=nan", "must be between 0 and 1"),
        ("score_threshold=x", "must be between 0 and 1"),
        ("max_boxes=0", "from 1 to 1000"),
        ("max_boxes=1e3", "from 1 to 1000"),
        ("max_boxes=%D9%A3", "from 1 to 1000"),
        ("max_boxes=1&max_boxes=2", "more than once"),
        ("picture=gif", "must be png or jpeg"),
    ],
)
def test_wrong_parameters_are_named(client: Client, picture: bytes, query: str, said: Any) -> None:
    response = client().post(f"{URL}?{query}", data=picture)
    assert response.status_code == 400
    assert said in response.get_json()["error"]
