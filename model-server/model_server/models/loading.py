"""Loads a model with the one module for its format.

A model of another format is never imported, nor is the framework it needs: serving `tflite` must
not pay for TensorFlow.
"""

from model_server.errors import InvalidModel
from model_server.models.base import Model
from model_server.models.source import ModelSource
from model_server.system.cpus import Parallelism


def load_model(source: ModelSource, parallelism: Parallelism) -> Model:
    """Loads a model; TensorFlow is imported here if, and only if, the format needs it.

    Raises:
        InvalidModel: if it cannot be loaded, or needs the other variant of the image.
    """
    if source.format == "tflite":
        from model_server.models.tflite import TfliteModel  # noqa: PLC0415 - see above

        return TfliteModel(source.path, parallelism)
    try:
        if source.format == "savedmodel":
            from model_server.models.savedmodel import SavedModel  # noqa: PLC0415 - see above

            return SavedModel(source.path, parallelism)
        from model_server.models.keras import KerasModel  # noqa: PLC0415 - see above

        return KerasModel(source.path, parallelism)
    except ImportError as error:
        raise InvalidModel(
            f"model: a {source.format} model needs TensorFlow, which this image does not have; use "
            "the image whose tag ends in -tensorflow, or install model-server[tensorflow]"
        ) from error
