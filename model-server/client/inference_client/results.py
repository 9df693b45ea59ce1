"""Typed results, parsed from the server's JSON and validated field by field.

Detections come in two forms: the article's, which has whole percentages, no boxes, and the
annotated picture as nested lists; and this project's own media type, which the client asks for.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from inference_client.errors import UnexpectedAnswer

if TYPE_CHECKING:
    from numpy.typing import NDArray

PictureFormat = Literal["jpg", "png"]
_PILLOW_NAMES: Mapping[str, str] = {"jpg": "JPEG", "png": "PNG"}
_CONTENT_TYPES: Mapping[str, PictureFormat] = {"image/jpeg": "jpg", "image/png": "png"}
_SIZE = re.compile(r"size=(\d{1,6})x(\d{1,6})")
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?)%")


@dataclass(frozen=True)
class Box:
    """A box in pixels of the picture; the origin is the top left corner."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


@dataclass(frozen=True)
class Detection:
    """A detected object.

    Attributes:
        label: The class's name.
        score: 0 to 1; a whole percentage in the article's form.
        box: Its box; None in the article's form.
    """

    label: str
    score: float
    box: Box | None = None

    @property
    def article_form(self) -> dict[str, str]:
        """`{"person": "79%"}`, the article's form.

        As in the article, percentages are truncated: 0.796 is "79%". The small addition keeps a
        score parsed from "29%" at 29 (0.29 * 100 is 28.999...).
        """
        return {self.label: f"{int(self.score * 100 + 1e-6)}%"}


@dataclass(frozen=True)
class AnnotatedPicture:
    """The picture with boxes, either encoded or as pixels.

    Attributes:
        encoded: Content of an image file, or None.
        encoded_as: The format of `encoded`.
        pixels: uint8, shape [height, width, 3], in OpenCV's BGR order, or None.
    """

    encoded: bytes | None = None
    encoded_as: PictureFormat | None = None
    pixels: NDArray[np.uint8] | None = field(default=None, compare=False)

    def encode(self, picture_format: PictureFormat) -> bytes:
        """The picture as a JPEG (quality 95) or PNG file.

        Raises:
            UnexpectedAnswer: the server's picture cannot be decoded.
        """
        if self.encoded is not None and self.encoded_as == picture_format:
            return self.encoded
        buffer = io.BytesIO()
        self._open().save(buffer, _PILLOW_NAMES[picture_format], quality=95)
        return buffer.getvalue()

    def _open(self) -> Image.Image:
        if self.pixels is not None:
            return Image.fromarray(np.ascontiguousarray(self.pixels[:, :, ::-1]))
        try:
            return Image.open(io.BytesIO(self.encoded or b""), formats=("JPEG", "PNG"))
        except OSError as error:
            raise UnexpectedAnswer(f"cannot decode the server's picture: {error}") from error


@dataclass(frozen=True)
class DetectionResult:
    """The detections in one picture.

    Attributes:
        detections: Best first.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        picture: The picture with boxes, or None if it was not requested.
    """

    detections: tuple[Detection, ...]
    width: int
    height: int
    picture: AnnotatedPicture | None = None

    @property
    def image_size(self) -> str:
        """`size=1920x1281`, the article's form."""
        return f"size={self.width}x{self.height}"


