"""How a body is read, whatever its Content-Type says; what is said of one that cannot be."""

import base64
from typing import Any

import orjson
import pytest

from model_server.protocols.schemas import ErrorAnswer

from .conftest import Client

# What clients send when nobody tells them: curl -d, curl --data-binary, fetch with a string,
# requests with bytes, and types that say something else on purpose.
TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "application/x-www-form-urlencoded",
    "text/plain",
    "text/plain;charset=UTF-8",
    "application/octet-stream",
    "application/vnd.api+json",
    "multipart/form-data",
    "nonsense",
    None,
]
V1 = "/v1/models/colours:predict"
V2 = "/v2/models/colours/infer"


def json_body(path: str, picture: bytes) -> bytes:
    text = base64.b64encode(picture).decode()
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}
    bodies: dict[str, Any] = {
        V1: {"instances": [{"b64": text}]},
        V2: {"inputs": [tensor]},
        "/predict": {"image": text},
        "/object_detection": {"image": text},
    }
    return orjson.dumps(bodies[path])


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("path", [V1, V2, "/predict", "/object_detection"])
@pytest.mark.parametrize("blank", [b"", b" \r\n\t"])
def test_a_body_that_is_json_is_read_as_json(
    client: Client, picture: bytes, path: str, kind: str | None, blank: bytes
) -> None:
    body = blank + json_body(path, picture)
    answer = client().post(path, data=body, content_type=kind)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", [*TYPES[2:-3], None, "image/png", "image/jpeg", "text/x-python"])
@pytest.mark.parametrize("path", [V1, "/predict", "/object_detection"])
def test_a_body_that_is_a_picture_is_read_as_a_picture(
    client: Client, picture: bytes, path: str, kind: str | None
) -> None:
    answer = client().post(path, data=picture, content_type=kind)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", [V1, "/predict", "/object_detection"])
@pytest.mark.parametrize("url_encoded", [True, False])
def test_a_form_with_base64_is_told_what_to_send(
    client: Client, picture: bytes, path: str, url_encoded: bool
) -> None:
    text = base64.b64encode(picture).decode()
    body = b"image=" + text.encode() if not url_encoded else {"image": text}
    answer = client().post(path, data=body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 415
    for part in ("URL-encoded form", "multipart/form-data", "curl -F image=@FILE"):
        assert part in answer.get_json()["error"]


@pytest.mark.parametrize("path", [V1, "/predict", "/object_detection"])
def test_multipart_without_a_boundary_is_told_so(client: Client, picture: bytes, path: str) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body += picture + b"\r\n--b--\r\n"
    answer = client().post(path, data=body, content_type="multipart/form-data")
    assert (answer.status_code, answer.get_json()["code"]) == (400, "InvalidRequest")
    assert "has no boundary" in answer.get_json()["error"]


@pytest.mark.parametrize("path", [V1, "/predict", "/object_detection"])
@pytest.mark.parametrize("kind", [None, "text/x-python", "application/pdf", "image/png"])
def test_what_is_neither_is_named_by_its_type(client: Client, path: str, kind: str | None) -> None:
    answer = client().post(path, data=b"import os\n", content_type=kind)
    assert (answer.status_code, answer.get_json()["code"]) == (415, "UnsupportedMediaType")
    assert "UTF-8" not in answer.text
    if kind and not kind.startswith("image/"):
        assert f"Content-Type {kind}" in answer.get_json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "arguments"),
    [
        ("GET", "/nothing", {}),
        ("GET", "/v1/nothing", {}),
        ("GET", "/v2/models/none", {}),
        ("GET", "/v1/models/none", {}),
        ("GET", "/predict", {}),
        ("POST", "/predict", {"data": b"hello"}),
        ("POST", "/object_detection", {"data": b"x" * 200_000}),
        ("POST", V1, {"json": {}}),
        ("POST", V2, {"json": {}}),
        ("POST", "/predict", {"data": b"x", "headers": {"Content-Encoding": "br"}}),
    ],
)
def test_every_error_has_one_form(
    client: Client, method: str, path: str, arguments: dict[str, Any]
) -> None:
    answer = client(max_body_bytes=100_000).open(path, method=method, **arguments)
    assert answer.status_code >= 400
    document = answer.get_json()
    ErrorAnswer.model_validate(document)
    assert isinstance(document["error"], str)
    assert document["code"].isidentifier()
    assert document["success"] is False


@pytest.mark.parametrize(
    ("path", "accept", "types"),
    [
        ("/predict", "image/png", "application/json"),
        ("/object_detection", "video/mp4", "image/png, image/jpeg"),
    ],
)
def test_a_406_names_what_is_asked_for_and_what_can_be_sent(
    client: Client, picture: bytes, path: str, accept: str, types: str
) -> None:
    answer = client().post(path, data=picture, headers={"Accept": accept})
    assert answer.status_code == 406
    assert f"Accept: {accept}" in answer.get_json()["error"]
    assert types in answer.get_json()["error"]
