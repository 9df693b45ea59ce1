"""Models that neither detect nor classify: pictures and strings get raw outputs, in V1 as in V2."""

import base64
from typing import Any

import numpy as np
import pytest

from model_server.errors import InvalidModel
from model_server.models.base import Array, Model, ModelInfo, Tensors, TensorSpec
from model_server.models.labels import Labels
from model_server.serving.registry import Registry
from model_server.vision.inference import Options, VisionModel

from .conftest import Client

FLOAT32, STRING = np.dtype(np.float32), np.dtype(object)
PIXELS = TensorSpec("image", (1, 8, 8, 3), FLOAT32)


class Fixed(Model):
    """Gives the mean of its picture in outputs of the given forms; strings get their lengths."""

    def __init__(
        self,
        outputs: dict[str, Any],
        inputs: tuple[TensorSpec, ...] = (PIXELS,),
        labels: Labels | None = None,
    ) -> None:
        self._outputs = {name: np.asarray(value) for name, value in outputs.items()}
        self.info = ModelInfo(
            "savedmodel",
            inputs,
            tuple(
                TensorSpec(name, (-1, *value.shape[1:]), value.dtype)
                for name, value in self._outputs.items()
            ),
            labels=labels,
        )
        self.seen: list[Tensors] = []

    def run(self, inputs: Tensors) -> dict[str, Array]:
        self.seen.append(inputs)
        return self._outputs


def post(client: Client, model: Model, instance: Any) -> Any:
    server = client(Registry({"m": VisionModel("m", model)}))
    return server.post("/v1/models/m:predict", json={"instances": [instance]})


def b64(picture: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(picture).decode()}


POSE = {"keypoints": np.full((1, 1, 17, 3), 0.5, np.float32)}
SEGMENTS = {"mask": np.zeros((1, 4, 4), np.int64)}
HEADS = {"age": np.array([[41.0]], np.float32), "mood": np.array([[3.0, 9.0]], np.float32)}
EMBEDDING = {"embedding": np.array([[3.0, -2.0, 0.5, 7.0]], np.float32)}


@pytest.mark.parametrize("outputs", [POSE, SEGMENTS, HEADS, EMBEDDING])
@pytest.mark.parametrize("as_body", [True, False])
def test_a_picture_gets_the_models_own_outputs(
    client: Client, picture: bytes, outputs: dict[str, Any], as_body: bool
) -> None:
    server = client(Registry({"m": VisionModel("m", Fixed(outputs))}))
    url = "/v1/models/m:predict"
    if as_body:
        answer = server.post(url, data=picture, content_type="image/png")
    else:
        answer = server.post(url, json={"instances": [b64(picture), b64(picture)]})
    assert answer.status_code == 200, answer.text
    rows = answer.get_json()["predictions"]
    by_name = {name: value[0].tolist() for name, value in outputs.items()}
    expected = next(iter(by_name.values())) if len(by_name) == 1 else by_name
    assert rows == [expected] * (1 if as_body else 2)


def test_an_embedding_is_not_taken_for_a_classifier(client: Client, picture: bytes) -> None:
    model = VisionModel("m", Fixed(EMBEDDING))
    assert model.task == "tensor"
    answer = client(Registry({"m": model})).post("/predict", data=picture)
    assert answer.status_code == 400
    assert "--task classification" in answer.get_json()["error"]
    assert "labels" in answer.get_json()["error"]


@pytest.mark.parametrize(
    ("values", "labels", "task", "expected"),
    [
        ([0.1, 0.2, 0.7], None, "", "classification"),  # a softmax
        ([0.9, 0.8, 0.1], None, "", "tensor"),  # sigmoids or anything else: labels would tell
        ([5.0, -3.0, 1.0], None, "", "tensor"),
        ([5.0, -3.0, 1.0], None, "classification", "classification"),
        ([5.0, -3.0, 1.0], ("a", "b", "c"), "", "classification"),
    ],
)
def test_a_classifier_has_probabilities_or_labels_or_is_said_to_be_one(
    values: list[float], labels: tuple[str, ...] | None, task: str, expected: str
) -> None:
    named = Labels(dict(enumerate(labels))) if labels else None
    model = Fixed({"out": np.array([values], np.float32)}, labels=named)
    assert VisionModel("m", model, options=Options(task=task)).task == expected


