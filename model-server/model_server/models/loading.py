"""Loads a model with the module for its format.

The modules for other formats are never imported, nor are their frameworks: serving `tflite` must
not pay for TensorFlow.
"""

from model_server.errors import InvalidModel
from model_server.models.base import Model
from model_server.models.source import ModelSource
from model_server.system.cpus import Parallelism


def load_model(source: ModelSource, parallelism: Parallelism) -> Model:
    """Loads a model, importing TensorFlow only if the format needs it.

    Raises:
        InvalidModel: if the model cannot be loaded, or needs the image's TensorFlow variant.
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
