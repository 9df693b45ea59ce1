"""Identifies a picture's format from its first bytes, including formats the server does not read.

Lets errors say more than "not a picture". Pure; opens nothing. Sources: the specification of each
format, and https://www.iana.org/assignments/media-types/media-types.xhtml#image.
"""

import re

_SIGNATURES: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (name, re.compile(pattern, re.DOTALL))
    for name, pattern in (
        ("JPEG", rb"\xff\xd8\xff"),
        ("PNG", rb"\x89PNG\r\n\x1a\n"),
        ("GIF", rb"GIF8[79]a"),
        ("WEBP", rb"RIFF.{4}WEBP"),
        ("BMP", rb"BM.{4}\0\0\0\0"),
        ("TIFF", rb"II[*+]\0|MM\0[*+]"),
        ("AVIF", rb".{4}ftypavi[fs]"),
        ("HEIC", rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)"),
        ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
        ("JPEG 2000", rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
        ("PSD", rb"8BPS\0"),
        ("ICO", rb"\0\0\x01\0.\0"),
        ("PDF", rb"%PDF-"),
        ("SVG", rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.{0,1000})?<svg[\s>]"),
    )
)


def format_of(data: bytes) -> str:
    """Returns the format's name, Pillow's if Pillow reads it; empty if it is not recognized."""
    return next((name for name, pattern in _SIGNATURES if pattern.match(data)), "")