@dataclass(frozen=True)
class Prediction:
    """A class and its probability, 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True)
class ClassificationResult:
    """The most probable classes of one picture, best first."""

    predictions: tuple[Prediction, ...]


def parse_article_detections(document: Any) -> DetectionResult:
    """Parses `{"detections": [{"person": "79%"}], "image size": "size=WxH", "image data": ...}`.

    Raises:
        UnexpectedAnswer: names the missing or invalid field.
    """
    answer = _object(document, "the answer")
    size = _SIZE.fullmatch(str(_field(answer, "image size")))
    if size is None:
        raise UnexpectedAnswer(f"'image size' is {answer['image size']!r}, not size=WIDTHxHEIGHT")
    width, height = int(size[1]), int(size[2])
    detections = tuple(
        Detection(str(label), _score_of_percent(percent))
        for entry in _list(_field(answer, "detections"), "'detections'")
        for label, percent in _object(entry, "an entry of 'detections'").items()
    )
    picture = None
    if "image data" in answer:
        picture = AnnotatedPicture(pixels=_pixels(answer["image data"], width, height))
    return DetectionResult(detections, width, height, picture)


def parse_detections(document: Any) -> DetectionResult:
    """Parses the project's own form: labels, scores, boxes, and the picture as base64.

    Raises:
        UnexpectedAnswer: names the missing or invalid field.
    """
    answer = _object(document, "the answer")
    image = _object(_field(answer, "image"), "'image'")
    width, height = (
        int(_number(_field(image, key), f"image.{key}")) for key in ("width", "height")
    )
    detections = tuple(
        _detection(_object(entry, "an entry of 'detections'"))
        for entry in _list(_field(answer, "detections"), "'detections'")
    )
    picture = _encoded_picture(answer["picture"]) if answer.get("picture") else None
    return DetectionResult(detections, width, height, picture)


def parse_predictions(document: Any) -> ClassificationResult:
    """Parses `{"predictions": [{"label": "beagle", "probability": 0.98}], "success": true}`.

    Raises:
        UnexpectedAnswer: names the missing or invalid field.
    """
    answer = _object(document, "the answer")
    if answer.get("success") is not True:
        raise UnexpectedAnswer("'success' is not true although the server answered 200")
    return ClassificationResult(
        tuple(
            Prediction(
                str(_field(entry, "label")),
                _number(_field(entry, "probability"), "'probability'"),
            )
            for item in _list(_field(answer, "predictions"), "'predictions'")
            for entry in [_object(item, "an entry of 'predictions'")]
        )
    )


def _detection(entry: Mapping[str, Any]) -> Detection:
    score = _number(_field(entry, "score"), "'score'")
    box = entry.get("box")
    if box is None:
        return Detection(str(_field(entry, "label")), score)
    corners = [_number(corner, "a corner of 'box'") for corner in _list(box, "'box'")]
    if len(corners) != 4:
        raise UnexpectedAnswer(f"'box' has {len(corners)} numbers, not 4")
    return Detection(str(_field(entry, "label")), score, Box(*corners))


def _encoded_picture(value: Any) -> AnnotatedPicture:
    picture = _object(value, "'picture'")
    content_type = str(_field(picture, "content_type"))
    if content_type not in _CONTENT_TYPES:
        raise UnexpectedAnswer(f"'picture' is {content_type}, neither image/jpeg nor image/png")
    try:
        encoded = base64.b64decode(str(_field(picture, "base64")), validate=True)
    except binascii.Error as error:
        raise UnexpectedAnswer(f"'picture' is not base64: {error}") from error
    return AnnotatedPicture(encoded=encoded, encoded_as=_CONTENT_TYPES[content_type])


def _pixels(value: Any, width: int, height: int) -> NDArray[np.uint8]:
    try:
        pixels = np.array(value, dtype=np.uint8)
    except (ValueError, TypeError, OverflowError) as error:
        raise UnexpectedAnswer(f"'image data' is not a picture: {error}") from error
    if pixels.shape != (height, width, 3):
        raise UnexpectedAnswer(
            f"'image data' has the shape {list(pixels.shape)}, but 'image size' says "
            f"[{height}, {width}, 3]"
        )
    return pixels


def _score_of_percent(value: Any) -> float:
    match = _PERCENT.fullmatch(str(value))
    if match is None:
        raise UnexpectedAnswer(f"a score in 'detections' is {value!r}, not like '79%'")
    return float(match[1]) / 100


def _field(document: Mapping[str, Any], name: str) -> Any:
    try:
        return document[name]
    except KeyError:
        raise UnexpectedAnswer(f"the field {name!r} is missing in the answer") from None


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UnexpectedAnswer(f"{what} is not a JSON object")
    return value


def _list(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise UnexpectedAnswer(f"{what} is not a JSON list")
    return value


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UnexpectedAnswer(f"{what} is {value!r}, not a number")
    return float(value)
