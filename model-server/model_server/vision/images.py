"""Decodes untrusted bytes to a picture, and encodes pictures for a model or a client.

All code that touches a codec is here; no other module decodes. Format, structure, bytes and pixel
count are checked before a codec does any work or memory is allocated for pixels. Must not depend
on models, requests or drawing.

Uses Pillow rather than OpenCV: it reads a header without decoding the rest, handles more kinds of
pictures correctly (CMYK, 16 bits, palettes, EXIF), draws smooth text, makes the container image
150 MB smaller, and is as fast on the path that matters here (see DECISIONS.md).
"""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from model_server.errors import (
    ImageTooLarge,
    InvalidImage,
    MissingImage,
    RequestError,
    UnsupportedMediaType,
)
from model_server.vision.picture_formats import format_of
from model_server.vision.structure import check_structure, exif_is_sane

# Our own limit is checked before pixels are decoded; Pillow only warns, which would be one request
# too late.
Image.MAX_IMAGE_PIXELS = None

_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = {5, 6, 7, 8}
# The transposition that turns a picture of each EXIF orientation upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Bytes of memory per pixel, all measured (tests/functional/server/test_picture_memory.py):
# Pillow's RGB takes four, and there are two copies while a picture is turned upright or drawn on.
_DECODED = 8
# A progressive JPEG's coefficients, per channel.
_COEFFICIENTS = 2
# The WebP decoder's own canvases.
_WEBP = 20
# Pixels converted at a time where a conversion would otherwise need a second full picture.
_STRIP_PIXELS = 1 << 20
_PLUGINS = {
    "JPEG": ("PIL.JpegImagePlugin", "PIL.MpoImagePlugin"),
    "PNG": ("PIL.PngImagePlugin",),
    "WEBP": ("PIL.WebPImagePlugin",),
    "GIF": ("PIL.GifImagePlugin",),
    "BMP": ("PIL.BmpImagePlugin",),
    "TIFF": ("PIL.TiffImagePlugin",),
}

EncodedFormat = Literal["PNG", "JPEG"]


@dataclass(frozen=True)
class ImageLimits:
    """Limits checked before decoding.

    Attributes:
        pixels: Maximum number of pixels in a picture (width x height).
        side: Maximum width or height, in pixels.
        formats: Accepted formats, by Pillow's names.
    """

    pixels: int = 50_000_000
    side: int = 16_384
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


