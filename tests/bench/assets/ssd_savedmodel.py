"""Rebuilds the quantized SSD detector as a TensorFlow SavedModel; run as a program, once.

The detection article serves a TensorFlow model, so comparing with its way on the same model needs
that model in TensorFlow's form. The published file is tflite; its operations are few, so each is
translated to the TensorFlow operation it was made from, with the weights dequantized. The result
has the Object Detection API's signature: a uint8 picture of any size in; ``detection_boxes``,
``detection_classes``, ``detection_scores`` and ``num_detections`` out. It must not be imported by
the harness.

The post-processing follows the TFLite custom operation's documented parameters (box coder scales
10, 10, 5, 5; NMS at 0.6).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

Floats = NDArray[np.float32]
SCALES = (10.0, 10.0, 5.0, 5.0)
IOU_THRESHOLD = 0.6
DETECTIONS = 10


class Graph:
    """The operations and constants of a tflite file."""

    def __init__(self, data: bytes) -> None:
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
        self.graph = self.model.subgraphs[0]

    def constant(self, index: int) -> Floats | None:
        """A constant tensor dequantized, or None for one that is computed."""
        tensor = self.graph.tensors[index]
        data = self.model.buffers[tensor.buffer].data
        if data is None or not len(data):
            return None
        kinds = {
            schema.TensorType.UINT8: np.uint8,
            schema.TensorType.INT32: np.int32,
            schema.TensorType.FLOAT32: np.float32,
        }
        values = np.frombuffer(bytes(data), kinds[tensor.type]).reshape(tensor.shape)
        quantization = tensor.quantization
        if quantization is None or quantization.scale is None:
            return values.astype(np.float32)
        zero = 0 if quantization.zeroPoint is None else quantization.zeroPoint[0]
        scale = np.float32(quantization.scale[0])
        return np.asarray((values.astype(np.float32) - zero) * scale, np.float32)

    def clamps(self, operator: Any) -> bool:
        """Whether a ReLU6 follows: the file says so, or only implies it by the output's range."""
        if self.kind(operator) not in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            return False
        if operator.builtinOptions.fusedActivationFunction == schema.ActivationFunctionType.RELU6:
            return True
        zero = self.graph.tensors[operator.outputs[0]].quantization.zeroPoint
        return zero is None or bool(zero[0] == 0)

    def kind(self, operator: Any) -> str:
        """The operation's name in the schema."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        return next(
            str(name) for name, value in vars(schema.BuiltinOperator).items() if value == number
        )


def _padding(options: Any) -> str:
    return "SAME" if options.padding == schema.Padding.SAME else "VALID"


def _conv(inputs: list[Any], options: Any) -> tf.Tensor:
    values, kernel, bias = inputs
    strides = [1, options.strideH, options.strideW, 1]
    # tflite keeps [out][height][width][in]; TensorFlow takes [height][width][in][out].
    result = tf.nn.conv2d(values, tf.transpose(kernel, (1, 2, 3, 0)), strides, _padding(options))
    return result + bias


def _depthwise(inputs: list[Any], options: Any) -> tf.Tensor:
    values, kernel, bias = inputs
    strides = [1, options.strideH, options.strideW, 1]
    filters = tf.transpose(kernel, (1, 2, 3, 0))
    result = tf.nn.depthwise_conv2d(values, filters, strides, _padding(options))
    return result + bias


def _reshape(inputs: list[Any], options: Any) -> tf.Tensor:
    return tf.reshape(inputs[0], options.newShape)


def _concatenation(inputs: list[Any], options: Any) -> tf.Tensor:
    return tf.concat(inputs, options.axis)


def _logistic(inputs: list[Any], _options: Any) -> tf.Tensor:
    return tf.sigmoid(inputs[0])


def _detections(inputs: list[Any], _options: Any) -> dict[str, tf.Tensor]:
    encoded, scores, anchors = inputs
    y, x, h, w = tf.unstack(encoded[0] / np.array(SCALES, np.float32), axis=1)
    center_y, center_x, height, width = tf.unstack(anchors, axis=1)
    y, x = y * height + center_y, x * width + center_x
    h, w = tf.exp(h) * height / 2, tf.exp(w) * width / 2
    boxes = tf.stack([y - h, x - w, y + h, x + w], axis=1)
    # The operation's fast mode: the best class of each box, then NMS over all classes at once.
    best = tf.reduce_max(scores[0, :, 1:], axis=1)
    kept = tf.image.non_max_suppression(boxes, best, DETECTIONS, IOU_THRESHOLD)
    # Classes count from 1 in the Object Detection API; 0 is the background.
    classes = tf.gather(tf.argmax(scores[0, :, 1:], axis=1) + 1, kept)
    return {
        "detection_boxes": tf.gather(boxes, kept)[tf.newaxis],
        "detection_classes": tf.cast(classes, tf.float32)[tf.newaxis],
        "detection_scores": tf.gather(best, kept)[tf.newaxis],
        "num_detections": tf.cast(tf.shape(kept), tf.float32),
    }


OPERATIONS: dict[str, Callable[[list[Any], Any], Any]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "RESHAPE": _reshape,
    "CONCATENATION": _concatenation,
    "LOGISTIC": _logistic,
    "CUSTOM": _detections,
}


class Detector(tf.Module):  # type: ignore[misc]
    """The graph's operations, run in order."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(name="detector")
        self._graph = graph
        self._constants: dict[str, tf.Variable] = {}
        for index, tensor in enumerate(graph.graph.tensors):
            value = graph.constant(index)
            if value is not None:
                name = tensor.name.decode()
                self._constants[str(index)] = tf.Variable(value, trainable=False, name=name)

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8, "input_tensor")]
    )
    def __call__(self, input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        graph = self._graph.graph
        first = graph.tensors[graph.inputs[0]]
        picture = tf.image.resize(tf.cast(input_tensor, tf.float32), first.shape[1:3])
        values: dict[str, Any] = {**self._constants, str(graph.inputs[0]): picture / 127.5 - 1.0}
        result: Any = None
        for operator in graph.operators:
            inputs = [values[str(index)] for index in operator.inputs]
            operation = OPERATIONS[self._graph.kind(operator)]
            result = operation(inputs, operator.builtinOptions)
            if self._graph.clamps(operator):
                result = tf.nn.relu6(result)
            values[str(operator.outputs[0])] = result
        return dict(result)


def main(target: Path, source: Path) -> None:
    """Write the SavedModel of a tflite SSD detector into a folder."""
    detector = Detector(Graph(source.read_bytes()))
    tf.saved_model.save(detector, str(target), signatures={"serving_default": detector.__call__})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
