"""What can be wrong with a file: pure functions from bytes and a random generator to bytes.

The blind ones know nothing of formats. The knowing ones keep checksums and lengths right, because
a lie behind a right checksum reaches code that noise never does.
"""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import cache

Damage = Callable[[bytes, random.Random], bytes]

_SIZES = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    """One to 64 bits, anywhere."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(data: bytes, rng: random.Random) -> bytes:
    """Cut short; the last byte is as likely as the whole."""
    return data[: rng.choice((rng.randrange(len(data)), len(data) - rng.randint(1, 16), 12))]


def edit_header(data: bytes, rng: random.Random) -> bytes:
    """Bytes near the start, where sizes and types are."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(min(64, len(changed)))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
    return bytes(changed)


def overwrite_size(data: bytes, rng: random.Random) -> bytes:
    """An interesting number, of 2 or 4 bytes, in either byte order, anywhere."""
    form = rng.choice(("<H", ">H", "<I", ">I"))
    size = struct.calcsize(form)
    number = rng.choice(_SIZES) & (0xFFFF if size == 2 else 0xFFFFFFFF)
    place = rng.randrange(max(1, min(len(data), rng.choice((64, 512, len(data)))) - size))
    return data[:place] + struct.pack(form, number) + data[place + size :]


def cut_out(data: bytes, rng: random.Random) -> bytes:
    """A part is missing."""
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice((1, 4, 64, 1024)) :]


def repeat_part(data: bytes, rng: random.Random) -> bytes:
    """A part is there many times."""
    start = rng.randrange(len(data))
    part = data[start : start + rng.choice((1, 4, 64, 512))]
    return data[:start] + part * rng.choice((2, 16, 64)) + data[start:]


def splice(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """The beginning of one file and the end of another, or a part of it in the middle."""
    start, stop = sorted((rng.randrange(len(other)), rng.randrange(len(other))))
    place = rng.randrange(len(data))
    return (
        data[:place]
        + other[start : rng.choice((stop, len(other)))]
        + (data[place:] if rng.random() < 0.5 else b"")
    )


BLIND: tuple[Damage, ...] = (
    flip_bits, truncate, edit_header, overwrite_size, cut_out, repeat_part,
)  # fmt: skip


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk with the right length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG file."""
    found, place = [], len(_PNG_SIGNATURE)
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def png(parts: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Chunks to a file."""
    return _PNG_SIGNATURE + b"".join(chunk(kind, body) for kind, body in parts)


def png_header(data: bytes, rng: random.Random) -> bytes:
    """Another size, depth, colour type or interlacing than the pixels have."""
    parts = chunks(data)
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", parts[0][1])
    header = struct.pack(
        ">IIBBBBB",
        rng.choice((width, 0, 1, 7000, 16_384, 0x7FFFFFFF, 0xFFFFFFFF)),
        rng.choice((height, 0, 1, 7000, 16_384, 0x7FFFFFFF, 0xFFFFFFFF)),
        rng.choice((depth, 1, 2, 4, 8, 16, 3)),
        rng.choice((colour, 0, 2, 3, 4, 6, 1)),
        0,
        0,
        rng.choice((interlace, 0, 1, 2)),
    )
    return png([(b"IHDR", header), *parts[1:]])


def png_chunks(data: bytes, rng: random.Random) -> bytes:
    """Chunks missing, repeated, in another order or with a damaged body."""
    parts = chunks(data)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(parts))
        kind, body = parts[place]
        action = rng.randrange(4)
        if action == 0 and len(parts) > 1:
            del parts[place]
        elif action == 1:
            parts.insert(rng.randrange(len(parts)), (kind, body))
        elif action == 2:
            rng.shuffle(parts)
        elif body:
            parts[place] = (kind, flip_bits(body, rng))
    return png(parts)


def png_text_bomb(data: bytes, rng: random.Random) -> bytes:
    """A compressed text, colour profile or EXIF block that is a thousand times as large."""
    bomb = zlib.compress(bytes(rng.choice((1 << 20, 1 << 24, 1 << 26))), 9)
    kind, body = rng.choice(
        (
            (b"zTXt", b"Comment\0\0" + bomb),
            (b"iTXt", b"Comment\0\1\0\0\0" + bomb),
            (b"iCCP", b"icc\0\0" + bomb),
            (b"eXIf", bytes(1 << 20)),
        )
    )
    parts = chunks(data)
    return png([parts[0], *[(kind, body)] * rng.choice((1, 8)), *parts[1:]])


