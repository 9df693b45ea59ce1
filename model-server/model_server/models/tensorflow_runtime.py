"""Shared runtime of SavedModel and Keras models: sets up TensorFlow and runs signatures.

One of the few modules that import TensorFlow. A signature is a compiled graph; running the same
model eagerly is three times slower.
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
        tensorflow: The TensorFlow module.
        signature: Callable that takes tensors by input name and returns tensors by output name.
        trackable: The object that owns the signature's variables.
    """

    tensorflow: Any
    signature: Signature
    trackable: Any

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """See `Model.run`."""
        return call(self.tensorflow, self.signature, inputs)


def import_tensorflow(parallelism: Parallelism) -> Any:
    """Imports TensorFlow, silences its startup messages and limits its threads.

    All inferences in the process share one pool of `instances x threads` threads.
    """
    # Hides information and warnings about CPU features; errors still appear.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # noqa: PLC0415 - after the variable above, and only when needed

    try:
        tf.config.threading.set_intra_op_parallelism_threads(
            parallelism.instances * parallelism.threads
        )
        tf.config.threading.set_inter_op_parallelism_threads(parallelism.instances)
    except RuntimeError:  # a second model in this process: the pool already exists
        pass
    return tf


def spec_of(name: str, spec: Any) -> TensorSpec:
    """Converts TensorFlow's `TensorSpec` to ours.

    Raises:
        InvalidModel: if its type has no NumPy equivalent (resources, variants).
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
    """Runs a signature on arrays and returns arrays.

    Raises:
        InferenceFailed: if TensorFlow reports an error.
    """
    try:
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = signature(**tensors)
        return {name: np.asarray(tensor) for name, tensor in outputs.items()}
    except (tf.errors.OpError, ValueError, TypeError) as error:
        raise InferenceFailed(f"TensorFlow: {cause_of(error)}") from error
