"""Converts a loaded SavedModel or Keras model to a tflite file that takes a picture's bytes.

The conversion makes pixel scaling part of the graph, so the server does not need to know the
model's pixel range: the input is always [1, height, width, channels] of uint8, 0 to 255. One of the
modules that import TensorFlow; it must not judge the result.
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from model_server.errors import ConversionFailed
from model_server.models.base import (
    CAFFE_MEAN,
    TORCH_MEAN,
    TORCH_STD,
    Array,
    ImageInput,
    TensorSpec,
)
from model_server.models.tensorflow_runtime import TensorFlowModel

Form = Literal["int8", "dynamic", "float16", "float32"]


def convert(
    model: TensorFlowModel,
    spec: TensorSpec,
    image: ImageInput,
    form: Form,
    samples: Sequence[Array],
) -> bytes:
    """Converts a model and returns the bytes of the tflite file.

    Args:
        model: The model to convert.
        spec: Its picture input, with fixed height and width.
        image: How to scale its pixels.
        form: `int8`: quantizes weights and activations, with ranges from `samples`; `dynamic`:
            quantizes weights to int8, and activations at run time; `float16`: stores weights in
            half precision; `float32`: no quantization.
        samples: Pictures, [1, height, width, channels] of uint8; only `int8` needs them.

    Raises:
        ConversionFailed: if TensorFlow cannot express the model in LiteRT's own operators.
    """
    tf = model.tensorflow
    # For full integer quantization, the converter itself quantizes a float input to bytes.
    entry = tf.float32 if form == "int8" else tf.uint8
    shape = [1, *spec.shape[1:3], spec.shape[3] if spec.shape[3] > 0 else 3]

    @tf.function(input_signature=[tf.TensorSpec(shape, entry, name=spec.name)])  # type: ignore[untyped-decorator]  # TensorFlow is untyped
    def serve(picture: Any) -> Any:
        scaled = picture
        if np.issubdtype(spec.dtype, np.floating):
            scaled = _scaled(tf, tf.cast(picture, tf.float32), image)
        return model.signature(**{spec.name: tf.cast(scaled, tf.as_dtype(spec.dtype))})

    try:
        with _quiet():
            frozen = _frozen(tf, serve.get_concrete_function())
            converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())
            _choose(tf, converter, form, samples)
            return bytes(converter.convert())
    except Exception as error:  # the converter raises types of several libraries, and RuntimeError
        raise ConversionFailed(
            f"TensorFlow cannot convert it to tflite ({form}): {_reason(error)}; serve it as it is"
        ) from error


def _frozen(tf: Any, concrete: Any) -> Any:
    """Returns the function with its variables turned into constants and the same output names.

    Otherwise the converter keeps variables as model state that is never initialized.
    """
    from tensorflow.python.framework.convert_to_constants import (  # noqa: PLC0415 - TensorFlow
        convert_variables_to_constants_v2,
    )

    constant = convert_variables_to_constants_v2(concrete)
    # Freezing flattens the outputs in the order of their sorted names and drops the names.
    names = sorted(concrete.structured_outputs)
    signature = concrete.structured_input_signature[0]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]  # TensorFlow is untyped
    def serve(picture: Any) -> Any:
        return dict(zip(names, tf.nest.flatten(constant(picture)), strict=True))

    return serve.get_concrete_function()


def _choose(tf: Any, converter: Any, form: Form, samples: Sequence[Array]) -> None:
    if form == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if form == "int8":
        converter.representative_dataset = lambda: _calibration(samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8


def _calibration(samples: Sequence[Array]) -> Iterator[list[Array]]:
    for sample in samples:
        pixels = sample.astype(np.float32)
        # Add a black and a white pixel to cover the full byte range. The input's scale is then 1,
        # and picture bytes go into the input unchanged.
        pixels[:, 0, 0], pixels[:, 0, 1] = 0, 255
        yield [pixels]


def _scaled(tf: Any, pixels: Any, image: ImageInput) -> Any:
    """Applies the scaling of `preprocessing.prepare` inside the graph."""
    match image.scaling:
        case "unit":
            return pixels * (1 / 255)
        case "signed":
            return pixels * (1 / 127.5) - 1.0
        case "caffe":
            return tf.gather(pixels - CAFFE_MEAN, [2, 1, 0], axis=3)
        case "torch":
            return pixels * (1 / (255 * TORCH_STD)) - TORCH_MEAN / TORCH_STD
        case "none":
            return pixels


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TensorFlow's conversion messages, from Python and C++, off stderr."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(kept, 2)
    finally:
        os.close(kept)
        logger.setLevel(level)


def _reason(error: Exception) -> str:
    """Returns the most telling line of a converter error; the rest is a page of locations."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line or "not supported" in line]
    return (telling or lines or [type(error).__name__])[0][:400]