def load_codecs(formats: Sequence[str]) -> None:
    """Imports the codecs ahead of the first request; Pillow itself would import all 40."""
    # Problems with a client's picture are reported to the client, not to the log.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    for name in formats:
        for module in _PLUGINS[name]:
            import_module(module)


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        image: 8-bit RGB, upright; smaller than the original if it was decoded for a model.
        width: Width of the upright original, in pixels.
        height: Height of the upright original, in pixels.
    """

    image: Image.Image
    width: int
    height: int


def _no_reservation(_size: int) -> None:
    """Reserves nothing, for callers that decode one picture at a time."""


def decode(
    data: bytes,
    limits: ImageLimits,
    least_side: int | None = None,
    reserve: Callable[[int], None] = _no_reservation,
) -> Picture:
    """Decodes the first frame of an encoded picture to upright 8-bit RGB.

    Transparency is composited over white, 16-bit samples are scaled down, and CMYK and palettes are
    converted to RGB.

    Args:
        data: The file's bytes.
        limits: Limits on the picture.
        least_side: A large JPEG may be decoded at half, a quarter or an eighth of its size, as
            long as neither side becomes shorter than this. None decodes at full size.
        reserve: Called before decoding with the maximum number of bytes of memory that the pixels
            will need; may block or raise.

    Raises:
        MissingImage: if there are no bytes.
        UnsupportedMediaType: if the bytes are not a picture in an accepted format.
        ImageTooLarge: if the header declares more pixels than allowed, or memory runs out.
        InvalidImage: if the picture is damaged or truncated.
    """
    image = _open(data, limits)
    form = image.format
    try:
        orientation = _orientation(image)
        width, height = image.size[::-1] if orientation in _SIDEWAYS else image.size
        if least_side is not None:
            image.draft(image.mode, (least_side, least_side))
        reserve(_bytes_needed(image, width * height))
        image.load()
        image = _to_rgb(image)
        if orientation in _TURNS:
            image = image.transpose(_TURNS[orientation])
        return Picture(image, width, height)
    except RequestError:
        raise
    except MemoryError as error:
        raise ImageTooLarge("the picture needs more memory than there is") from error
    except Exception as error:  # codecs raise anything on damaged bytes, SyntaxError included
        raise InvalidImage(f"the {form} picture is damaged or cut short: {error}") from error


def _open(data: bytes, limits: ImageLimits) -> Image.Image:
    if not data:
        raise MissingImage("the picture has no bytes")
    check_structure(data)
    try:
        image = Image.open(io.BytesIO(data), formats=limits.formats)
    except UnidentifiedImageError as error:
        raise _not_opened(data, limits) from error
    except MemoryError as error:
        raise ImageTooLarge("the picture needs more memory than there is") from error
    except Exception as error:  # as above
        form = format_of(data) or "encoded"
        raise InvalidImage(f"the {form} picture cannot be opened: {_cause(error)}") from error
    width, height = image.size
    if width * height > limits.pixels or max(width, height) > limits.side:
        raise ImageTooLarge(
            f"the picture is {width}x{height}; at most {limits.pixels} pixels "
            f"and {limits.side} on a side are accepted"
        )
    if width < 1 or height < 1:
        raise InvalidImage(f"the picture is {width}x{height}")
    return image


def _not_opened(data: bytes, limits: ImageLimits) -> RequestError:
    """Explains why no codec accepted the bytes: damaged header, unaccepted format or no picture."""
    form, read = format_of(data), ", ".join(limits.formats)
    if form in limits.formats:
        return InvalidImage(f"the {form} picture is damaged or cut short: its header is unreadable")
    if form:
        return UnsupportedMediaType(
            f"the picture is in the format {form}, which is not read here; send one of {read}"
        )
    return UnsupportedMediaType(
        f"the {len(data)} bytes are not a picture in a format read here ({read})"
    )


def _cause(error: Exception) -> str:
    """Returns Pillow's message; replaces those that refer to a constant in its source."""
    if "MAX_TEXT_CHUNK" in str(error) or "MAX_TEXT_MEMORY" in str(error):
        return "its text metadata is larger than 1 MiB; remove the metadata"
    return str(error) or type(error).__name__


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation; 1 (upright) if it is absent or unreadable."""
    # ImageMagick used to store EXIF here as text; Pillow would read it without any bound.
    image.info.pop("Raw profile type exif", None)
    exif = image.info.get("exif", b"")
    try:
        if not exif_is_sane(bytes(exif).removeprefix(b"Exif\0\0")):
            return 1
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - a broken EXIF block must not reject the picture
        return 1


def _bytes_needed(image: Image.Image, original_pixels: int) -> int:
    """Returns the bytes of memory needed to decode an opened picture, once `draft` set its size."""
    pixels = image.width * image.height
    if image.format == "WEBP":
        return pixels * _WEBP
    decoder = 0
    if image.info.get("progressive"):
        decoder = original_pixels * _COEFFICIENTS * len(image.getbands())
    return max(pixels * _DECODED, decoder + pixels * _DECODED // 2)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep_gray(image)
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        return _over_white(image)
    return image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    """Composites transparency over white."""
    background = Image.new("RGB", image.size, "white")
    for strip, place in _strips(image):
        with_alpha = strip.convert("RGBA")
        background.paste(with_alpha, place, mask=with_alpha.getchannel("A"))
    return background


def _from_deep_gray(image: Image.Image) -> Image.Image:
    """Scales 16 or more bits per pixel to 8; Pillow's conversion would clip above 255 to white."""
    gray = Image.new("L", image.size)
    highest = 65_535.0
    if image.mode == "F":
        extrema = image.getextrema()
        highest = float(max(np.nan_to_num(np.ravel(extrema)).max(), 1.0))
    for strip, place in _strips(image):
        values = np.asarray(strip).astype(np.float32)
        scaled = np.clip(np.nan_to_num(values) * (255.0 / highest), 0, 255)
        gray.paste(Image.fromarray(np.rint(scaled).astype(np.uint8)), place)
    return gray.convert("RGB")


def _strips(image: Image.Image) -> Iterator[tuple[Image.Image, tuple[int, int]]]:
    """Yields the picture in strips of a few megabytes, each with its position in the picture."""
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height))), (0, top)


def encode(image: Image.Image, encoded_format: EncodedFormat) -> bytes:
    """Encodes as PNG (fast compression, as the response is read once) or JPEG (quality 90)."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"compress_level": 1} if encoded_format == "PNG" else {"quality": 90}
    image.save(buffer, encoded_format, **options)
    return buffer.getvalue()
