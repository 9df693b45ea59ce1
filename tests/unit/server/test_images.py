"""Pictures of every kind become upright RGB; everything else is refused before it costs memory."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model_server.errors import (
    ImageTooLarge,
    InvalidImage,
    MissingImage,
    RequestError,
    UnsupportedMediaType,
)
from model_server.protocols.pixel_lists import bgr_lists, json_length
from model_server.vision.images import (
    ImageLimits,
    decode,
    encode,
    load_codecs,
)

LIMITS = ImageLimits(pixels=1_000_000, side=5_000)
ORANGE = (240, 120, 20)
load_codecs(LIMITS.formats)


def saved(image: Any, form: str, **options: Any) -> Any:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def solid(mode: Any = "RGB", colour: Any = ORANGE, size: tuple[int, int] = (40, 20)) -> Any:
    return Image.new(mode, size, colour)


def average(image: Any) -> Any:
    return np.asarray(image, np.float64).mean(axis=(0, 1))


@pytest.mark.parametrize(
    "data",
    [
        saved(solid(), "JPEG", quality=95),
        saved(solid(), "JPEG", quality=95, progressive=True),
        saved(solid(), "PNG"),
        saved(solid(), "BMP"),
        saved(solid(), "WEBP", lossless=True),
        saved(solid().quantize(8), "PNG"),
        saved(solid().quantize(8), "GIF"),
        saved(solid("RGBA", (*ORANGE, 255)), "PNG"),
        saved(solid().convert("CMYK"), "JPEG", quality=95),
        saved(solid(), "GIF", save_all=True, append_images=[solid(colour="blue")]),
        saved(solid(), "WEBP", save_all=True, append_images=[solid(colour="blue")], lossless=True),
        saved(solid(), "PNG", save_all=True, append_images=[solid(colour="blue")]),
    ],
    ids=[
        "jpeg",
        "progressive",
        "png",
        "bmp",
        "webp",
        "palette",
        "gif",
        "rgba",
        "cmyk",
        "animated-gif",
        "animated-webp",
        "apng",
    ],
)
def test_every_kind_of_picture_is_read_as_rgb(data: bytes) -> None:
    image = decode(data, LIMITS).image
    assert image.mode == "RGB"
    assert image.size == (40, 20)
    assert average(image) == pytest.approx(ORANGE, abs=4)


def test_grayscale_becomes_three_equal_channels() -> None:
    for mode, white in (("L", 200), ("1", 1), ("LA", (200, 255))):
        pixels = np.asarray(decode(saved(solid(mode, white), "PNG"), LIMITS).image)
        assert (pixels == pixels[0, 0, 0]).all()
        assert pixels[0, 0, 0] >= 200


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    gradient = np.linspace(0, 65_535, 256).astype(np.uint16)
    data = saved(Image.fromarray(np.tile(gradient, (4, 1))), "PNG")
    pixels = np.asarray(decode(data, LIMITS).image)[0, :, 0]
    assert pixels == pytest.approx(gradient / 257, abs=1)


def test_transparency_is_laid_over_white() -> None:
    clear = solid("RGBA", (0, 0, 0, 0))
    assert average(decode(saved(clear, "PNG"), LIMITS).image) == pytest.approx((255, 255, 255))
    palette = solid().quantize(4)
    assert average(decode(saved(palette, "PNG", transparency=0), LIMITS).image) == pytest.approx(
        (255, 255, 255), abs=1
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    """A picture whose upright form has a red top-left corner, stored in each of the 8 ways."""
    upright = solid(colour="white", size=(32, 16))
    upright.paste((255, 0, 0), (0, 0, 8, 8))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(saved(stored, "PNG", exif=exif), LIMITS)
    image = picture.image
    assert image.size == (picture.width, picture.height) == (32, 16)
    assert image.getpixel((2, 2)) == (255, 0, 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_exif_block_does_not_refuse_the_picture() -> None:
    data = saved(solid(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\xff")
    assert decode(data, LIMITS).image.size == (40, 20)


def png_header(width: int, height: int) -> Any:
    """A PNG that announces a size and has no pixels."""
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + ihdr + struct.pack(">I", zlib.crc32(ihdr))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + bytes(4)


@pytest.mark.parametrize(
    ("width", "height"), [(10_000, 10_000), (6_000, 1), (2**31 - 1, 2**31 - 1)]
)
def test_a_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    with pytest.raises(ImageTooLarge, match=f"{width}x{height}"):
        decode(png_header(width, height), LIMITS)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", MissingImage),
        (b"hello", UnsupportedMediaType),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnsupportedMediaType),
        (saved(solid(), "TIFF"), UnsupportedMediaType),
        (saved(solid(), "PPM"), UnsupportedMediaType),
        (png_header(10, 10), InvalidImage),
        (saved(solid(size=(400, 400)), "JPEG")[:-400], InvalidImage),
        (saved(Image.effect_noise((99, 99), 90), "PNG")[:5000], InvalidImage),
    ],
    ids=["empty", "text", "svg", "tiff", "ppm", "no-pixels", "cut-jpeg", "cut-png"],
)
def test_what_is_no_good_picture_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode(data, LIMITS)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP"]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(0, 2000),
)
def test_mutated_pictures_are_read_or_refused(form: str, changes: Any, cut: Any) -> None:
    data = bytearray(saved(solid(size=(32, 32)), form))
    for position, value in changes:
        data[position % len(data)] = value
    try:
        image = decode(bytes(data[: max(1, len(data) - cut % 40)]), LIMITS).image
    except RequestError:
        return
    assert image.mode == "RGB"


def test_bgr_and_json_have_the_pixels_in_order() -> None:
    image = Image.new("RGB", (2, 1))
    image.putpixel((0, 0), (1, 2, 3))
    image.putpixel((1, 0), (255, 128, 0))
    text = b"".join(bgr_lists(image))
    assert orjson.loads(text) == [[[3, 2, 1], [0, 128, 255]]]


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 3), (700, 90), (30_000, 3)])
def test_any_picture_as_lists_has_the_length_announced(size: tuple[int, int]) -> None:
    image = Image.effect_noise(size, 120).convert("RGB")
    blocks = list(bgr_lists(image))
    text = b"".join(blocks)
    assert len(text) == json_length(*size)
    assert orjson.loads(text) == np.asarray(image)[..., ::-1].tolist()
    assert max(map(len, blocks)) <= max(256 * 1024, 14 * size[0] + 2)


def test_encoding_gives_the_picture_back() -> None:
    noise = Image.effect_noise((30, 20), 80).convert("RGB")
    assert np.array_equal(np.asarray(decode(encode(noise, "PNG"), LIMITS).image), np.asarray(noise))
    assert decode(encode(noise, "JPEG"), LIMITS).image.size == noise.size


@pytest.mark.parametrize(
    ("side", "least", "decoded"),
    [(2400, 300, 300), (2400, 900, 1200), (2400, 1500, 2400), (800, 900, 800), (2400, None, 2400)],
)
def test_a_large_jpeg_is_decoded_only_as_large_as_the_model_needs(
    side: int, least: int | None, decoded: int
) -> None:
    limits = ImageLimits()
    small = Image.effect_noise((60, 60), 90).convert("RGB")
    data = saved(small.resize((side, side), Image.Resampling.BICUBIC), "JPEG", quality=95)
    reduced, full = decode(data, limits, least), decode(data, limits)
    assert (reduced.width, reduced.height) == (side, side)
    assert reduced.image.size == (decoded, decoded)
    one, other = (
        np.asarray(picture.image.resize((100, 100), Image.Resampling.BICUBIC), np.float32)
        for picture in (reduced, full)
    )
    assert np.abs(one - other).mean() < 1.0


def test_a_sideways_jpeg_keeps_its_upright_size_when_reduced() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(solid(size=(1600, 1200)), "JPEG", exif=exif)
    picture = decode(data, ImageLimits(), 300)
    assert (picture.width, picture.height) == (1200, 1600)
    assert picture.image.size == (300, 400)