@cache
def blank_png(
    width: int, height: int, depth: int, colour: int, *, interlaced: bool = False
) -> bytes:
    """A small file with many pixels; `colour` is PNG's colour type."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    # Interlaced, the filter bytes are elsewhere and some more: all are zero as well.
    row = 2 + (width * depth * channels + 7) // 8
    packer = zlib.compressobj(1)
    pixels = b"".join(packer.compress(bytes(row)) for _ in range(height)) + packer.flush()
    palette = [(b"PLTE", bytes(768)), (b"tRNS", b"\0")] if colour == 3 else []
    return png([(b"IHDR", header), *palette, (b"IDAT", pixels), (b"IEND", b"")])


def png_bomb(_data: bytes, rng: random.Random) -> bytes:
    """A small file with as many pixels as are allowed, or a few more, of the thirstiest kinds."""
    width, height = rng.choice(((7_000, 7_000), (16_384, 3_000), (3_000, 16_384), (8_000, 8_000)))
    depth, colour = rng.choice(((1, 0), (8, 3), (8, 6), (16, 0), (16, 6)))
    return blank_png(width, height, depth, colour, interlaced=rng.random() < 0.5)


PNG: tuple[Damage, ...] = (png_header, png_chunks, png_text_bomb)


def segments(data: bytes) -> list[bytes]:
    """The segments of a JPEG file; the last one is everything from the first scan on."""
    found, place = [], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        length = 2 + struct.unpack_from(">H", data, place + 2)[0]
        found.append(data[place : place + length])
        place += length
    return [*found, data[place:]]


def jpeg_size(data: bytes, rng: random.Random) -> bytes:
    """Another size, or another number of components, than the scan has."""
    parts = [bytearray(part) for part in segments(data)]
    for part in parts[:-1]:
        if part[1] in {0xC0, 0xC1, 0xC2} and len(part) > 9:
            form, place = rng.choice(((">H", 5), (">H", 7), (">B", 9), (">B", 4)))
            number = rng.choice((0, 1, 3, 4, 8, 12, 255, 7000, 16_384, 65_535))
            struct.pack_into(form, part, place, number & (0xFFFF if form == ">H" else 0xFF))
    return b"\xff\xd8" + b"".join(parts)


def jpeg_segments(data: bytes, rng: random.Random) -> bytes:
    """Segments missing, repeated, in another order or with a wrong length."""
    *parts, scan = segments(data)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(parts))
        action = rng.randrange(4)
        if action == 0 and len(parts) > 1:
            del parts[place]
        elif action == 1:
            parts.insert(rng.randrange(len(parts)), parts[place])
        elif action == 2:
            rng.shuffle(parts)
        else:
            length = struct.pack(">H", rng.choice((0, 1, 2, 3, 0xFFFF)))
            parts[place] = parts[place][:2] + length + parts[place][4:]
    return b"\xff\xd8" + b"".join(parts) + scan


def jpeg_exif(data: bytes, rng: random.Random) -> bytes:
    """A made-up EXIF block: orientations that there are not, loops, counts beyond all memory."""
    order = rng.choice("<>")
    entries = [
        struct.pack(
            order + "HHII",
            rng.choice((0x0112, 0x8769, 0x8825, 0x011A, 0x0201, 0x927C)),
            rng.choice((0, 1, 2, 3, 4, 5, 7, 10, 12, 99)),
            rng.choice((1, 1, 1, 0, 2, 0xFFFF, 0xFFFFFFFF)),
            rng.choice((1, 3, 6, 8, 9, 8 << 16, 26, 0xFFFF, 0xFFFFFFFF)),
        )
        for _ in range(rng.randint(1, 6))
    ]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    count = rng.choice((len(entries), 0xFFFF))
    block = head + struct.pack(order + "H", count) + b"".join(entries)
    block += struct.pack(order + "I", rng.choice((0, 8, 0xFFFFFFFF)))  # the next block: itself
    body = b"Exif\0\0" + block
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


JPEG: tuple[Damage, ...] = (jpeg_size, jpeg_segments, jpeg_exif)


def gif_sizes(data: bytes, rng: random.Random) -> bytes:
    """Screen or frame of another size or place than the pixels have."""
    frame = data.find(b"\x2c", 13)
    places = [6, 8] if frame < 0 else [6, 8, frame + 1, frame + 3, frame + 5, frame + 7]
    changed = bytearray(data)
    for place in rng.sample(places, rng.randint(1, 2)):
        if place + 2 <= len(changed):
            struct.pack_into("<H", changed, place, rng.choice((0, 1, 3000, 16_000, 0xFFFF)))
    return bytes(changed)


def bmp_header(data: bytes, rng: random.Random) -> bytes:
    """Sizes, depths and compressions that contradict each other."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        form, place = rng.choice(
            (("<I", 10), ("<I", 14), ("<i", 18), ("<i", 22), ("<H", 28), ("<I", 30), ("<I", 46))
        )
        number = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 32, 40, 108, 7000, -7000, -1, 0x7FFFFFFF))
        wide = {"<I": number & 0xFFFFFFFF, "<H": number & 0xFFFF, "<i": number}[form]
        struct.pack_into(form, changed, place, wide)
    return bytes(changed)


def webp_sizes(data: bytes, rng: random.Random) -> bytes:
    """A canvas, file or chunk of another size than it has."""
    changed = bytearray(data)
    form, place = rng.choice((("<I", 4), ("<I", 16), ("<I", 24), ("<H", 26), ("<H", 28)))
    number = rng.choice(_SIZES)
    struct.pack_into(form, changed, place, number & (0xFFFF if form == "<H" else 0xFFFFFFFF))
    return bytes(changed)


def no_picture(_data: bytes, rng: random.Random) -> bytes:
    """Other files, some of which other servers would run or unpack."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("../../etc/passwd", bytes(1 << 20))
    return rng.choice(
        (
            archive.getvalue(),
            b"<svg xmlns='http://www.w3.org/2000/svg' width='1e9' height='1e9'/>",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n",
            b"%PDF-1.4\n",
            b"P6 99999 99999 255\n",
            b"II*\0\x08\0\0\0\xff\xff",
            b"\0\0\1\0\1\0\0\0",
            b"<html><script>alert(1)</script>",
            bytes(1000),
            rng.randbytes(1000),
            b"\xff\xd8\xff",
            b"GIF89a",
            b"RIFF\xff\xff\xff\xffWEBPVP8X",
        )
    )


def kind_of(data: bytes) -> tuple[Damage, ...]:
    """The knowing damages for a whole file of this format."""
    if data.startswith(_PNG_SIGNATURE):
        return PNG
    if data.startswith(b"\xff\xd8"):
        return JPEG
    return {b"GIF8": (gif_sizes,), b"RIFF": (webp_sizes,)}.get(data[:4], (bmp_header,))
