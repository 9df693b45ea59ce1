"""Runs TensorFlow Lite models with LiteRT. Never imports TensorFlow.

An interpreter holds the state of one inference, so each thread takes its own from a pool. All
interpreters map the same file, and all processes on the machine share its pages. In addition to the
pool there may be one interpreter with more threads: a request that finds the model idle uses it,
since no other request needs the CPUs.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from model_server.errors import InferenceFailed, InvalidModel
from model_server.models.base import (
    Array,
    Model,
    ModelInfo,
    Tensors,
    TensorSpec,
)
from model_server.models.pixel_range.examine import examine_tflite
from model_server.models.tflite_metadata import read_metadata
from model_server.system.cpus import Parallelism


class TfliteModel(Model):
    """One .tflite file with a pool of interpreters."""

    def __init__(self, path: Path, parallelism: Parallelism) -> None:
        """Loads the file.

        Args:
            path: The .tflite file.
            parallelism: Number of interpreters in the pool, CPU threads for each, and CPU threads
                for the interpreter that serves lone requests.

        Raises:
            InvalidModel: if LiteRT cannot read the file or lacks one of its operators.
        """
        first = _interpreter(path, parallelism.threads)
        self._inputs, self._outputs = _tensors(first)
        # The most recently used interpreter first: its weights are packed and in the cache.
        self._pool: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(parallelism.instances - 1):
            self._pool.put(_interpreter(path, parallelism.threads))
        self._pool.put(first)
        self._wide: Any = None
        if parallelism.lone_threads > parallelism.threads:
            self._wide = _interpreter(path, parallelism.lone_threads)
        self._running = 0
        self._lock = threading.Lock()
        metadata = read_metadata(path)
        inputs = tuple(spec for spec, _ in self._inputs)
        outputs = tuple(spec for spec, _ in self._outputs)
        found = examine_tflite(path, inputs, tuple(spec.name for spec in outputs), metadata)
        self.info = ModelInfo(
            format="tflite",
            inputs=inputs,
            outputs=outputs,
            image=found.image,
            activations=found.activations,
            roles=found.roles,
            box_format=found.box_format,
            labels=metadata.labels,
            description=metadata.description,
        )

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """See `Model.run`. LiteRT releases the GIL while it computes."""
        with self._lent() as interpreter:
            return self._run(interpreter, inputs)

    @contextmanager
    def _lent(self) -> Iterator[Any]:
        """Lends an interpreter for exclusive use; waits until one is free."""
        with self._lock:
            alone = self._running == 0
            self._running += 1
        wide = alone and self._wide is not None
        interpreter = self._wide if wide else self._pool.get()
        try:
            yield interpreter
        finally:
            if not wide:
                self._pool.put(interpreter)
            with self._lock:
                self._running -= 1

    def warm(self, inputs: Tensors) -> dict[str, Array]:
        """See `Model.warm`; call it only before the server accepts requests."""
        interpreters = [self._pool.get() for _ in range(self._pool.qsize())]
        try:
            everyone = [*interpreters, self._wide] if self._wide is not None else interpreters
            outputs = [self._run(interpreter, inputs) for interpreter in everyone]
            return outputs[0]
        finally:
            for interpreter in interpreters:
                self._pool.put(interpreter)

    def _run(self, interpreter: Any, inputs: Tensors) -> dict[str, Array]:
        try:
            for spec, index in self._inputs:
                if -1 in spec.shape:
                    interpreter.resize_tensor_input(index, inputs[spec.name].shape)
            if any(-1 in spec.shape for spec, _ in self._inputs):
                interpreter.allocate_tensors()
            for spec, index in self._inputs:
                interpreter.set_tensor(index, inputs[spec.name])
            interpreter.invoke()
            return {spec.name: interpreter.get_tensor(index) for spec, index in self._outputs}
        except (RuntimeError, ValueError) as error:
            raise InferenceFailed(f"LiteRT: {error}") from error


def _interpreter(path: Path, threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - only this format pays

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise InvalidModel(
            f"model: {path.name} is not a model that LiteRT can run: {error}"
        ) from error
    return interpreter


_Tensor = tuple[TensorSpec, int]


def _tensors(interpreter: Any) -> tuple[list[_Tensor], list[_Tensor]]:
    """Returns the inputs and outputs with their tensor indexes.

    Uses the names in the signature if there is exactly one: the model's author chose them
    (`detection_boxes`), while the tensors' own names (`StatefulPartitionedCall:3`) mean nothing.
    """
    inputs = {detail["index"]: detail["name"] for detail in interpreter.get_input_details()}
    outputs = {detail["index"]: detail["name"] for detail in interpreter.get_output_details()}
    details = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    if len(interpreter.get_signature_list()) == 1:
        runner = interpreter.get_signature_runner()
        for names, signature in (
            (inputs, runner.get_input_details()),
            (outputs, runner.get_output_details()),
        ):
            found = {detail["index"]: name for name, detail in signature.items()}
            if found.keys() == names.keys():
                names.update(found)
    specs = {detail["index"]: detail for detail in details}
    return (
        [(_spec(name, specs[index]), index) for index, name in inputs.items()],
        [(_spec(name, specs[index]), index) for index, name in outputs.items()],
    )


def _spec(name: str, detail: dict[str, Any]) -> TensorSpec:
    scales = detail["quantization_parameters"]["scales"]
    zeros = detail["quantization_parameters"]["zero_points"]
    per_tensor = len(scales) == 1
    return TensorSpec(
        name=name,
        shape=tuple(int(size) for size in detail["shape_signature"]),
        dtype=np.dtype(detail["dtype"]),
        scale=float(scales[0]) if per_tensor else 0.0,
        zero_point=int(zeros[0]) if per_tensor else 0,
    )
