"""Which range of pixels follows from what a graph does with them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import model_server
from model_server.models.base import ImageInput, TensorSpec
from model_server.models.pixel_range.affine import Traced
from model_server.models.pixel_range.decision import Evidence, decide
from model_server.models.pixel_range.examine import examine_tflite
from model_server.models.pixel_range.families import find_family
from model_server.models.pixel_range.graph import trace
from model_server.models.pixel_range.steps import Step, Value
from model_server.models.pixel_range.tensorflow_graph import FunctionGraph
from model_server.models.pixel_range.tflite_graph import TfliteGraph, read_graph
from model_server.models.tflite_metadata import read_metadata
from model_server.vision.preparation import assumption, preparation_facts
from model_server.vision.preprocessing import prepare

PICTURE = Traced.picture(3, 3)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def steps(*made: tuple[str, Any]) -> tuple[list[Step[str]], dict[str, Any]]:
    """A chain of steps with one constant each, ending in a convolution."""
    found, constants, last = [], {}, "picture"
    for index, (kind, constant) in enumerate(made):
        name = f"t{index}"
        inputs: tuple[str, ...] = (last,)
        if constant is not None:
            constants[f"c{index}"] = np.asarray(constant)
            inputs = (last, f"c{index}")
        found.append(Step(kind, inputs, (name,)))
        last = name
    found.append(Step("convolution", (last, "kernel"), ("out",)))
    return found, constants


def arrivals(*made: tuple[str, Any], picture: Traced = PICTURE) -> tuple[Traced, ...]:
    chain, constants = steps(*made)
    return tuple(trace(chain, {"picture": picture}, constants.get).arrivals)


@pytest.mark.parametrize(
    ("made", "scaling"),
    [
        ([("multiply", 1 / 255)], "none"),
        ([("divide", 255.0)], "none"),
        ([("subtract", 127.5), ("divide", 127.5)], "none"),
        ([("divide", 127.5), ("subtract", 1.0)], "none"),
        ([("divide", 255.0), ("subtract", MEAN), ("divide", STD)], "none"),
        ([("subtract", [103.9, 116.8, 123.7])], "none"),
        ([("reverse", [3]), ("subtract", [103.9, 116.8, 123.7])], "none"),
        ([("subtract", [104, 117, 123]), ("multiply", 0.017)], "none"),
        ([("same", None), ("divide", 255.0), ("same", None)], "none"),
        ([("transpose", [0, 3, 1, 2]), ("divide", np.full((1, 3, 1, 1), 255.0))], "none"),
        ([("reshape", [-1, 3072]), ("divide", 255.0)], "none"),
        ([("multiply", 2.0), ("subtract", 1.0)], "unit"),
        ([("subtract", MEAN), ("divide", STD)], "unit"),
        ([("subtract", 0.5)], "unit"),
        ([("multiply", 255.0)], "unit"),
        ([("multiply", 255.0), ("subtract", [123.68, 116.78, 103.94])], "unit"),
        ([("add", 1.0), ("divide", 2.0)], "signed"),
        ([("multiply", 127.5), ("add", 127.5)], "signed"),
    ],
)
def test_the_range_follows_from_what_arrives_at_the_first_convolution(
    made: list[tuple[str, Any]], scaling: str
) -> None:
    found = decide(Evidence(arrivals=arrivals(*made), assumed="caffe"))
    assert (found.scaling, found.source) == (scaling, "graph"), found.reason


@pytest.mark.parametrize(
    "made",
    [
        [],
        [("same", None)],
        [("reverse", [3])],
        [("multiply", 3.0)],
        [("divide", "unknown")],
        [("multiply", 0.0)],
        [("subtract", float("nan"))],
    ],
)
def test_where_nothing_tells_the_range_is_assumed_and_said_to_be(
    made: list[tuple[str, Any]],
) -> None:
    found = decide(Evidence(arrivals=arrivals(*made), assumed="signed"))
    assert (found.scaling, found.source) == ("signed", "assumed")
    assert "--preprocessing" in assumption(found)
    assert preparation_facts(found)["source"] == "assumed"


def test_two_branches_that_disagree_tell_nothing() -> None:
    branches = (*arrivals(("divide", 255.0)), *arrivals(("multiply", 2.0), ("subtract", 1.0)))
    assert decide(Evidence(arrivals=branches)).source == "assumed"
    together = (*arrivals(("divide", 255.0)), *arrivals())
    assert decide(Evidence(arrivals=together)).source == "graph"


def test_channels_that_are_taken_apart_and_put_together_keep_their_scaling() -> None:
    constants: dict[str, NDArray[Any]] = {"b": np.array([-104.0, -117, -123])}
    made: list[Step[str]] = []
    for place, channel in enumerate((2, 1, 0)):
        constants[f"begin{place}"] = np.array([0, channel])
        constants[f"end{place}"] = np.array([0, channel + 1])
        constants[f"stride{place}"] = np.array([1, 1])
        options = {"ellipsis": 1, "shrink": 2}
        refs = ("picture", f"begin{place}", f"end{place}", f"stride{place}")
        made.append(Step("strided_slice", refs, (f"s{place}",), options))
    made.append(Step("pack", ("s0", "s1", "s2"), ("bgr",), {"axis": -1}))
    made.append(Step("add", ("bgr", "b"), ("centred",)))
    made.append(Step("convolution", ("centred",), ("out",)))
    (found,) = trace(made, {"picture": PICTURE}, constants.get).arrivals
    assert [channel.source for channel in found.channels] == [2, 1, 0]
    assert [channel.offset for channel in found.channels] == [-104, -117, -123]
    assert decide(Evidence(arrivals=(found,))).scaling == "none"


def test_a_picture_that_is_standardized_by_itself_needs_no_range() -> None:
    every = np.array([1, 2, 3])
    made: list[Step[str]] = [
        Step("reduce", ("picture", "axes"), ("mean",), {"keep": True}),
        Step("subtract", ("picture", "mean"), ("centred",)),
        Step("square", ("centred",), ("squares",)),
        Step("reduce", ("squares", "axes"), ("variance",), {"keep": True}),
        Step("statistic", ("variance",), ("deviation",)),
        Step("divide", ("centred", "deviation"), ("standard",)),
        Step("convolution", ("standard",), ("out",)),
    ]
    found = trace(made, {"picture": PICTURE}, {"axes": every}.get)
    assert decide(Evidence(arrivals=tuple(found.arrivals))).source == "graph"


@pytest.mark.parametrize(
    ("evidence", "scaling", "source"),
    [
        (Evidence(family="ResNet", family_scaling="caffe"), "caffe", "family"),
        (
            Evidence(
                arrivals=arrivals(("divide", 255.0)), family="ResNet", family_scaling="caffe"
            ),
            "none",
            "graph",
        ),
        (Evidence(metadata=ImageInput("unit"), family="ResNet"), "unit", "metadata"),
        (Evidence(takes="its input takes bytes", family="ResNet"), "none", "type"),
        (Evidence(quantized=(0.0, 1.0)), "unit", "graph"),
        (Evidence(quantized=(-1.0, 0.992)), "signed", "graph"),
        (Evidence(quantized=(0.0, 255.0)), "none", "graph"),
        # Nor the mean and deviation of each channel: (x / 255 - 0.45) / 0.225 gives the second.
        (Evidence(quantized=(-2.118, 2.64)), "torch", "assumed"),
        (Evidence(quantized=(-1.857, 2.448)), "torch", "assumed"),
        # The range alone does not tell BGR from RGB.
        (Evidence(quantized=(-123.68, 151.06)), "caffe", "assumed"),
        (
            Evidence(quantized=(-123.68, 151.06), family="VGG", family_scaling="caffe"),
            "caffe",
            "family",
        ),
        (Evidence(quantized=(-1.65, 1.56)), "torch", "assumed"),
    ],
)  # fmt: skip
def test_the_order_of_trust(evidence: Evidence, scaling: str, source: str) -> None:
    found = decide(evidence)
    assert (found.scaling, found.source) == (scaling, source), found.reason


@pytest.mark.parametrize(
    ("source", "said"), [("assumed", True), ("family", True), ("graph", False), ("metadata", False)]
)
def test_what_the_model_itself_does_not_tell_is_said(source: Any, said: bool) -> None:
    """A MobileNetV2 that was trained behind x / 255 has the layers of any other."""
    warning = assumption(ImageInput("signed", source=source, reason="MobileNetV2 takes -1 to 1"))
    assert bool(warning) is said
    assert not said or "--preprocessing" in warning


@pytest.mark.parametrize(
    ("names", "family"),
    [
        (["conv1_conv", "conv1_bn", "conv2_block1_1_conv", "conv2_block1_0_conv"], "ResNet"),
        (["m/conv2_block1_preact_bn_1/x", "m/post_bn_1/Mul"], "ResNetV2"),
        (
            ["a/Conv1_relu_1/x;a/Conv1_1/c", "expanded_conv_project_1/c", "block_16_project_1/c"],
            "MobileNetV2",
        ),
        (["block1_conv1", "block1_conv2", "block5_conv3"], "VGG"),
        (["resnet50", "conv2d", "dense"], ""),
        ([], ""),
    ],
)
def test_a_family_is_known_by_its_layers_not_by_what_it_is_called(
    names: list[str], family: str
) -> None:
    found = find_family(names)
    assert (found.name if found else "") == family


def test_a_stranger_s_endless_graph_is_given_up() -> None:
    made: list[Step[int]] = [Step("same", (index,), (index + 1,)) for index in range(30_000)]
    start: dict[int, Value] = {0: PICTURE}
    assert trace(made, start, lambda _ref: None).arrivals == []


PIXELS = np.array([[[0, 128, 255]]], np.uint8)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero", "how", "expected"),
    [
        # The whole range stands for pixels: bytes as they are, whatever their real values.
        (np.uint8, 1 / 255, 0, "unit", (0, 128, 255)),
        (np.uint8, 1 / 128, 128, "signed", (0, 128, 255)),
        (np.int8, 1 / 255, -128, "unit", (-128, 0, 127)),
        (np.uint8, 1.0, 0, "none", (0, 128, 255)),
        (np.uint8, 1 / 255, 0, "none", (0, 128, 255)),
        # Anything else is value / scale + zero point, rounded and clipped.
        (np.uint8, 0.0186, 114, "torch", (0, 125, 255)),
        (np.uint8, 1.0785, 115, "caffe", (255, 125, 0)),
        (np.uint8, 1 / 255, 0, "signed", (0, 1, 255)),
        (np.int16, 1 / 32767, 0, "unit", (0, 16448, 32767)),
        (np.uint8, 0.0, 0, "unit", (0, 128, 255)),
    ],
)
def test_quantized_inputs_keep_to_scale_zero_point_and_the_range_that_is_set(
    dtype: Any, scale: float, zero: int, how: Any, expected: tuple[int, ...]
) -> None:
    spec = TensorSpec("x", (1, 1, 1, 3), np.dtype(dtype), scale, zero)
    made = prepare(Image.fromarray(PIXELS), spec, ImageInput(how))
    assert made.dtype == dtype
    assert np.abs(made[0, 0, 0].astype(int) - np.array(expected)).max() <= 1


def test_channels_first_models_get_channels_first() -> None:
    spec = TensorSpec("x", (1, 3, 2, 4), np.dtype(np.float32))
    red = Image.new("RGB", (4, 2), (255, 0, 0))
    made = prepare(red, spec, ImageInput("unit"))
    assert made.shape == (1, 3, 2, 4)
    assert made[0, 0].min() == 1
    assert made[0, 1:].max() == 0


BUNDLED = Path(model_server.__file__).parent / "bundled" / "classifier" / "model.tflite"


@given(
    st.lists(
        st.tuples(st.integers(0, 6000), st.integers(0, 255), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
def test_a_damaged_file_tells_less_but_never_stops_the_server(
    damage: list[tuple[int, int, bool]],
) -> None:
    """Bytes of the FlatBuffer's tables, at its beginning and end, are replaced."""
    content = bytearray(BUNDLED.read_bytes())
    for place, value, from_end in damage:
        content[-1 - place if from_end else place] = value
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.tflite"
        file.write_bytes(content)
        found = read_graph(file, PICTURE)
        examine_tflite(file, (TensorSpec("x", (1, 96, 96, 3), np.dtype(np.float32)),), ("y",),
                       read_metadata(file))  # fmt: skip
    assert isinstance(found, TfliteGraph)


