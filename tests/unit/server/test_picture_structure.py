"""Pictures that are built to keep a codec busy are refused before one sees them; real ones pass."""

import contextlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_server.errors import InvalidImage
from model_server.vision import structure
from model_server.vision.images import ImageLimits, decode, load_codecs
from model_server.vision.structure import check_structure, exif_is_sane

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data"
LIMITS = ImageLimits(formats=("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"))
load_codecs(LIMITS.formats)


def saved(form: str, frames: int = 1, **options: Any) -> bytes:
    pictures = [Image.new("RGB", (64, 48), (40 * number % 256, 90, 20)) for number in range(frames)]
    if frames > 1:
        options |= {"save_all": True, "append_images": pictures[1:]}
    buffer = io.BytesIO()
    pictures[0].save(buffer, form, **options)
    return buffer.getvalue()


def segment(marker: int, content: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def progressive(scans: int) -> bytes:
    """A progressive JPEG whose last scan is there again and again."""
    data = saved("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


def after_start(data: bytes, added: bytes) -> bytes:
    return data[:2] + added + data[2:]


def sequential(scans: int) -> bytes:
    """One component a scan, as libjpeg reads several scans of a sequential JPEG too."""
    data = saved("JPEG")
    start = data.rindex(b"\xff\xda")
    one = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\x00\x00"
    return data[:start] + one * scans + b"\xff\xd9"


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png(added: bytes) -> bytes:
    data = saved("PNG")
    return data[:33] + added + data[33:]


def webp(added: bytes) -> bytes:
    data = saved("WEBP", frames=3)
    return data[:4] + struct.pack("<I", len(data) - 8 + len(added)) + data[8:] + added


def gif(added: bytes) -> bytes:
    data = saved("GIF")
    place = 13 + (3 << (data[10] & 7) + 1)
    return data[:place] + added + data[place:]


def exif(entries: int, values: int, order: str = "<") -> bytes:
    """A directory whose entries all name the same bytes."""
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    body = b"".join(
        struct.pack(f"{order}HHII", 1000 + number, 7, values, 8) for number in range(entries)
    )
    head = mark + struct.pack(f"{order}IH", 8, entries)
    return head + body + struct.pack(f"{order}I", 0) + bytes(max(0, values - len(body)))


def exif_segment(content: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + content)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (progressive(structure.MAX_SCANS), "scans"),
        (progressive(5000), "scans"),
        (after_start(progressive(5000), segment(0xFE, b"\xff\xd9")), "scans"),
        (sequential(structure.MAX_SCANS + 1), "scans"),
        (after_start(saved("JPEG"), segment(0xFE) * 100_000), "segments"),
        (after_start(saved("JPEG"), b"\xff\xe5\0\0" * 100_000), "segments"),
        (after_start(saved("JPEG"), b"\xff\xff\xff\xfe\0\x02" * 3000), "segments"),
        (after_start(saved("JPEG"), exif_segment(exif(2000, 100))), "EXIF"),
        (after_start(saved("JPEG"), exif_segment(exif(900, 50_000))), "EXIF"),
        (after_start(saved("JPEG"), exif_segment(exif(900, 50_000, ">"))), "EXIF"),
        (after_start(saved("JPEG"), exif_segment(exif(3, 60_000)) * 2), "EXIF"),
        (after_start(saved("JPEG"), segment(0xE2, b"MPF\0" + exif(900, 50_000))), "index"),
        (png(chunk(b"IDAT") * 1_000_000), "chunks"),
        (png(chunk(b"abCd") * 1_000_000), "chunks"),
        (webp(b"abcd\0\0\0\0" * 1_000_000), "chunks"),
        (webp((b"ANMF" + struct.pack("<I", 24) + bytes(16) + b"abcd\0\0\0\0") * 20_000), "chunks"),
        (gif(b"!\xfe\0" * 1_000_000), "blocks"),
        (gif(b"!\xfe" + b"\x01a" * 1_000_000 + b"\0"), "blocks"),
        (exif(3000, 10), "directory"),
        (b"II+\0" + bytes(100), "directory"),
    ],
)
def test_what_keeps_a_codec_busy_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(InvalidImage, match=said):
        decode(data, LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        *(saved(form) for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")),
        *(saved(form, frames=40) for form in ("PNG", "WEBP", "GIF")),
        saved("MPO", frames=3),
        saved("JPEG", progressive=True),
        progressive(structure.MAX_SCANS - 12),
        saved("PNG", pnginfo=None, optimize=True),
        # What is after the end is no part of the picture: a film of a phone, for example.
        saved("JPEG") + b"\xff\xda" * 10_000,
        saved("JPEG", progressive=True) + b"\xff\xda" * 10_000,
        saved("PNG") + chunk(b"abCd") * 30_000,
        after_start(saved("JPEG"), segment(0xE2, b"ICC_PROFILE\0" + b"\xff\xda" * 30_000)),
        after_start(saved("JPEG"), segment(0xE1, b"http://ns.adobe.com/xap/\0" + b"x" * 60_000)),
    ],
)  # fmt: skip
def test_what_encoders_write_passes(data: bytes) -> None:
    assert decode(data, LIMITS).image.mode == "RGB"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_an_ordinary_exif_block_still_turns_the_picture(form: str) -> None:
    block = Image.Exif()
    block[0x0112] = 6
    block[0x010F] = "maker " * 200
    assert decode(saved(form, exif=block), LIMITS).image.size == (48, 64)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_absurd_exif_block_turns_nothing(form: str) -> None:
    data = saved(form, exif=b"Exif\0\0" + exif(900, 400_000))
    assert decode(data, LIMITS).image.size == (64, 48)


def test_exif_as_text_is_not_read() -> None:
    text = b"Raw profile type exif\0\nexif\n 8\n" + exif(900, 400_000).hex().encode()
    assert decode(png(chunk(b"tEXt", text)), LIMITS).image.size == (64, 48)


STARTS = [
    *(saved("JPEG"), saved("JPEG", progressive=True), saved("PNG"), saved("WEBP"), saved("GIF")),
    *(exif(3, 10), b"\xff\xd8", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"\x89PNG\r\n\x1a\n", b"II*\0"),
]


@given(st.sampled_from(STARTS), st.integers(0, 2000), st.binary(max_size=200))
def test_damage_raises_nothing_else(start: bytes, cut: int, rest: bytes) -> None:
    with contextlib.suppress(InvalidImage):
        check_structure(start[:cut] + rest)


@given(st.binary(max_size=300), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b""]))
def test_any_bytes_are_sane_or_not(rest: bytes, start: bytes) -> None:
    assert exif_is_sane(start + rest) in {True, False}


@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_dir(), reason="the public pictures of ../shared/data are not here")
@pytest.mark.parametrize(
    "name", ["parrot.jpg", "pets.jpg", "cat_720p.jpg", "article_1920x1281.jpg"]
)
@pytest.mark.parametrize("again", [{}, {"progressive": True, "quality": 95}])
def test_photos_pass(name: str, again: dict[str, Any]) -> None:
    data = (DATA / name).read_bytes()
    if again:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(data)).save(buffer, "JPEG", **again)
        data = buffer.getvalue()
    check_structure(data)


def test_every_sample_picture_passes() -> None:
    pictures = [*(ROOT / "deploy" / "examples" / "images").iterdir()]
    assert pictures
    for path in pictures:
        check_structure(path.read_bytes())
