"""Makes ResNet50-224 in every form that the benchmark serves; run as a program, once.

No public weights are needed: the weights are random from a fixed seed, which costs the engines
exactly what trained ones do. Three things make the outputs worth comparing all the same: batch
normalization is calibrated on pictures, so that activations keep the range of a trained network;
the residual branches start small, as is usual for training (Goyal et al., 2017, section 5.1),
because 50 random layers at full gain amplify every rounding; and the last layer is set so that
each test picture has a class of its own, so that "the same top-1" can fail. It needs TensorFlow
and must not be imported by the harness.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

SEED = 20
CLASSES = 1000
CROPS = 24
RESIDUAL_GAIN = 0.3
MEAN_RGB = (123.68, 116.779, 103.939)


def crops(paths: list[Path], per_picture: int, seed: int) -> NDArray[np.uint8]:
    """Random crops of the pictures as [count][224][224][3] RGB, ``per_picture`` of each in turn."""
    random = np.random.default_rng(seed)
    found = []
    for path in paths:
        encoded = cv2.imread(str(path))
        if encoded is None:
            raise SystemExit(f"{path} is not a picture")
        pixels = cv2.cvtColor(encoded, cv2.COLOR_BGR2RGB)
        height, width = pixels.shape[:2]
        for _ in range(per_picture):
            share = random.uniform(0.7, 1.0)
            top = int(random.uniform(0, 1 - share) * height)
            left = int(random.uniform(0, 1 - share) * width)
            part = pixels[top : top + int(share * height), left : left + int(share * width)]
            found.append(cv2.resize(part, (224, 224), interpolation=cv2.INTER_LINEAR))
    return np.stack(found).astype(np.uint8)


def preprocessed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What ResNet50 takes: BGR with the ImageNet mean subtracted, float32."""
    return np.asarray(
        keras.applications.resnet50.preprocess_input(pictures.astype(np.float32)), np.float32
    )


def build(pictures: NDArray[np.uint8]) -> keras.Model:
    """ResNet50 with seeded random weights, calibrated on ``pictures`` (CROPS of each in turn)."""
    keras.utils.set_random_seed(SEED)
    model = keras.applications.ResNet50(weights=None, classes=CLASSES)
    batch = preprocessed(pictures)
    normalizations = [
        layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in normalizations:
        layer.momentum = 0.0
        if layer.name.endswith("_3_bn"):
            layer.gamma.assign(np.full(layer.gamma.shape, RESIDUAL_GAIN, np.float32))
    # Training mode takes the statistics of this very batch; momentum 0 keeps just those.
    model(batch, training=True)
    for layer in normalizations:
        layer.momentum = 0.99
    features = keras.Model(model.input, model.layers[-2].output).predict(batch, verbose=0)
    center = features.mean(axis=0)
    spread = features.std(axis=0) + 1e-6
    whitened = (features - center) / spread
    random = np.random.default_rng(SEED)
    weights = random.normal(0, 1, (features.shape[1], CLASSES)).astype(np.float32)
    for number in range(len(pictures) // CROPS):
        own = whitened[number * CROPS : (number + 1) * CROPS].mean(axis=0)
        weights[:, number] = own / np.linalg.norm(own) * np.sqrt(len(own)) * 2
    weights *= 8 / np.sqrt(len(center)) / np.linalg.norm(whitened, axis=1).mean() * 8
    kernel = weights / spread[:, np.newaxis]
    model.layers[-1].set_weights([kernel, -(center @ kernel)])
    return model


def with_preprocessing(model: keras.Model) -> keras.Model:
    """The same network taking [1][224][224][3] RGB in 0 to 255.

    The first convolution's kernel is reversed instead of the picture's channels, which is the
    same sum; the only operation added is then a subtraction, and an int8 conversion keeps the
    input's quantization at scale 1 and zero point 0, so that a byte of a picture is a byte of
    the input.
    """
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    first = copy.get_layer("conv1_conv")
    kernel, bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1, :], bias])
    picture = keras.Input((224, 224, 3), batch_size=1, name="picture")
    return keras.Model(picture, copy(picture - np.array(MEAN_RGB, np.float32)))


def convert(model: keras.Model, calibration: NDArray[np.uint8] | None) -> bytes:
    """The model as tflite: float32, or full int8 with uint8 input when there is calibration."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        samples = calibration.astype(np.float32)
        # The whole range of a byte, so that the input's scale comes out as 1.
        samples[:, 0, 0], samples[:, 0, 1] = 0, 255
        converter.representative_dataset = lambda: ([sample[np.newaxis]] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
    return bytes(converter.convert())


def main(folder: Path, pictures: list[Path]) -> None:
    """Write every form into ``folder``."""
    calibration = crops(pictures, CROPS, seed=1)
    model = build(calibration)
    model.save(folder / "resnet50.keras")
    model.export(folder / "savedmodel", verbose=False)
    complete = with_preprocessing(model)
    (folder / "fp32.tflite").write_bytes(convert(complete, None))
    (folder / "int8.tflite").write_bytes(convert(complete, calibration[::4]))
    names = [path.stem.split("-")[0] for path in pictures]
    names += [f"class{number}" for number in range(len(names), CLASSES)]
    (folder / "labels.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    test = crops(pictures, 8, seed=2)
    np.save(folder / "test_pictures.npy", test)
    np.save(folder / "test_outputs.npy", model.predict(preprocessed(test), verbose=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
