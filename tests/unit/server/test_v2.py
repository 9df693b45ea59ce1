"""The Open Inference Protocol over REST: metadata, JSON and binary tensors, errors by name."""

import base64
import hashlib
import json
import struct
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from model_server.errors import RequestError
from model_server.http.app import create_app
from model_server.models.base import ImageInput
from model_server.protocols.schemas import V1Model, V2Model
from model_server.protocols.v2_json import parse_request
from model_server.serving.registry import load_registry
from model_server.serving.sources import find_sources
from model_server.settings import load_settings
from model_server.vision.inference import VisionModel
from model_server.vision.preparation import preparation_facts
from support.tiny_models import BrightBoxDetector, MeanColourClassifier

from .conftest import Client

HEADER = "Inference-Header-Content-Length"
BLACK = np.zeros((1, 8, 8, 3), np.float32)


def tensor(**changes: Any) -> dict[str, Any]:
    base = {"name": "image", "shape": [1, 8, 8, 3], "datatype": "FP32"}
    return {**base, "data": BLACK.ravel().tolist(), **changes}


def infer(server: FlaskClient, body: Any, model: str = "colours") -> Any:
    return server.post(f"/v2/models/{model}/infer", json=body)


def binary(server: FlaskClient, head: Any, parts: bytes, model: str) -> Any:
    text = json.dumps(head).encode()
    return server.post(
        f"/v2/models/{model}/infer",
        data=text + parts,
        headers={HEADER: str(len(text)), "Content-Type": "application/octet-stream"},
    )