def test_functions_that_call_each_other_without_end_are_given_up() -> None:
    """Sixty functions, each of which calls the next one twice: 2^60 calls."""

    def call(name: str, source: str, function: str) -> Any:
        attributes = {
            "f": SimpleNamespace(func=SimpleNamespace(name=function)),
            "Tout": SimpleNamespace(list=SimpleNamespace(type=[1])),
        }
        return SimpleNamespace(op="PartitionedCall", name=name, input=[source], attr=attributes)

    def function(number: int) -> Any:
        called = f"f{number + 1}"
        return SimpleNamespace(
            signature=SimpleNamespace(
                name=f"f{number}",
                input_arg=[SimpleNamespace(name="x")],
                output_arg=[SimpleNamespace(name="y")],
            ),
            node_def=[call("a", "x", called), call("b", "a:output:0", called)],
            ret={"y": "b:output:0"},
        )

    definition = SimpleNamespace(
        node=[call("a", "x", "f0")],
        library=SimpleNamespace(function=[function(number) for number in range(60)]),
    )
    concrete = SimpleNamespace(
        graph=SimpleNamespace(as_graph_def=lambda: definition, captures=[]),
        structured_outputs={},
        outputs=[],
    )
    assert len(FunctionGraph(concrete).follow("x", PICTURE)) <= 1
