"""Runs one optimization: load -> answer -> convert -> answer again -> compare, form by form.

The first form that stays within the bounds is the result. If none does, the error describes the
outcome of each form.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model_server.errors import ConversionFailed, InvalidModel, OutputsDrifted
from model_server.models.base import Array, ImageInput
from model_server.models.companion import COMPANION, Companion
from model_server.models.loading import load_model
from model_server.models.source import ModelSource, find_model
from model_server.models.tensorflow_runtime import TensorFlowModel
from model_server.models.tflite_conversion import Form, convert
from model_server.optimize.answers import answer, milliseconds, picture_spec
from model_server.optimize.drift import Drift, compare
from model_server.optimize.options import Options
from model_server.optimize.pictures import crops, drawn_pictures, read_pictures
from model_server.serving.registry import label_files, vision_model
from model_server.settings import load_settings
from model_server.system.cpus import Parallelism, available_cpus
from model_server.vision.images import ImageLimits, decode, load_codecs
from model_server.vision.inference import VisionModel
from model_server.vision.preprocessing import prepare

_LOG = logging.getLogger("model_server.optimize")
_CALIBRATION = 100
_ENOUGH = 20
_CROPS = 12
# Fastest first. Full-integer arithmetic needs pictures; half precision is no faster on a CPU.
_AUTO: tuple[Form, ...] = ("int8", "dynamic", "float32")


class Optimization:
    """A source model, its answers, and the forms to try."""

    def __init__(self, options: Options, source: ModelSource, work: Path) -> None:
        """Reads the pictures and loads the source.

        Args:
            options: The command's options.
            source: The model to optimize.
            work: An empty folder for the converted models.

        Raises:
            StartupError: if a picture cannot be read or the model cannot be served.
        """
        self._options, self._source, self._work = options, source, work
        self._settings = load_settings(
            model=str(source.path),
            models_dir=None,
            name="",
            labels=options.labels,
            preprocessing=options.preprocessing,
        )
        load_codecs(self._settings.image_formats)
        settings = self._settings
        self._limits = ImageLimits(
            settings.max_image_pixels, settings.max_image_side, settings.image_formats
        )
        if options.pictures is None:
            self._samples = drawn_pictures()
        else:
            self._samples = read_pictures(options.pictures, self._limits)
        self._parallelism = Parallelism(1, available_cpus())
        model = load_model(source, self._parallelism)
        if not isinstance(model, TensorFlowModel):
            raise InvalidModel(f"model: {source.path} is not a SavedModel or Keras model")
        self._model = model
        self._vision = vision_model(source.name, model, source, settings)
        self._spec = picture_spec(self._vision)
        self._before = [answer(self._vision, sample) for sample in self._samples]

    def run(self) -> tuple[list[Path], Companion]:
        """Returns the result's files and their companion.

        Raises:
            ConversionFailed: if no form can express the model.
            OutputsDrifted: if the answers of all forms that can express it are out of bounds.
        """
        refused: list[str] = []
        drifted = False
        for form in self._forms():
            try:
                files = self._converted(form)
            except ConversionFailed as error:
                refused.append(error.message)
                continue
            companion = self._companion({})
            found = self._load(files[0].parent, companion)
            drift = compare(
                [sample.name for sample in self._samples],
                self._before,
                [answer(found, sample) for sample in self._samples],
            )
            if drift.within(self._options.bounds):
                return files, self._companion(self._record(form, drift, files[0], found))
            drifted = True
            refused.append(f"as {form}, {drift.told()}")
            _LOG.info("%s is refused: %s", form, drift.told())
        if drifted:
            raise OutputsDrifted("; ".join(refused) + self._advice())
        raise ConversionFailed("; ".join(refused))

    def _forms(self) -> Sequence[Form]:
        if self._options.form is not None:
            return [self._options.form]
        return _AUTO if self._options.pictures is not None else _AUTO[1:]

    def _converted(self, form: Form) -> list[Path]:
        """Writes the tflite file and its labels to a folder of their own; returns their paths."""
        folder = self._work / form
        folder.mkdir()
        samples = self._calibration() if form == "int8" else []
        content = convert(self._model, self._spec, self._vision.image, form, samples)
        file = folder / f"{self._source.name}.tflite"
        file.write_bytes(content)
        labels = label_files(self._source, self._settings)
        return [file, *(self._copied(path, folder) for path in labels)]

    def _copied(self, labels: Path, folder: Path) -> Path:
        """Copies a label file to a name that the server finds by itself; returns the new path."""
        given = self._options.labels is not None and labels.suffix.lower() != ".pbtxt"
        suffix = ".json" if labels.suffix.lower() == ".json" else ".txt"
        target = folder / (f"labels{suffix}" if given else labels.name)
        shutil.copyfile(labels, target)
        return target

    def _companion(self, record: Mapping[str, Any]) -> Companion:
        image = ImageInput(scaling="none", resize=self._vision.image.resize)
        return Companion(image, self._vision.first_class, record)

    def _load(self, folder: Path, companion: Companion) -> VisionModel:
        """Loads the result from its folder the way the server will."""
        written = folder / COMPANION
        written.write_text(companion.text(), encoding="utf-8")
        source = find_model(str(folder))
        settings = load_settings(
            model=str(folder), models_dir=None, name="", labels=None, preprocessing="auto"
        )
        model = load_model(source, self._parallelism)
        return vision_model(source.name, model, source, settings)

    def _calibration(self) -> list[Array]:
        """Returns crops of every other picture, so the rest are unseen when compared.

        With few pictures, all are used: values outside the ranges seen in calibration are clipped,
        which costs more than unseen pictures add to the comparison.
        """
        spec = replace(self._spec, dtype=np.dtype(np.uint8))
        how = ImageInput(resize=self._vision.image.resize)
        chosen = self._samples[::2] if len(self._samples) >= _ENOUGH else self._samples
        each = max(1, min(_CROPS, _CALIBRATION // len(chosen)))
        return [
            prepare(decode(part, self._limits).image, spec, how)
            for sample in chosen
            for part in crops(sample.data, each, self._limits)
        ]

    def _record(self, form: Form, drift: Drift, file: Path, found: VisionModel) -> dict[str, Any]:
        before, after = milliseconds(self._vision), milliseconds(found)
        _LOG.info("%s: %s; %.1f ms an inference instead of %.1f", form, drift.told(), after, before)
        return {
            "form": form,
            "pictures": drift.pictures,
            "same_first": drift.same_first,
            "largest_difference": round(drift.largest, 5),
            "milliseconds": after,
            "source_milliseconds": before,
            "bytes": file.stat().st_size,
        }

    def _advice(self) -> str:
        bounds = self._options.bounds
        return (
            f". Allowed are a difference of {bounds.drift:g} (--max-drift) and the same first "
            f"class in {bounds.agreement:.0%} of the pictures (--min-agreement): serve the model "
            "as it is, give more pictures of the kind it will see, or allow more"
        )
