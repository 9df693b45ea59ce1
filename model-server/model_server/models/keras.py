"""Keras models (.keras and HDF5): checked before loading, then run as one compiled graph.

`pixel_range` works out the pixel range from the graph and the layer names.
"""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model_server.errors import InvalidModel
from model_server.models.base import ModelInfo
from model_server.models.causes import cause_of
from model_server.models.graph_protos import program_of_graph
from model_server.models.keras_legacy import tolerant_layers
from model_server.models.keras_safety import check_keras_file
from model_server.models.operators import refusal, refused_operators
from model_server.models.pixel_range.examine import examine_function
from model_server.models.tensorflow_runtime import (
    Signature,
    TensorFlowModel,
    import_tensorflow,
    spec_of,
)
from model_server.system.cpus import Parallelism


class KerasModel(TensorFlowModel):
    """One Keras file."""

    def __init__(self, path: Path, parallelism: Parallelism) -> None:
        """Loads the file.

        Args:
            path: A .keras archive or an HDF5 file.
            parallelism: Number of concurrent inferences, and threads for each.

        Raises:
            InvalidModel: if it cannot be loaded or could run code.
        """
        self.tensorflow = import_tensorflow(parallelism)
        config = check_keras_file(path)
        keras = self.tensorflow.keras
        try:
            model = keras.models.load_model(
                path,
                compile=False,
                safe_mode=True,
                custom_objects=tolerant_layers(config, keras) or None,
            )
        except Exception as error:
            raise InvalidModel(f"model: {path.name} cannot be loaded: {cause_of(error)}") from error
        self.trackable = model
        concrete, signature = _compile(self.tensorflow, model)
        self.signature = signature
        inputs = tuple(spec_of(spec.name, spec) for spec in concrete.structured_input_signature[0])
        found = examine_function(
            concrete, inputs[0] if len(inputs) == 1 else None, "nearest", _layers(config)
        )
        self.info = ModelInfo(
            format="keras",
            inputs=inputs,
            outputs=tuple(
                spec_of(name, spec) for name, spec in concrete.structured_outputs.items()
            ),
            image=found.image,
            activations=found.activations,
            roles=found.roles,
            box_format=found.box_format,
            warnings=found.warnings,
            description=str(model.name),
        )


def _compile(tf: Any, model: Any) -> tuple[Any, Signature]:
    """Compiles the model to one graph with named tensors; returns it and a way to call it."""
    tensors = model.inputs if isinstance(model.inputs, list) else [model.inputs]
    specs = [
        tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name=_plain(tensor.name, index))
        for index, tensor in enumerate(tensors)
    ]
    names = [f"output_{index}" for index in range(len(model.outputs))]

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]  # TensorFlow is untyped
    def serve(*arguments: Any) -> dict[str, Any]:
        result = model(arguments[0] if len(arguments) == 1 else list(arguments), training=False)
        flat = tf.nest.flatten(result)
        return dict(zip(names, flat, strict=True))

    concrete = serve.get_concrete_function()
    # A second check, on the operators of the layers that the configuration check let through.
    found = refused_operators(program_of_graph(concrete.graph.as_graph_def()), lambda _name: False)
    if found:
        raise InvalidModel(refusal(str(model.name), found))

    def signature(**inputs: Any) -> Any:
        return concrete(*(inputs[spec.name] for spec in specs))

    return concrete, signature


def _plain(name: str, index: int) -> str:
    """Returns a stable input name; Keras numbers its default names across the whole process."""
    return f"input_{index}" if not name or name.startswith("keras_tensor") else name


def _layers(config: object) -> Iterator[str]:
    """Yields the names of the model and all its layers, outermost first."""
    pending = deque([config])
    while pending:
        item = pending.popleft()
        if isinstance(item, list):
            pending.extend(item)
        if not isinstance(item, dict):
            continue
        inner = item.get("config")
        if isinstance(item.get("class_name"), str) and isinstance(inner, dict):
            yield str(inner.get("name", ""))
            pending.append(inner.get("layers", []))
            pending.append(inner.get("layer", []))
