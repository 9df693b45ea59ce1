"""Runs a model's first inference, which must succeed before it serves and reveals its outputs.

An input of strings does not declare what it takes, so all known forms are tried. A model that
accepts none of them is served anyway, for clients that know what to send.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model_server.errors import ModelServerError, WarmUpFailed
from model_server.models.base import Array, Model, Tensors, TensorSpec
from model_server.vision.sample_pictures import sample_pictures
from model_server.vision.signature import zeros
from model_server.vision.strings import FORMS, StringForm

# Converts a picture to the tensor for an input.
Prepare = Callable[[Image.Image, TensorSpec], Array]


@dataclass(frozen=True)
class WarmUp:
    """The result of the first inference.

    Attributes:
        outputs: The model's raw outputs; None if it accepted none of the inputs tried.
        form: The form of its strings, if it takes a picture as a string.
        warning: What remains unknown; empty if nothing does.
    """

    outputs: dict[str, Array] | None
    form: StringForm = FORMS[0]
    warning: str = ""


def warm_up(name: str, model: Model, picture: TensorSpec | None, prepare: Prepare) -> WarmUp:
    """Runs a model for the first time.

    Args:
        name: The name that requests use.
        model: The model, ready to run.
        picture: The model's picture input, or None.
        prepare: Converts a picture to an input.

    Raises:
        WarmUpFailed: if the model cannot run a single inference and has no input of strings.
    """
    failure: ModelServerError | None = None
    for form, inputs in _attempts(model, picture, prepare):
        try:
            return WarmUp(model.warm(inputs), form)
        except ModelServerError as error:
            failure = failure or error
    message = failure.message if failure else "it has no inputs"
    if not any(spec.dtype == object for spec in model.info.inputs):
        raise WarmUpFailed(f"model {name}: {message}") from failure
    strings = ", ".join(spec.name for spec in model.info.inputs if spec.dtype == object)
    return WarmUp(
        None,
        warning=f"no warm-up: what its strings ({strings}) must hold is not known. It takes no "
        f"encoded picture, no base64 and no tf.Example with a picture ({message}). Send it what it "
        "needs as tensors",
    )


def as_inputs(batch: Array, spec: TensorSpec, form: StringForm) -> dict[str, Array]:
    """Returns a prepared picture as the model's only input.

    Args:
        batch: The result of `preprocessing.prepare`.
        spec: The picture input.
        form: The form of its strings, if it takes strings.
    """
    if spec.dtype == object:
        batch = np.array([form.wrap(bytes(item)) for item in batch], dtype=object)
    return {spec.name: batch if spec.shape or spec.dtype != object else batch.reshape(())}


def _attempts(
    model: Model, picture: TensorSpec | None, prepare: Prepare
) -> Iterator[tuple[StringForm, Tensors]]:
    image = sample_pictures()[0]
    if picture is not None:
        forms = FORMS if picture.dtype == object else FORMS[:1]
        for form in forms:
            yield form, as_inputs(prepare(image, picture), picture, form)
        return
    if any(spec.dtype == object for spec in model.info.inputs):
        for form in FORMS:
            encoded = bytes(prepare(image, _STRINGS)[0])
            yield (
                form,
                {
                    spec.name: np.full(zeros(spec).shape, form.wrap(encoded), dtype=object)
                    if spec.dtype == object
                    else zeros(spec)
                    for spec in model.info.inputs
                },
            )
    yield FORMS[0], {spec.name: zeros(spec) for spec in model.info.inputs}


_STRINGS = TensorSpec("", (-1,), np.dtype(object))
