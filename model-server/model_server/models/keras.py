"""Keras models (.keras and HDF5), checked first, then run as one compiled graph.

Architectures of keras.applications bring their own preprocessing; the model's configuration tells
which one it is, so that nobody has to say so.
"""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model_server.errors import InvalidModel
from model_server.models.base import ImageInput, ModelInfo, PixelScaling
from model_server.models.graph_protos import program_of_graph
from model_server.models.keras_safety import check_keras_file
from model_server.models.operators import refusal, refused_operators
from model_server.models.tensorflow_runtime import (
    Signature,
    TensorFlowModel,
    import_tensorflow,
    spec_of,
)
from model_server.system.cpus import Parallelism

# The preprocess_input of each family in keras.applications, by the start of the model's name.
# The longest match counts: resnet50v2 before resnet50.
_SCALING: dict[str, PixelScaling] = {
    "convnext": "none",
    "densenet": "torch",
    "efficientnet": "none",
    "inception": "signed",
    "mobilenet": "signed",
    "mobilenetv3": "none",
    "nasnet": "signed",
    "regnet": "none",
    "resnet": "caffe",
    "resnet50v2": "signed",
    "resnet101v2": "signed",
    "resnet152v2": "signed",
    "vgg": "caffe",
    "xception": "signed",
}
# Layers that bring pixels to the range the model wants by themselves.
_OWN_PREPROCESSING = {"Rescaling", "Normalization"}


class KerasModel(TensorFlowModel):
    """One Keras file."""

    def __init__(self, path: Path, parallelism: Parallelism) -> None:
        """Loads the file.

        Args:
            path: A .keras archive or an HDF5 file.
            parallelism: Inferences at the same time, and threads of each.

        Raises:
            InvalidModel: if it cannot be loaded or could run code.
        """
        self.tensorflow = import_tensorflow(parallelism)
        config = check_keras_file(path)
        try:
            model = self.tensorflow.keras.models.load_model(path, compile=False, safe_mode=True)
        except Exception as error:
            line = str(error).strip().partition("\n")[0]
            raise InvalidModel(f"model: {path.name} cannot be loaded: {line}") from error
        self.trackable = model
        self.signature, inputs, outputs = _compile(self.tensorflow, model)
        self.info = ModelInfo(
            format="keras",
            inputs=tuple(spec_of(name, spec) for name, spec in inputs.items()),
            outputs=tuple(spec_of(name, spec) for name, spec in outputs.items()),
            image=ImageInput(scaling=scaling_of(config), resize="nearest"),
            description=str(model.name),
        )


def _compile(tf: Any, model: Any) -> tuple[Signature, dict[str, Any], dict[str, Any]]:
    """The model as one graph from named tensors to named tensors, with their specs."""
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
    # Of Keras's own layers; a second look at what the check of the configuration has let through.
    found = refused_operators(program_of_graph(concrete.graph.as_graph_def()), lambda _name: False)
    if found:
        raise InvalidModel(refusal(str(model.name), found))

    def signature(**inputs: Any) -> Any:
        return concrete(*(inputs[spec.name] for spec in specs))

    outputs = dict(concrete.structured_outputs.items())
    return signature, {spec.name: spec for spec in specs}, outputs


def _plain(name: str, index: int) -> str:
    """Keras numbers its tensors over the whole process; requests need a name that stays."""
    return f"input_{index}" if not name or name.startswith("keras_tensor") else name


def scaling_of(config: dict[str, Any]) -> PixelScaling:
    """What a model's pixels must be scaled to, from its configuration.

    `none` if it rescales by itself; its family's for an architecture of keras.applications, also
    when that is a layer of the model (transfer learning); otherwise `unit`, 0 to 1.
    """
    layers = list(_layers(config))
    if any(class_name in _OWN_PREPROCESSING for class_name, _ in layers):
        return "none"
    for _, name in layers:
        family = _family(name)
        if family:
            return _SCALING[family]
    return "unit"


def _family(name: str) -> str:
    lowered = name.lower().replace("-", "").replace("_", "")
    return max((key for key in _SCALING if lowered.startswith(key)), key=len, default="")


def _layers(config: object) -> Iterator[tuple[str, str]]:
    """Class and name of the model and all its layers, outermost first."""
    pending = deque([config])
    while pending:
        item = pending.popleft()
        if isinstance(item, list):
            pending.extend(item)
        if not isinstance(item, dict):
            continue
        inner = item.get("config")
        if isinstance(item.get("class_name"), str) and isinstance(inner, dict):
            yield item["class_name"], str(inner.get("name", ""))
            pending.append(inner.get("layers", []))
            pending.append(inner.get("layer", []))
