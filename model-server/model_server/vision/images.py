"""From hostile bytes to a picture, and from a picture to what a model or a client takes.

Everything that touches a codec is here: nothing outside decodes. Format, structure, bytes and pixel
count are checked before a codec does work or memory is allocated for pixels. It must not know about
models, requests or drawing.

Pillow, not OpenCV: it shows a header without decoding the rest, reads more kinds of picture right
(CMYK, 16 bits, palettes, EXIF), draws smooth text, costs 150 MB less in the image, and is as fast
on the way that matters here (see DECISIONS.md).
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

# Our own limit is checked before pixels are decoded; Pillow's is a warning that would be one
# request too late.
Image.MAX_IMAGE_PIXELS = None

_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = {5, 6, 7, 8}
# What makes a picture of each EXIF orientation upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Bytes of memory for each pixel, all measured (tests/functional/server/test_picture_memory.py):
# Pillow's RGB takes four, and it is there twice when it is turned upright or drawn over.
_DECODED = 8
# A progressive JPEG's coefficients, for each channel.
_COEFFICIENTS = 2
# The WebP decoder's own canvases.
_WEBP = 20
# Pixels that are converted at a time where it would otherwise take a second whole picture.
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
    """What is refused before decoding.

    Attributes:
        pixels: Most pixels of a picture (width x height).
        side: Longest width or height.
        formats: Pillow's names of the formats to read.
    """

    pixels: int = 50_000_000
    side: int = 16_384
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


def load_codecs(formats: Sequence[str]) -> None:
    """Imports the codecs ahead of the first request; Pillow itself would import all 40."""
    # What is wrong with a stranger's picture is told to the stranger, not to the log.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    for name in formats:
        for module in _PLUGINS[name]:
            import_module(module)


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        image: RGB with 8 bits, upright; smaller than the original if it was decoded for a model.
        width: Of the upright original, in pixels.
        height: Of the upright original, in pixels.
    """

    image: Image.Image
    width: int
    height: int


def _no_reservation(_size: int) -> None:
    """For callers that decode one picture at a time."""


def decode(
    data: bytes,
    limits: ImageLimits,
    least_side: int | None = None,
    reserve: Callable[[int], None] = _no_reservation,
) -> Picture:
    """Decodes an encoded picture: first frame, turned upright, RGB with 8 bits.

    Transparency is laid over white; 16-bit samples are scaled down; CMYK and palettes become RGB.

    Args:
        data: The file's bytes.
        limits: What to refuse.
        least_side: A large JPEG may be decoded at half, a quarter or an eighth of its size, as
            long as neither side gets shorter than this. None: at its full size.
        reserve: Told how many bytes of memory the pixels will need at most, before they are
            decoded; may wait or raise.

    Raises:
        MissingImage: if there are no bytes.
        UnsupportedMediaType: if it is no picture of an allowed format.
        ImageTooLarge: if the header announces more pixels than allowed.
        InvalidImage: if it is damaged or cut short.
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
    """Why no codec took the bytes: a damaged header, a format that is not read, no picture."""
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
    """Pillow's words; those that name a constant of its source are replaced."""
    if "MAX_TEXT_CHUNK" in str(error) or "MAX_TEXT_MEMORY" in str(error):
        return "its text metadata is larger than 1 MiB; remove the metadata"
    return str(error) or type(error).__name__


def _orientation(image: Image.Image) -> int:
    """EXIF orientation; 1 (upright) when absent or unreadable."""
    # Where ImageMagick once put it, as text; Pillow would read it, unbounded.
    image.info.pop("Raw profile type exif", None)
    exif = image.info.get("exif", b"")
    try:
        if not exif_is_sane(bytes(exif).removeprefix(b"Exif\0\0")):
            return 1
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - a broken EXIF block must not refuse the picture
        return 1


def _bytes_needed(image: Image.Image, original_pixels: int) -> int:
    """Memory for decoding an opened picture, after `draft` has chosen its size."""
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
    """Transparency laid over white."""
    background = Image.new("RGB", image.size, "white")
    for strip, place in _strips(image):
        with_alpha = strip.convert("RGBA")
        background.paste(with_alpha, place, mask=with_alpha.getchannel("A"))
    return background


def _from_deep_gray(image: Image.Image) -> Image.Image:
    """16 bits or more per pixel to 8; Pillow's own conversion would clip all above 255 to white."""
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
    """The picture in rows of a few megabytes, each with its place in the whole."""
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height))), (0, top)


def encode(image: Image.Image, encoded_format: EncodedFormat) -> bytes:
    """Encodes as PNG (fast compression: the answer is read once) or JPEG (quality 90)."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"compress_level": 1} if encoded_format == "PNG" else {"quality": 90}
    image.save(buffer, encoded_format, **options)
    return buffer.getvalue()
