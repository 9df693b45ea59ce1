"""Rejects encoded pictures with an abusive structure before any codec reads them.

A header declares the number of pixels, not the work needed to decode them. A progressive JPEG of
240 kB can have five thousand scans, each over all pixels; a PNG of 30 MB can have millions of
chunks, each handled in Python; an EXIF block of 64 kB can reference the same 64 kB five thousand
times, and Pillow would copy them each time. This module counts the elements that cost a codec work;
the limits are far above what any encoder writes.

Only the outer structure is read; the codec rejects damaged data. Sources: ITU-T T.81 annex B
(JPEG), the PNG specification, the WebP container specification, GIF89a, TIFF 6.0. Pure; independent
of codecs.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from model_server.errors import InvalidImage

# jpegtran writes ten scans; mozjpeg tries a few dozen.
MAX_SCANS = 64
# Tables, comments and camera metadata take a few dozen. A colour profile is split into 64 kB parts.
MAX_SEGMENTS = 2_000
# libpng writes 8 kB of pixels per chunk, so 30 MB take 4,000 chunks.
MAX_CHUNKS = 20_000
# Blocks before the first picture of a GIF: a comment or XMP is split into 255-byte blocks.
MAX_BLOCKS = 20_000
# A camera's EXIF has a few dozen entries.
MAX_ENTRIES = 1_000
# The size of one JPEG segment; no legitimate EXIF block is larger.
MAX_EXIF_BYTES = 1 << 16

# Matches the next marker in compressed data, skipping stuffed zeros, fill bytes and restarts. It
# starts with a fixed byte, so the search takes 2 ms per megabyte; with `\xff+` it takes 20 or more.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_START_OF_SCAN, _END, _TEMPORARY = 0xDA, 0xD9, 0x01
_SEQUENTIAL = {0xC0, 0xC1}
_RESTARTS = range(0xD0, 0xD9)  # and the start of the picture; these have no length
_APP1, _APP2 = 0xE1, 0xE2
# Size in bytes of one value of each TIFF type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}


def check_structure(data: bytes) -> None:
    """Rejects a picture crafted to keep a codec busy.

    Args:
        data: The encoded picture, in any format; unknown formats pass.

    Raises:
        InvalidImage: if the picture has too many elements of some kind; the message names it.
    """
    if data.startswith(b"\xff\xd8"):
        _check_jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        _check_count(_png_chunks(data), MAX_CHUNKS, "the PNG has more than {} chunks")
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        _check_count(_riff_chunks(data), MAX_CHUNKS, "the WebP has more than {} chunks")
    elif data.startswith(b"GIF8"):
        _check_count(_gif_blocks(data), MAX_BLOCKS, "the GIF has more than {} blocks")
    elif data[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"} and not exif_is_sane(data):
        raise InvalidImage(f"the TIFF's directory has more than {MAX_ENTRIES} entries, or larger")


def _check_count(parts: Iterator[object], most: int, complaint: str) -> None:
    for number, _ in enumerate(parts):
        if number >= most:
            raise InvalidImage(complaint.format(most))


def _check_jpeg(data: bytes) -> None:
    scans = exif_bytes = components = 0
    for number, (marker, start, end) in enumerate(_jpeg_segments(data)):
        if number >= MAX_SEGMENTS:
            raise InvalidImage(f"the JPEG has more than {MAX_SEGMENTS} segments")
        if marker == _START_OF_SCAN:
            scans += 1
            if scans > MAX_SCANS:
                raise InvalidImage(f"the JPEG has more than {MAX_SCANS} scans")
            if components and data[start : start + 1] >= bytes([components]):
                return  # one scan holds all components: the codec reads no other
        if marker in _SEQUENTIAL and end - start > 5:
            components = data[start + 5]
        head = data[start : start + 6]
        if marker == _APP1 and head.startswith(b"Exif"):
            # Pillow joins EXIF blocks from several segments, though no camera writes more than one.
            exif_bytes += end - start
            if exif_bytes > MAX_EXIF_BYTES or not exif_is_sane(data[start + 6 : end]):
                raise InvalidImage("the JPEG's EXIF block is built to take memory")
        if (
            marker == _APP2
            and head.startswith(b"MPF\0")
            and not exif_is_sane(data[start + 4 : end])
        ):
            raise InvalidImage("the JPEG's index of pictures is built to take memory")


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields marker, parameter start and parameter end of each segment before the end marker."""
    at = 0
    while match := _MARKER.search(data, at):
        marker, at = match[0][1], match.end()
        if marker == _END:
            return
        if marker == _TEMPORARY or marker in _RESTARTS:
            continue
        if at + 2 > len(data):
            return
        (length,) = struct.unpack_from(">H", data, at)
        yield marker, at + 2, at + length
        at += max(2, length)


def _png_chunks(data: bytes) -> Iterator[bytes]:
    at = 8
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        yield kind
        if kind == b"IEND":
            return
        at += 12 + length


def _riff_chunks(data: bytes) -> Iterator[bytes]:
    """Yields the chunks of the file, including those in the frames of an animation."""
    at = 12
    while at + 8 <= len(data):
        kind = data[at : at + 4]
        (length,) = struct.unpack_from("<I", data, at + 4)
        yield kind
        # A frame starts with a 16-byte header; its chunks follow like those of the file.
        at += 8 + (16 if kind == b"ANMF" else length + length % 2)


def _gif_blocks(data: bytes) -> Iterator[None]:
    """Yields the blocks of all extensions before the first picture."""
    if len(data) < 13:
        return
    flags = data[10]
    at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    while data[at : at + 1] == b"!":
        at += 2
        while at < len(data) and data[at]:
            yield None
            at += 1 + data[at]
        yield None
        at += 1


def exif_is_sane(data: bytes) -> bool:
    """Tells whether reading a TIFF or EXIF directory copies roughly as much data as there is.

    Args:
        data: The bytes from the byte order mark on. Truncated data and data that is not TIFF count
            as sane, because they are rejected soon anyway.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return True
    if data[2:4] in {b"+\0", b"\0+"}:  # BigTIFF has wider numbers, which no camera needs
        return False
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    if at + 2 > len(data):
        return True
    (count,) = struct.unpack_from(f"{order}H", data, at)
    total = 0
    for number in range(count):
        place = at + 2 + 12 * number
        if place + 12 > len(data):
            return True
        _, kind, values = struct.unpack_from(f"{order}HHI", data, place)
        total += min(_SIZES.get(kind, 0) * values, len(data))
        if number >= MAX_ENTRIES or total > 2 * len(data) + MAX_EXIF_BYTES:
            return False
    return True