def as_bytes(elements: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def test_server_and_models_describe_themselves(client: Client) -> None:
    server = client()
    assert server.get("/v2").get_json()["extensions"] == ["binary_tensor_data", "classification"]
    assert server.get("/v2/health/live").status_code == 200
    assert server.get("/v2/health/ready").status_code == 200
    assert server.get("/v2/models").get_json() == {"models": ["lights", "colours"]}
    index = server.post("/v2/repository/index").get_json()
    assert [(item["name"], item["state"]) for item in index] == [
        ("lights", "READY"),
        ("colours", "READY"),
    ]
    for url in ("/v2/models/lights", "/v2/models/lights/versions/1"):
        assert server.get(url).get_json() == {
            "name": "lights",
            "versions": ["1"],
            "platform": "tensorflow_lite",
            "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 100, 100, 3]}],
            "outputs": [
                {"name": "boxes", "datatype": "FP32", "shape": [1, 2, 4]},
                {"name": "classes", "datatype": "FP32", "shape": [1, 2]},
                {"name": "scores", "datatype": "FP32", "shape": [1, 2]},
                {"name": "count", "datatype": "FP32", "shape": [1]},
                {"name": "labels", "datatype": "BYTES", "shape": [-1, -1]},
            ],
            "parameters": {
                "format": "tflite",
                "task": "detection",
                "digest": "",
                "preprocessing": preparation_facts(ImageInput(resize="nearest", source="type")),
                "warnings": [],
            },
        }
        assert server.get(f"{url}/ready").get_json() == {"name": "lights", "ready": True}


@pytest.mark.parametrize(
    "url", ["/v2/models/nobody", "/v2/models/nobody/ready", "/v2/models/lights/versions/7"]
)
def test_unknown_models_and_versions(client: Client, url: str) -> None:
    response = client().get(url)
    assert response.status_code == 404
    assert response.get_json()["code"] == "UnknownModel"


def test_json_tensors_flat_or_nested(client: Client) -> None:
    server = client()
    for data in (BLACK.ravel().tolist(), BLACK.tolist()):
        answer = infer(server, {"id": "42", "inputs": [tensor(data=data)]}).get_json()
        assert answer == {
            "model_name": "colours",
            "model_version": "1",
            "id": "42",
            "outputs": [
                {"name": "logits", "datatype": "FP32", "shape": [1, 3], "data": [1.0, 1.0, 1.0]}
            ],
        }


def test_binary_tensors_both_ways(client: Client) -> None:
    batch = np.zeros((2, 8, 8, 3), np.float32)
    batch[1, ..., 2] = 1.0
    head = {
        "inputs": [
            {
                "name": "image",
                "shape": [2, 8, 8, 3],
                "datatype": "FP32",
                "parameters": {"binary_data_size": batch.nbytes},
            }
        ],
        "outputs": [{"name": "logits", "parameters": {"binary_data": True}}],
    }
    answer = binary(client(), head, batch.tobytes(), "colours")
    assert answer.status_code == 200
    length = int(answer.headers[HEADER])
    document = json.loads(answer.data[:length])
    (output,) = document["outputs"]
    assert output["parameters"] == {"binary_data_size": 24}
    logits = np.frombuffer(answer.data[length:], "<f4").reshape(output["shape"])
    assert logits.tolist() == [[1, 1, 1], [1, 1, 11]]


def test_a_bytes_tensor_is_a_picture(client: Client, picture: bytes) -> None:
    server = client()
    text = base64.b64encode(picture).decode()
    item = {"name": "picture", "shape": [1], "datatype": "BYTES", "data": [text]}
    answer = infer(server, {"inputs": [item]}, "lights").get_json()
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["labels"]["data"] == ["red light", "light"]
    assert outputs["scores"]["data"] == pytest.approx([0.79, 0.25])
    head = {
        "inputs": [
            {
                "name": "image",
                "shape": [2, 1],
                "datatype": "BYTES",
                "parameters": {"binary_data_size": 2 * (len(picture) + 4)},
            }
        ],
        "outputs": [{"name": "boxes"}, {"name": "labels", "parameters": {"binary_data": True}}],
    }
    answer = binary(server, head, as_bytes([picture, picture]), "lights")
    length = int(answer.headers[HEADER])
    boxes, labels = json.loads(answer.data[:length])["outputs"]
    assert boxes["shape"] == [2, 2, 4]
    assert labels["shape"] == [2, 2]
    assert answer.data[length:] == as_bytes([b"red light", b"light"] * 2)


def test_the_whole_body_may_be_one_picture_or_tensor(client: Client, picture: bytes) -> None:
    server = client()
    for body, model, name in (
        (picture, "lights", "labels"),
        (BLACK.tobytes(), "colours", "logits"),
        (picture, "colours", "logits"),
    ):
        answer = server.post(f"/v2/models/{model}/infer", data=body, headers={HEADER: "0"})
        assert answer.status_code == 200
        assert answer.get_json()["outputs"][-1]["name"] == name


def test_the_classification_extension(client: Client, picture: bytes) -> None:
    text = base64.b64encode(picture).decode()
    item = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]}
    wanted = {"name": "logits", "parameters": {"classification": 2}}
    answer = infer(client(), {"inputs": [item], "outputs": [wanted]}).get_json()
    (output,) = answer["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [1, 2])
    score, index, label = output["data"][0].split(":")
    assert (index, label) == ("0", "red")
    assert 0 < float(score) <= 1


def test_binary_output_for_all(client: Client) -> None:
    body = {"inputs": [tensor()], "parameters": {"binary_data_output": True}}
    answer = infer(client(), body)
    assert answer.content_type == "application/octet-stream"
    assert len(answer.data) - int(answer.headers[HEADER]) == 12


def test_the_classes_of_no_row_are_no_rows(client: Client) -> None:
    wanted = {"name": "logits", "parameters": {"classification": 2}}
    answer = infer(client(), {"inputs": [tensor(shape=[0, 8, 8, 3], data=[])], "outputs": [wanted]})
    (output,) = answer.get_json()["outputs"]
    assert (output["datatype"], output["shape"], output["data"]) == ("BYTES", [0, 2], [])


BINARY = {"binary_data_size": 4}
LONG = "x" * 100_000
DEEP = json.loads("[" * 100 + "]" * 100)


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [tensor(datatype=LONG)]},
        {"inputs": [tensor(name=LONG, datatype="FP64")]},
        {"inputs": [tensor(name=LONG)]},
        {"inputs": [tensor(name=LONG, parameters=[])]},
        {"inputs": [tensor(name=LONG, data=DEEP)]},
        {"inputs": [tensor(name=LONG, datatype="BYTES", shape=[1], data=["%"])]},
        {"inputs": [tensor()], "outputs": [{"name": LONG}]},
        {"inputs": [tensor()], LONG: 1},
    ],
    ids=range(8),
)
def test_an_error_shows_only_a_part_of_what_came(client: Client, body: Any) -> None:
    response = infer(client(), body)
    assert response.status_code == 400
    assert "..." in response.get_json()["error"] or "too deep" in response.get_json()["error"]
    assert len(response.data) < 1000


@pytest.mark.parametrize("field", ["name", "datatype", "shape", "data", "parameters"])
def test_a_value_may_be_nested_as_deeply_as_the_parser_allows(client: Client, field: str) -> None:
    text = json.dumps({"inputs": [tensor(**{field: "DEEP"})]})
    body = text.replace('"DEEP"', "[" * 1000 + "]" * 1000)
    response = client().post("/v2/models/colours/infer", data=body)
    assert response.status_code == 400
    assert len(response.data) < 1000


def test_a_long_text_among_many_numbers_takes_no_memory(client: Client) -> None:
    # As one array of equal elements these would be 40 GB.
    body = {"inputs": [tensor(data=["x" * 1_000_000, *[0] * 10_000])]}
    response = infer(client(), body)
    assert response.status_code == 400
    assert "not a valid FP32" in response.get_json()["error"]