TEXT = TensorSpec("image_bytes", (-1,), STRING)
KEY = TensorSpec("key", (-1,), STRING)


def test_bytes_beside_other_fields_reach_the_model(client: Client, picture: bytes) -> None:
    model = Fixed({**EMBEDDING, "key": np.array([b"7"], object)}, (TEXT, KEY))
    answer = post(client, model, {"image_bytes": b64(picture), "key": "7"})
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["predictions"] == [{"embedding": [3.0, -2.0, 0.5, 7.0], "key": "7"}]
    assert model.seen[-1]["image_bytes"].tolist() == [picture]
    assert model.seen[-1]["key"].tolist() == [b"7"]


def test_bytes_for_a_tensor_of_numbers_are_refused_by_name(client: Client, picture: bytes) -> None:
    other = TensorSpec("scale", (-1, 1), FLOAT32)
    model = Fixed(EMBEDDING, (TEXT, other))
    answer = post(client, model, {"image_bytes": b64(picture), "scale": b64(picture)})
    assert answer.status_code == 400
    assert "instances[0]: input 'scale' takes FP32 numbers, not b64" in answer.get_json()["error"]


@pytest.mark.parametrize(
    "names",
    [
        np.array([b"cat"], object),
        np.array([[b"cat", b"dog"]], object),
        np.array([[[b"cat"], [b"dog"]]], object),
        np.array(b"no batch", object),
        np.array([b"two", b"for one"], object),
    ],
)
def test_strings_come_back_as_text_beside_other_outputs(client: Client, names: Any) -> None:
    scores = np.array([[0.25, 0.75]], np.float32)
    answer = post(client, Fixed({"names": names, "scores": scores}, (TEXT,)), "text")
    assert answer.status_code == 200, answer.text
    (row,) = answer.get_json()["predictions"]
    whole = names[0] if names.ndim and len(names) == 1 else names
    as_text = np.vectorize(bytes.decode, otypes=[object])(whole).tolist()
    assert row == {"names": as_text, "scores": [0.25, 0.75]}


@pytest.mark.parametrize("content_type", [None, "base64"])
def test_pictures_as_bytes_reach_a_string_input_in_v2(
    client: Client, picture: bytes, content_type: str | None
) -> None:
    model = Fixed(HEADS, (TEXT,))
    server = client(Registry({"m": VisionModel("m", model)}))
    tensor: dict[str, Any] = {
        "name": "image_bytes",
        "datatype": "BYTES",
        "shape": [1],
        "data": [b64(picture)["b64"]],
    }
    if content_type:
        tensor["parameters"] = {"content_type": content_type}
    answer = server.post("/v2/models/m/infer", json={"inputs": [tensor]})
    assert answer.status_code == 200, answer.text
    assert model.seen[-1]["image_bytes"].tolist() == [picture]


@pytest.mark.parametrize("text", ["hello", "YWJj", "", "ÄÖ"])
def test_text_for_a_string_input_stays_text_in_v2(client: Client, text: str) -> None:
    """Only what decodes to a picture is taken for base64."""
    model = Fixed(HEADS, (TEXT,))
    server = client(Registry({"m": VisionModel("m", model)}))
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": [text]}
    server.post("/v2/models/m/infer", json={"inputs": [tensor]})
    assert model.seen[-1]["image_bytes"].tolist() == [text.encode()]


@pytest.mark.parametrize("dtype", [np.complex64, np.dtype("datetime64[s]"), np.dtype("V4")])
@pytest.mark.parametrize("where", ["input", "output"])
def test_a_type_that_no_protocol_carries_is_refused_at_load(dtype: Any, where: str) -> None:
    odd = TensorSpec("odd", (-1, 2), np.dtype(dtype))
    plain = TensorSpec("plain", (-1, 2), FLOAT32)
    model = Fixed({"out": np.zeros((1, 2), np.float32)})
    model.info = ModelInfo(
        "savedmodel",
        (odd,) if where == "input" else (plain,),
        (odd,) if where == "output" else (plain,),
    )
    with pytest.raises(
        InvalidModel, match=rf"model m: {where} 'odd' has type .*, which is not supported"
    ):
        VisionModel("m", model)
