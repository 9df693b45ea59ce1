"""Models that take strings, and what is said of those that nobody knows how to feed."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_server.errors import InferenceFailed, WarmUpFailed
from model_server.models.base import Model, ModelInfo, Tensors, TensorSpec
from model_server.models.causes import cause_of
from model_server.models.labels import Labels
from model_server.request.context import RequestContext
from model_server.vision.images import encode
from model_server.vision.inference import VisionModel

STRING = np.dtype(object)
FLOAT = np.dtype(np.float32)
COLOURS = Labels({0: "red", 1: "green", 2: "blue"})


def mean_colour(content: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.float32).mean((0, 1))


def web_safe(content: bytes) -> bytes:
    if not set(content) <= set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"):
        raise ValueError("not web-safe base64")
    return base64.urlsafe_b64decode(content + b"=" * (-len(content) % 4))


def example(feature: str) -> Callable[[bytes], bytes]:
    """Reads one feature of a serialized tf.Example, in the way of protobuf's wire format."""

    def fields(content: bytes) -> dict[int, bytes]:
        found, at = {}, 0
        while at < len(content):
            number, at = content[at] >> 3, at + 1
            length, shift = 0, 0
            while True:
                byte, at = content[at], at + 1
                length |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            found[number], at = content[at : at + length], at + length
        return found

    def read(content: bytes) -> bytes:
        if content[:1] != b"\x0a":
            raise ValueError("no example")
        entry = fields(fields(fields(content)[1])[1])
        if entry[1].decode() != feature:
            raise ValueError(f"there is no feature {feature}")
        return fields(fields(entry[2])[1])[1]

    return read


class FromStrings(Model):
    """The mean colour of a picture in a string, in its own form; and a key that is given back."""

    def __init__(self, read: Callable[[bytes], bytes], inputs: tuple[str, ...] = ("x",)) -> None:
        self.info = ModelInfo(
            format="savedmodel",
            inputs=tuple(TensorSpec(name, (-1,), STRING) for name in inputs),
            outputs=(TensorSpec("y", (-1, 3), FLOAT),),
            activations={"y": "softmax"},
        )
        self._read = read

    def run(self, inputs: Tensors) -> dict[str, Any]:
        try:
            colours = [mean_colour(self._read(bytes(item))) for item in inputs["x"]]
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise InferenceFailed(f"TensorFlow: {error}") from error
        return {"y": np.stack(colours) / 255}


def as_it_is(content: bytes) -> bytes:
    return content


@pytest.mark.parametrize(
    "read", [as_it_is, web_safe, example("image/encoded"), example("image_bytes")]
)
def test_a_picture_is_given_in_the_form_that_the_model_takes(read: Any) -> None:
    model = VisionModel("m", FromStrings(read), [COLOURS])
    assert (model.task, model.warnings) == ("classification", ())
    blue = encode(Image.new("RGB", (40, 30), "blue"), "PNG")
    assert model.classify(blue, 1, RequestContext())[0].label == "blue"


def test_a_model_with_several_strings_starts() -> None:
    model = VisionModel("m", FromStrings(as_it_is, ("x", "key")))
    assert (model.task, model.warnings) == ("tensor", ())


def test_a_model_whose_strings_nobody_knows_starts_and_says_so() -> None:
    def own(content: bytes) -> bytes:
        raise ValueError("unknown command")

    model = VisionModel("m", FromStrings(own))
    assert model.task == "tensor"
    assert "unknown command" in model.warnings[0]
    assert "x" in model.warnings[0]
    with pytest.raises(InferenceFailed):
        model.infer({"x": np.array([b"go"], object)}, RequestContext())


def test_a_model_of_numbers_that_cannot_do_one_inference_does_not_start() -> None:
    class Broken(FromStrings):
        def __init__(self) -> None:
            super().__init__(as_it_is)
            inputs = (TensorSpec("x", (1, 4, 4, 3), FLOAT),)
            self.info = ModelInfo("savedmodel", inputs, self.info.outputs)

        def run(self, _inputs: Tensors) -> dict[str, Any]:
            raise InferenceFailed("TensorFlow: out of luck")

    with pytest.raises(WarmUpFailed, match="model m: TensorFlow: out of luck"):
        VisionModel("m", Broken())


GRAPH = """Graph execution error:

Detected at node map/while/DecodeJpeg defined at (most recent call last):
  File "serve.py", line 3, in <module>
<stack traces unavailable>
Unknown image file format. One of JPEG, PNG, GIF, BMP required.
\t [[{{node map/while/DecodeJpeg}}]] [Op:__inference_signature_wrapper_42]"""
KERAS = """<class 'keras.DepthwiseConv2D'> could not be deserialized properly. Please ensure that
all Python object instances are returned by the class's `from_config`.

config={'module': 'keras.layers'}.

Exception encountered: Unrecognized keyword arguments passed to DepthwiseConv2D: {'groups': 4}"""
ROOTS = """2 root error(s) found.
  (0) INVALID_ARGUMENT: Input to reshape is a tensor with 4 values
\t [[{{node Reshape}}]]"""


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (GRAPH, "Unknown image file format. One of JPEG, PNG, GIF, BMP required."),
        (KERAS, "Unrecognized keyword arguments passed to DepthwiseConv2D: {'groups': 4}"),
        (ROOTS, "INVALID_ARGUMENT: Input to reshape is a tensor with 4 values"),
        ("Signature mismatch [Op:Foo] name: ", "Signature mismatch"),
        ("", "ValueError"),
    ],
)  # fmt: skip
def test_of_a_framework_s_error_the_line_with_the_cause_is_told(text: str, cause: str) -> None:
    assert cause_of(ValueError(text)) == cause


def test_no_cause_is_longer_than_a_few_lines() -> None:
    assert len(cause_of(ValueError("x" * 10_000))) <= 400
