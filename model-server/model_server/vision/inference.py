"""The data plane: encoded picture in, detections or classes out. Every protocol calls it.

decode -> prepare -> run -> select, with each stage timed in the request's context. Independent of
web frameworks and model formats.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from PIL import Image

from model_server.errors import (
    InvalidModel,
    WrongTask,
)
from model_server.models.base import Array, ImageInput, Model, Tensors, TensorSpec
from model_server.models.labels import Labels
from model_server.request.budgets import PictureBudget
from model_server.request.context import RequestContext
from model_server.vision.batching import Batcher, BatchLimits
from model_server.vision.classification import (
    Classification,
    probabilities,
    top_classes,
)
from model_server.vision.detection import (
    Detection,
    DetectionOutputs,
    Selection,
    select_detections,
)
from model_server.vision.detector_outputs import BoxSettings
from model_server.vision.drawing import draw_detections
from model_server.vision.images import ImageLimits, Picture, decode
from model_server.vision.preparation import assumption, settled
from model_server.vision.preprocessing import (
    JpegDecoding,
    least_side,
    picture_input,
    picture_size,
    prepare,
)
from model_server.vision.resizing import Resizer, choose
from model_server.vision.sample_pictures import sample_pictures
from model_server.vision.signature import check_inputs, check_types, observed
from model_server.vision.task import Loaded, Task, TaskName, choose_task
from model_server.vision.warm_up import as_inputs, warm_up


@dataclass(frozen=True)
class DetectionResult:
    """The detections in one picture.

    Attributes:
        picture: The picture; its pixels are at full size only if the caller requested that.
        detections: Best first.
    """

    picture: Picture
    detections: list[Detection]

    def annotated(self, context: RequestContext) -> Image.Image:
        """Returns the picture with boxes and names drawn on it."""
        with context.stage("draw"):
            return draw_detections(self.picture.image, self.detections)


def _no_digest() -> str:
    return ""


@dataclass(frozen=True)
class Options:
    """Options for loading a model.

    Attributes:
        task: detection, classification or tensor; empty to detect it.
        image: Overrides the preprocessing that the model's format implies.
        limits: Limits on pictures.
        pictures: Memory budget for decoded pictures, shared with other models.
        decoding: Whether large JPEG pictures are decoded at a reduced size.
        boxes: How to read a detector's outputs.
        batching: Limits on batches; batching is off by default.
        digest: Returns the SHA-256 of the model's files in hex; empty if there are no files.
        resize: Resizes pictures.
    """

    task: str = ""
    image: ImageInput | None = None
    limits: ImageLimits = field(default_factory=ImageLimits)
    pictures: PictureBudget = field(default_factory=PictureBudget)
    decoding: JpegDecoding = "auto"
    boxes: BoxSettings = field(default_factory=BoxSettings)
    batching: BatchLimits = field(default_factory=BatchLimits)
    digest: Callable[[], str] = _no_digest
    resize: Resizer = field(default_factory=choose)


class VisionModel:
    """A loaded model with a name: feeds it pictures and labels the results."""

    def __init__(
        self,
        name: str,
        model: Model,
        labels: Sequence[Labels] = (),
        options: Options | None = None,
    ) -> None:
        """Runs the model once to warm it up and to learn the shapes of its outputs.

        Args:
            name: The name that requests use.
            model: The model, ready to run.
            labels: The label maps found; the first that fits is used. If there are none, the one
                in the model's metadata is used.
            options: Options for loading.

        Raises:
            WarmUpFailed: if the model cannot run a single inference.
            InvalidModel: if the model does not perform the requested task, or the labels do not
                fit.
        """
        options = options or Options()
        check_types(name, model.info)
        self.name = name
        self.info = model.info
        embedded = (model.info.labels,) if model.info.labels else ()
        self._label_maps: Sequence[Labels] = labels or embedded
        self.limits = options.limits
        self._pictures = options.pictures
        self._model = model
        self._digest = options.digest
        self._resize = options.resize
        self._arriving = 0
        self._arriving_lock = threading.Lock()
        self._batcher = Batcher(model, replace(options.batching, expected=lambda: self._arriving))
        self._input = picture_input(model.info)
        self._image = options.image or settled(model.info, self._input, self._frame())
        self._least_side = (
            least_side(self._input, self._image, options.decoding) if self._input else None
        )
        first = warm_up(name, model, self._input, self._prepare)
        self._string_form, self._unknown = first.form, first.warning
        sample = None if first.outputs is None else self._dequantize(first.outputs)
        self.outputs = observed(model.info.outputs, sample) if sample else model.info.outputs
        self._chosen = self._choose_task(sample, options)

    def _samples(self, first: Tensors) -> Iterator[Tensors]:
        """Yields the outputs for several pictures, starting with the existing first one."""
        yield first
        if self._input is not None:
            for picture in sample_pictures()[1:]:
                yield self._dequantize(self._model.run(self._batch(picture, self._input)))

    def _prepare(self, image: Image.Image, spec: TensorSpec) -> Array:
        return prepare(image, spec, self._image, self._resize)

    def _batch(self, image: Image.Image, spec: TensorSpec) -> dict[str, Array]:
        return as_inputs(self._prepare(image, spec), spec, self._string_form)

    def _frame(self) -> tuple[int, int] | None:
        """Returns the height and width of the picture input; None if it accepts any size."""
        size = picture_size(self._input) if self._input is not None else None
        return None if size is None else (size[1], size[0])

    def _choose_task(self, sample: Tensors | None, options: Options) -> Task:
        """Chooses the task; raw tensors if the model takes no picture or gave no output for one."""
        if self._input is None or sample is None:
            if options.task in {"", "tensor"}:
                return Task()
            raise InvalidModel(
                f"model {self.name}: it takes no picture, so it does no {options.task}"
            )
        loaded = Loaded(
            self.info,
            self.outputs,
            self._label_maps,
            self._frame(),
            sample,
            lambda: self._samples(sample),
        )
        try:
            return choose_task(loaded, options.task, options.boxes)
        except InvalidModel as error:
            raise InvalidModel(f"model {self.name}: {error.message}") from error

    def _dequantize(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        return {spec.name: spec.dequantize(outputs[spec.name]) for spec in self.info.outputs}

    @property
    def batches(self) -> bool:
        """Whether requests are batched: enabled in the settings and supported by the model."""
        return self._batcher.enabled

    @property
    def digest(self) -> str:
        """SHA-256 of the model's files, in hex; empty for a model without files."""
        return self._digest()

    @property
    def image(self) -> ImageInput:
        """How a picture is prepared for the model."""
        return self._image

    @property
    def takes_pictures(self) -> bool:
        """Whether the input is a picture; if not, `image` is meaningless."""
        return self._input is not None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Problems that may affect the answers, each with a remedy."""
        assumed = assumption(self._image) if self.takes_pictures else ""
        told = filter(None, (assumed, self._unknown))
        return (*told, *self._chosen.warnings, *self.info.warnings)

    @property
    def task(self) -> TaskName:
        """detection, classification or tensor."""
        return self._chosen.name

    @property
    def first_class(self) -> int:
        """Number of a detector's first class (0 or 1)."""
        return (
            self._chosen.detection.first_class if self._chosen.detection else self.info.first_class
        )

    @property
    def labels(self) -> Labels | None:
        """The label map of a detector."""
        return self._label_maps[0] if self._label_maps else None

    @property
    def detection_outputs(self) -> DetectionOutputs | None:
        """A detector's outputs for boxes, classes, scores and count."""
        return self._chosen.detection

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of a classifier's classes, in order; empty for other tasks."""
        return self._chosen.class_names

    def detect(
        self,
        data: bytes,
        selection: Selection,
        context: RequestContext,
        *,
        full_size: bool = False,
    ) -> DetectionResult:
        """Finds objects in an encoded picture.

        Args:
            data: The encoded picture.
            selection: Which detections to keep.
            context: The request's context.
            full_size: Whether the caller needs the picture at full size, to draw on it.

        Raises:
            WrongTask: if the model is not a detector.
            RequestError: if the picture is rejected or the model fails.
        """
        if self._chosen.detection is None:
            raise WrongTask(f"model {self.name} is not a detector (its task is {self.task})")
        picture, outputs = self._run(data, context, full_size=full_size)
        with context.stage("postprocess"):
            found = select_detections(
                self._dequantize(outputs),
                self._chosen.detection,
                selection,
                self.labels,
                (picture.height, picture.width),
            )
        return DetectionResult(picture, found)

    def classify(self, data: bytes, top_k: int, context: RequestContext) -> list[Classification]:
        """Returns the `top_k` most probable classes of an encoded picture, best first.

        Raises:
            WrongTask: if the model is not a classifier.
            RequestError: if the picture is rejected or the model fails.
        """
        if self._chosen.scores is None:
            raise WrongTask(
                f"model {self.name} is not a classifier (its task is {self.task}); if it is one, "
                "serve it with its labels or with --task classification"
            )
        _, outputs = self._run(data, context)
        with context.stage("postprocess"):
            return self.best_classes(outputs[self._chosen.scores.name], top_k)

    def best_classes(self, scores: Array, top_k: int) -> list[Classification]:
        """Returns the `top_k` most probable classes from a classifier's output for one picture.

        Args:
            scores: The model's raw output, [1, classes]; quantized or not.
            top_k: Maximum number of classes.

        Raises:
            WrongTask: if the model is not a classifier.
        """
        output = self._chosen.scores
        if output is None:
            raise WrongTask(f"model {self.name} does {self.task}, not classification")
        spec = next(spec for spec in self.info.outputs if spec.name == output.name)
        values = probabilities(spec.dequantize(scores), output)
        return top_classes(values, self._chosen.class_names, top_k)

    def infer_picture(self, data: bytes, context: RequestContext) -> dict[str, Array]:
        """Returns the raw outputs for an encoded picture; quantized values are left as they are."""
        return self._run(data, context)[1]

    def _run(
        self, data: bytes, context: RequestContext, *, full_size: bool = False
    ) -> tuple[Picture, dict[str, Array]]:
        if self._input is None:
            inputs = ", ".join(spec.name for spec in self.info.inputs)
            raise WrongTask(
                f"model {self.name} takes no picture; send tensors for its inputs ({inputs})"
            )
        context.model = self.name
        context.check()
        with self._on_its_way(), ExitStack() as memory:

            def reserve(size: int) -> None:
                self._pictures.take(size, context)
                memory.callback(self._pictures.give_back, size)

            with context.stage("decode"):
                least = None if full_size else self._least_side
                picture = decode(data, self.limits, least, reserve)
            with context.stage("preprocess"):
                batch = self._batch(picture.image, self._input)
            context.check()
            if full_size:  # the caller draws on it, and may send its raw pixels
                context.held.push(memory.pop_all())
            else:  # close it before its memory counts as free; only its size is still needed
                picture.image.close()
        with context.stage("inference"):
            outputs = self._batcher.run(batch, context)
        return picture, outputs

    @contextmanager
    def _on_its_way(self) -> Iterator[None]:
        """Counts the requests that will soon need the model, so that a batch can wait for them."""
        with self._arriving_lock:
            self._arriving += 1
        try:
            yield
        finally:
            with self._arriving_lock:
                self._arriving -= 1

    def infer(self, inputs: Tensors, context: RequestContext) -> dict[str, Array]:
        """Runs the model on raw tensors; quantized values are left as they are.

        Raises:
            InvalidRequest: if an input is missing, unknown, or has the wrong type or shape.
        """
        context.model = self.name
        context.check()
        checked = check_inputs(inputs, self.info.inputs)
        with context.stage("inference"):
            return self._model.run(checked)
