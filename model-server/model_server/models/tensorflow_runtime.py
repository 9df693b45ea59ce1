"""What SavedModel and Keras models share: TensorFlow set up once, signatures, and running them.

One of the few modules that import TensorFlow. A signature is a compiled graph; called eagerly,
the same model is three times slower.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from model_server.errors import InferenceFailed, InvalidModel
from model_server.models.base import Array, Model, Tensors, TensorSpec
from model_server.models.causes import cause_of
from model_server.system.cpus import Parallelism

Signature = Callable[..., Mapping[str, Any]]


class TensorFlowModel(Model):
    """A model that runs as a TensorFlow signature.

    Attributes:
        tensorflow: The module.
        signature: Takes tensors by the inputs' names, gives tensors by the outputs' names.
        trackable: The object that owns the signature's variables.
    """

    tensorflow: Any
    signature: Signature
    trackable: Any

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """See `Model.run`."""
        return call(self.tensorflow, self.signature, inputs)


def import_tensorflow(parallelism: Parallelism) -> Any:
    """TensorFlow, quiet, and with the CPUs it may use.

    Its threads are one pool for all inferences of the process: `instances x threads` of them.
    """
    # Information and warnings about CPU features; errors still come.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # noqa: PLC0415 - after the variable above, and only when needed

    try:
        tf.config.threading.set_intra_op_parallelism_threads(
            parallelism.instances * parallelism.threads
        )
        tf.config.threading.set_inter_op_parallelism_threads(parallelism.instances)
    except RuntimeError:  # a second model in this process: the pool exists
        pass
    return tf


def spec_of(name: str, spec: Any) -> TensorSpec:
    """Our description of TensorFlow's `TensorSpec`.

    Raises:
        InvalidModel: if its type has no counterpart in NumPy (resources, variants).
    """
    if spec.dtype.name == "string":
        dtype: np.dtype[Any] = np.dtype(object)
    else:
        try:
            dtype = np.dtype(spec.dtype.as_numpy_dtype)
        except (TypeError, NotImplementedError) as error:
            raise InvalidModel(f"model: {name} has the type {spec.dtype.name}") from error
    rank = spec.shape.rank
    shape = () if rank is None else tuple(-1 if size is None else int(size) for size in spec.shape)
    return TensorSpec(name=name, shape=shape, dtype=dtype)


def call(tf: Any, signature: Signature, inputs: Tensors) -> dict[str, Array]:
    """Runs a signature on arrays; returns arrays.

    Raises:
        InferenceFailed: if TensorFlow reports an error.
    """
    try:
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = signature(**tensors)
        return {name: np.asarray(tensor) for name, tensor in outputs.items()}
    except (tf.errors.OpError, ValueError, TypeError) as error:
        raise InferenceFailed(f"TensorFlow: {cause_of(error)}") from error
