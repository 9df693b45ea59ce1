# mypy: disable-error-code="import-not-found,import-untyped"
"""Runs one engine on one model file in that engine's own environment, and prints its figures.

The engine and its libraries are imported inside the functions, because the time they take is part
of what is measured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Outputs = dict[str, NDArray[Any]]
Run = Callable[[Picture], Outputs]
MEAN_BGR = (103.939, 116.779, 123.68)
DETECTOR_CLASSES = 100


def caffe(picture: Picture) -> NDArray[np.float32]:
    """What Keras's ResNet50 takes: BGR with the ImageNet mean subtracted."""
    return picture[..., ::-1].astype(np.float32) - np.array(MEAN_BGR, np.float32)


def savedmodel(path: Path, threads: int) -> Run:
    """TensorFlow: the signature ``serving_default``."""
    import tensorflow as tf  # noqa: PLC0415

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]
    floating = next(iter(signature.structured_input_signature[1].values())).dtype == tf.float32

    def run(picture: Picture) -> Outputs:
        found = signature(tf.constant(caffe(picture) if floating else picture))
        return {name: value.numpy() for name, value in found.items()}

    # The signature does not keep the model alive.
    run.model = loaded  # type: ignore[attr-defined]
    return run


def keras(path: Path, threads: int) -> Run:
    """Keras: ``model.predict``."""
    import tensorflow as tf  # noqa: PLC0415

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    model = tf.keras.models.load_model(path)
    return lambda picture: {"output": model.predict(caffe(picture), verbose=0)}


def tflite(path: Path, threads: int) -> Run:
    """LiteRT, with its default XNNPACK delegate."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    outputs = interpreter.get_output_details()

    def run(picture: Picture) -> Outputs:
        interpreter.set_tensor(entry["index"], picture.astype(entry["dtype"]))
        interpreter.invoke()
        return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in outputs}

    return run


def openvino(path: Path, threads: int) -> Run:
    """OpenVINO reading the file as it is, with its defaults for latency."""
    import openvino as ov  # noqa: PLC0415

    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    compiled = ov.Core().compile_model(str(path), "CPU", options)
    request = compiled.create_infer_request()
    floating = compiled.input(0).element_type.get_type_name() == "f32"
    tflite_file = path.suffix == ".tflite"

    def run(picture: Picture) -> Outputs:
        tensor = picture.astype(np.float32) if tflite_file else caffe(picture)
        found = request.infer([tensor if floating else picture])
        return {str(number): value for number, value in enumerate(found.values())}

    return run


def onnxruntime(path: Path, threads: int) -> Run:
    """ONNX Runtime on the CPU."""
    import onnxruntime as ort  # noqa: PLC0415

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]

    def run(picture: Picture) -> Outputs:
        return dict(zip(names, session.run(None, {name: caffe(picture)}), strict=True))

    return run


ENGINES: dict[str, Callable[[Path, int], Run]] = {
    "tensorflow": savedmodel,
    "keras": keras,
    "litert": tflite,
    "openvino": openvino,
    "onnxruntime": onnxruntime,
}


def scores_of(outputs: Outputs, first_class: int) -> NDArray[np.float32]:
    """One score for each class: a classifier's output, or the best box of each class.

    Args:
        outputs: A classifier's only output [1, classes]; or a detector's boxes [1, N, 4], scores
            and classes [1, N] and perhaps a count, in any order and under any names.
        first_class: What the detector counts its classes from.
    """
    if len(outputs) == 1:
        values: NDArray[np.float32] = np.asarray(next(iter(outputs.values())), np.float32)[0]
        return values
    rows = [np.asarray(value)[0] for value in outputs.values() if np.ndim(value) == 2]
    whole = [bool(np.all(row == np.rint(row))) for row in rows]
    if sorted(whole) != [False, True]:
        raise SystemExit(f"not a detector's outputs: {[np.shape(v) for v in outputs.values()]}")
    classes, scores = rows if whole[0] else reversed(rows)
    best = np.zeros(DETECTOR_CLASSES, np.float32)
    np.maximum.at(best, classes.astype(int) - first_class, scores.astype(np.float32))
    return best


def main() -> None:
    """Arguments: engine, model, pictures (.npy), seconds, where to save the outputs (.npy)."""
    engine, model, pictures_file, seconds, target = sys.argv[1:]
    threads = len(os.sched_getaffinity(0))
    pictures = np.load(pictures_file)
    run = ENGINES[engine](Path(model), threads)
    run(pictures[:1])
    # The parent reads the time of this line's arrival as the first answer.
    print("ready", flush=True)
    # SavedModels of the TF Object Detection API count from 1, tflite files from 0.
    first_class = 1 if engine == "tensorflow" else 0
    found = [scores_of(run(picture[np.newaxis]), first_class) for picture in pictures]
    np.save(target, np.stack(found))
    took: list[float] = []
    until = time.monotonic() + float(seconds)
    number = 0
    while (begun := time.monotonic()) < until:
        run(pictures[number % len(pictures)][np.newaxis])
        took.append(time.monotonic() - begun)
        number += 1
    print(json.dumps({"took": took}), flush=True)


if __name__ == "__main__":
    main()
