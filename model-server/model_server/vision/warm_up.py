"""The first inference of a model: it must do one before it serves, and shows what its outputs are.

An input of strings does not say what it takes. The forms that there are are tried; a model that
takes none of them is served all the same, for those who know what to send.
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

# The picture as the tensor of an input.
Prepare = Callable[[Image.Image, TensorSpec], Array]


@dataclass(frozen=True)
class WarmUp:
    """What the first inference has shown.

    Attributes:
        outputs: As the model gives them; None if nothing is known that it takes.
        form: What its strings are, if it takes a picture as one.
        warning: What is not known; empty if everything is.
    """

    outputs: dict[str, Array] | None
    form: StringForm = FORMS[0]
    warning: str = ""


def warm_up(name: str, model: Model, picture: TensorSpec | None, prepare: Prepare) -> WarmUp:
    """Runs a model for the first time.

    Args:
        name: What requests call it.
        model: Ready to run.
        picture: Its picture input, or None.
        prepare: Makes a picture an input.

    Raises:
        WarmUpFailed: if it cannot do one inference, and takes no strings.
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
    """A prepared picture as the model's only input.

    Args:
        batch: As `preprocessing.prepare` gives it.
        spec: The picture input.
        form: What its strings are, if it takes such.
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