def test_names_that_the_kserve_sdk_repeats_from_the_url_are_taken(client: Client) -> None:
    body = {"inputs": [tensor()], "model_name": "colours", "model_version": None}
    assert infer(client(), body).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], 'JSON object with "inputs"'),
        ({}, "non-empty list of tensors"),
        ({"inputs": [5]}, "must be a JSON object"),
        ({"inputs": [tensor()], "extra": 1}, "unknown field 'extra'"),
        ({"inputs": [tensor(), tensor()]}, "'image' is given twice"),
        ({"inputs": [tensor(name=None)]}, "name: must be a string"),
        ({"inputs": [tensor(name="other")]}, "unknown input 'other'"),
        ({"inputs": [tensor(datatype="FLOAT")]}, "'FLOAT' is not one of BOOL"),
        ({"inputs": [tensor(datatype="FP64")]}, "has type FP64; the model expects FP32"),
        ({"inputs": [tensor(shape="1")]}, "shape must be a list"),
        ({"inputs": [tensor(shape=[1, 8, 8, 4])]}, "needs 256 elements, but the data has 192"),
        ({"inputs": [tensor(shape=[-1, 8, 8, 3])]}, "integers >= 0"),
        ({"inputs": [tensor(shape=[2**40])]}, "integers >= 0"),
        ({"inputs": [tensor(shape=[192])]}, "has shape [192]; the model expects [-1, 8, 8, 3]"),
        ({"inputs": [tensor(data=["a"])]}, "not a valid FP32"),
        ({"inputs": [tensor(data=[[1], [1, 2]])]}, "different lengths"),
        ({"inputs": [tensor(parameters=[])]}, "parameters must be a JSON object"),
        ({"inputs": [tensor(parameters=BINARY)]}, "binary_data_size is 4, but 0 bytes"),
        ({"inputs": [tensor()], "outputs": [{"name": "x"}]}, "unknown output 'x'"),
        ({"inputs": [tensor()], "outputs": 3}, "outputs: must be a list"),
        ({"inputs": [tensor()], "id": 5}, "id: must be a string"),
        ({"inputs": [tensor(datatype="BYTES", shape=[1], data=["%"])]}, "not valid base64"),
        ({"inputs": [tensor(datatype="BYTES", shape=[0], data=[])]}, "the request has 0 pictures"),
    ],
)
def test_wrong_requests_are_named(client: Client, body: Any, said: str) -> None:
    response = infer(client(), body)
    assert response.status_code == 400
    assert said in response.get_json()["error"]


@pytest.mark.parametrize("length", ["x", "-1", "99999", "1" * 20])
def test_a_wrong_header_length_is_refused(client: Client, length: str) -> None:
    response = client().post("/v2/models/colours/infer", data=b"{}", headers={HEADER: length})
    assert response.status_code == 400
    assert HEADER in response.get_json()["error"]


MODELS = [VisionModel("a", BrightBoxDetector()), VisionModel("b", MeanColourClassifier())]


def lists_and_objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(children, max_size=4) | st.dictionaries(
        st.text(max_size=5), children, max_size=4
    )


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lists_and_objects,
    max_leaves=12,
)
TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("image") | JSON_VALUES,
        "shape": st.lists(st.integers(-2, 9), max_size=5) | JSON_VALUES,
        "datatype": st.sampled_from(["FP32", "UINT8", "BYTES", "BOOL"]) | JSON_VALUES,
        "data": JSON_VALUES,
        "parameters": st.dictionaries(
            st.sampled_from(["binary_data_size", "content_type"]), JSON_VALUES
        ),
    },
)


@settings(deadline=None, max_examples=200)
@given(
    st.fixed_dictionaries(
        {"inputs": st.lists(TENSORS, max_size=3)},
        optional={"outputs": JSON_VALUES, "parameters": JSON_VALUES, "id": JSON_VALUES},
    ),
    st.binary(max_size=40),
    st.integers(0, 300) | st.none(),
    st.sampled_from(MODELS),
)
def test_any_body_is_a_request_or_a_request_error(
    document: Any, rest: bytes, length: int | None, model: VisionModel
) -> None:
    body = json.dumps(document).encode() + rest
    try:
        request = parse_request(body, length, model, 4)
    except RequestError:
        return
    assert all(isinstance(array, np.ndarray) for array in request.inputs.values())


def test_the_digest_is_that_of_the_files() -> None:
    """Of a model from files, in V1 and V2 alike: the same that `sha256sum` prints."""
    settings_ = load_settings(model="bundled://classifier", name="sketches")
    source = find_sources(settings_).models["sketches"]
    server = create_app(settings_, load_registry(settings_)).test_client()
    v2 = V2Model.model_validate(server.get("/v2/models/sketches").get_json())
    v1 = V1Model.model_validate(server.get("/v1/models/sketches").get_json())
    wanted = "sha256:" + hashlib.sha256(source.path.read_bytes()).hexdigest()
    assert v1.digest == v2.parameters.digest == wanted
    assert (v1.format, v1.task) == ("tflite", "classification")
    assert v1.inputs == v2.inputs
    assert v1.outputs == v2.outputs
