"""TensorFlow SavedModels: classifiers, and detectors from the TF Object Detection API.

The server serves the signature `serving_default`. A SavedModel is a program, so a model with
operators that are not on the list in `operators` is refused before anything is loaded.
"""

from pathlib import Path
from typing import Any

from model_server.errors import InvalidModel
from model_server.models.base import ModelInfo
from model_server.models.causes import cause_of
from model_server.models.graph_protos import program_of
from model_server.models.operators import refusal, refused_operators
from model_server.models.pixel_range.examine import examine_function
from model_server.models.tensorflow_runtime import (
    Signature,
    TensorFlowModel,
    import_tensorflow,
    spec_of,
)
from model_server.system.cpus import Parallelism

_SIGNATURE = "serving_default"


class SavedModel(TensorFlowModel):
    """One SavedModel folder."""

    def __init__(self, path: Path, parallelism: Parallelism) -> None:
        """Loads the folder.

        Args:
            path: The folder that contains `saved_model.pb`.
            parallelism: Number of concurrent inferences, and threads for each.

        Raises:
            InvalidModel: if the model cannot be loaded, has no `serving_default` signature, or has
                an operator that is not on the list.
        """
        self.tensorflow = import_tensorflow(parallelism)
        refuse_unsafe_operators(path)
        try:
            loaded = self.tensorflow.saved_model.load(str(path))
        except (OSError, ValueError, KeyError, self.tensorflow.errors.OpError) as error:
            raise InvalidModel(f"model: {path.name} cannot be loaded: {cause_of(error)}") from error
        # The signature stops working once the object that owns it is gone.
        self.trackable = loaded
        self.signature = _signature(loaded, path)
        inputs = self.signature.structured_input_signature[1]  # type: ignore[attr-defined]
        outputs = self.signature.structured_outputs  # type: ignore[attr-defined]
        specs = tuple(spec_of(name, spec) for name, spec in sorted(inputs.items()))
        found = examine_function(self.signature, specs[0] if len(specs) == 1 else None, "bilinear")
        self.info = ModelInfo(
            format="savedmodel",
            inputs=specs,
            outputs=tuple(spec_of(name, spec) for name, spec in sorted(outputs.items())),
            image=found.image,
            first_class=1,
            activations=found.activations,
            roles=found.roles,
            box_format=found.box_format,
            warnings=found.warnings,
        )


def _signature(loaded: Any, path: Path) -> Signature:
    signatures = loaded.signatures
    if _SIGNATURE in signatures:
        found: Signature = signatures[_SIGNATURE]
        return found
    if len(signatures) == 1:
        only: Signature = next(iter(signatures.values()))
        return only
    raise InvalidModel(
        f"model: {path.name} has no signature {_SIGNATURE!r}; it has "
        f"{', '.join(signatures) or 'none'}"
    )


def refuse_unsafe_operators(path: Path) -> None:
    """Reads the graph without loading it, and refuses operators that no vision model needs.

    Args:
        path: The folder that contains `saved_model.pb`.

    Raises:
        InvalidModel: if the graph has such operators (the message names them), or the file is not a
            SavedModel.
    """
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - comes with TensorFlow
    from tensorflow.core.protobuf import saved_model_pb2  # noqa: PLC0415
    from tensorflow.python.framework import op_def_registry  # noqa: PLC0415

    file = path / "saved_model.pb"
    if not file.is_file():
        raise InvalidModel(f"model: {path} has no saved_model.pb (the text form is not read)")
    proto = saved_model_pb2.SavedModel()
    try:
        proto.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise InvalidModel(f"model: {file} is damaged or no SavedModel") from error
    with_objects = len(proto.meta_graphs) == 1 and proto.meta_graphs[0].HasField("object_graph_def")
    found = {
        name
        for meta_graph in proto.meta_graphs
        for name in refused_operators(
            program_of(meta_graph, runs_restore=not with_objects),
            lambda name: op_def_registry.get(name) is not None,
        )
    }
    if found:
        raise InvalidModel(refusal(path.name, sorted(found)))
