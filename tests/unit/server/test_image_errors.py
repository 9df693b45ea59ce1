"""What is said of a picture that cannot be opened: damaged, foreign, or none at all."""

import contextlib
import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_server.errors import InvalidImage, RequestError, UnsupportedMediaType
from model_server.vision.images import ImageLimits, decode, load_codecs
from model_server.vision.picture_formats import format_of

LIMITS = ImageLimits()
load_codecs(LIMITS.formats)


def encoded(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 30, 30)).save(buffer, form)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png_with(kind: bytes, data: bytes) -> bytes:
    plain = encoded("PNG")
    return plain[:33] + chunk(kind, data) + plain[33:]  # after IHDR


LONG = zlib.compress(b"x" * (2 << 20))


@pytest.mark.parametrize(
    "data",
    [
        png_with(b"zTXt", b"Comment\0\0" + LONG),
        png_with(b"iTXt", b"Comment\0\1\0\0\0" + LONG),
    ],
)
def test_a_png_with_too_much_text_is_told_what_is_too_large(data: bytes) -> None:
    with pytest.raises(InvalidImage, match="PNG picture cannot be opened: its text metadata"):
        decode(data, LIMITS)


@pytest.mark.parametrize("form", LIMITS.formats)
@pytest.mark.parametrize("kept", [0.05, 0.3, 0.6])
def test_a_picture_that_is_cut_short_is_damaged_not_of_an_unknown_format(
    form: str, kept: float
) -> None:
    whole = encoded(form)
    part = whole[: max(16, int(len(whole) * kept))]
    with pytest.raises(InvalidImage, match=form):
        decode(part, LIMITS)


FOREIGN = {
    "TIFF": encoded("TIFF"),
    "AVIF": b"\0\0\0\x20ftypavif\0\0\0\0",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0",
    "JPEG XL": b"\xff\x0a\0\0",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "PSD": b"8BPS\0\1",
    "ICO": b"\0\0\1\0\1\0",
    "PDF": b"%PDF-1.7\n",
    "SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
}


@pytest.mark.parametrize("form", FOREIGN)
def test_a_format_that_is_not_read_is_named_with_those_that_are(form: str) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        decode(FOREIGN[form], LIMITS)
    assert f"format {form}, which is not read here" in caught.value.message
    assert ", ".join(LIMITS.formats) in caught.value.message


@pytest.mark.parametrize("data", [b"hello", b"\0" * 100, b"<html>", b"{}"])
def test_what_is_no_picture_at_all_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(UnsupportedMediaType, match="are not a picture in a format read here"):
        decode(data, LIMITS)


@given(
    st.sampled_from(LIMITS.formats).map(encoded),
    st.integers(0, 400),
    st.binary(min_size=1, max_size=8),
)
def test_whatever_is_damaged_the_format_is_right(data: bytes, at: int, garbage: bytes) -> None:
    """Damage behind the signature is never called an unknown format."""
    at = 16 + at % max(1, len(data) - 16)
    damaged = data[:at] + garbage + data[at + len(garbage) :]
    with contextlib.suppress(RequestError):
        decode(damaged, LIMITS)
        return
    with pytest.raises(RequestError) as caught:
        decode(damaged, LIMITS)
    assert not isinstance(caught.value, UnsupportedMediaType), caught.value.message


@given(st.binary(max_size=64))
def test_any_bytes_have_a_format_or_none(data: Any) -> None:
    assert isinstance(format_of(data), str)
