"""Loads the models that the settings name and finds them by name."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from model_server.errors import (
    InvalidModel,
    InvalidSettings,
    ModelNotServed,
    ModelServerError,
    UnknownModel,
    shown,
)
from model_server.models.base import ImageInput, Model
from model_server.models.companion import read_companion
from model_server.models.label_files import find_label_files, read_labels
from model_server.models.loading import load_model
from model_server.models.source import ModelSource, digest
from model_server.request.budgets import PictureBudget
from model_server.serving.capacity import parallelism
from model_server.serving.golden import check_golden, golden_pictures
from model_server.serving.sources import find_sources
from model_server.settings import Settings
from model_server.system.allocator import Trimmer
from model_server.vision.batching import BatchLimits
from model_server.vision.detector_outputs import BoxSettings
from model_server.vision.images import ImageLimits, load_codecs
from model_server.vision.inference import Options, VisionModel
from model_server.vision.resizing import choose

_log = logging.getLogger("model_server")


class Registry:
    """Models by name. The first is the default of endpoints that name none."""

    def __init__(
        self, models: Mapping[str, VisionModel], not_served: Mapping[str, str] | None = None
    ) -> None:
        """Takes loaded models.

        Args:
            models: By name.
            not_served: Names of models that failed to load, with the reason.
        """
        if not models:
            raise InvalidModel("model: there is no model to serve")
        self._models = dict(models)
        self.not_served = dict(not_served or {})

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the served models, in order of loading."""
        return tuple(self._models)

    @property
    def default(self) -> VisionModel:
        """The model of endpoints that name none."""
        return next(iter(self._models.values()))

    def get(self, name: str) -> VisionModel:
        """The model of that name.

        Raises:
            ModelNotServed: if it failed to load, with the reason.
            UnknownModel: with the names of all models.
        """
        if name in self.not_served:
            raise ModelNotServed(f"model {name} is not served: {self.not_served[name]}")
        if name not in self._models:
            raise UnknownModel(
                f"unknown model {shown(name)}; this server has {', '.join(self._models)}"
            )
        return self._models[name]

    def for_task(self, task: str) -> VisionModel:
        """The first model with a task, or the default model, which then reports the wrong task."""
        return next((model for model in self._models.values() if model.task == task), self.default)


def load_registry(settings: Settings) -> Registry:
    """Loads and warms up every model; checks the golden pictures.

    Raises:
        StartupError: if no model can be served.
    """
    load_codecs(settings.image_formats)
    pictures = PictureBudget(settings.max_decoded_bytes, Trimmer().request)
    sources = find_sources(settings)
    # A single model must load; in a models folder, each model may fail by itself.
    alone = settings.models_dir is None
    models: dict[str, VisionModel] = {}
    not_served = dict(sources.problems)
    for name, source in sources.models.items():
        try:
            models[name] = _load(name, source, settings, pictures)
        except Exception as error:
            if alone:
                raise
            not_served[name] = _cause(error)
    for name, problem in not_served.items():
        _log.error("model %s is not served: %s", name, problem)
    if not models:
        raise InvalidModel(
            f"models-dir: no model of {settings.models_dir} can be served: "
            + "; ".join(f"{name}: {problem}" for name, problem in not_served.items())
        )
    registry = Registry(models, not_served)
    folder = sources.models[registry.names[0]].folder
    check_golden(registry.default, golden_pictures(settings, folder))
    return registry


def _cause(error: Exception) -> str:
    """Why a model failed to load; frameworks raise any exception."""
    if isinstance(error, ModelServerError):
        return error.message
    _log.error("loading failed", exc_info=error)
    return f"{type(error).__name__}: {error}"


def _load(
    name: str, source: ModelSource, settings: Settings, pictures: PictureBudget
) -> VisionModel:
    model = load_model(source, parallelism(settings))
    return vision_model(name, model, source, settings, pictures)


def vision_model(
    name: str,
    model: Model,
    source: ModelSource,
    settings: Settings,
    pictures: PictureBudget | None = None,
) -> VisionModel:
    """A loaded model with its labels and the preparation of its pictures.

    A model that `model-server optimize` made says itself how its pictures are prepared.

    Args:
        name: What requests call it.
        model: Ready to run; what it says of its pictures may be replaced.
        source: Where it is from.
        settings: Of the server.
        pictures: Memory for decoded pictures, shared by all models; None for the default.

    Raises:
        StartupError: if it cannot be served as asked.
    """
    companion = read_companion(source.folder)
    if companion is not None:
        model.info = replace(model.info, image=companion.image, first_class=companion.first_class)
    scaling = settings.preprocessing
    image = None
    if scaling != "auto":
        image = ImageInput(
            scaling=scaling,
            resize=model.info.image.resize,
            source="setting",
            reason=f"--preprocessing {scaling}",
        )
    options = Options(
        task=settings.task,
        image=image,
        limits=ImageLimits(
            settings.max_image_pixels, settings.max_image_side, settings.image_formats
        ),
        pictures=PictureBudget() if pictures is None else pictures,
        decoding=settings.jpeg_decoding,
        resize=choose(settings.resizing),
        boxes=_box_settings(settings),
        batching=BatchLimits(
            size=settings.max_batch_size,
            latency_seconds=settings.max_latency_ms / 1000,
            instances=parallelism(settings).instances,
        ),
        # Computed on demand: hashing a large model takes seconds.
        digest=cache(lambda: digest(source)),
    )
    labels = [read_labels(path) for path in label_files(source, settings)]
    return VisionModel(name, model, labels, options)


def _box_settings(settings: Settings) -> BoxSettings:
    named = [part.split("=", 1) for part in settings.detector_outputs.split(",") if part]
    outputs = {role.strip(): name.strip() for role, name in named}
    missing = {"boxes", "classes", "scores"} - outputs.keys()
    if outputs and missing:
        raise InvalidSettings(
            f"--detector-outputs: {', '.join(sorted(missing))} must be named as well, as in "
            "boxes=NAME,classes=NAME,scores=NAME"
        )
    return BoxSettings(
        box_format=None if settings.box_format == "auto" else settings.box_format,
        units=None if settings.box_units == "auto" else settings.box_units,
        outputs=outputs,
    )


def label_files(source: ModelSource, settings: Settings) -> list[Path]:
    """The label file in the settings, else those beside the model, else one folder up.

    Raises:
        InvalidModel: if the file does not exist.
    """
    if settings.labels is None:
        found = (find_label_files(folder) for folder in source.label_folders)
        return next(filter(None, found), [])
    if not settings.labels.is_file():
        raise InvalidModel(f"labels: file {settings.labels} does not exist")
    return [settings.labels]
