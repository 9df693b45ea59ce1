"""What models with an input of strings take a picture as: encoded, in base64, in a tf.Example.

Pure; knows bytes only. tf.Example: `tensorflow/core/example/example.proto`; base64 in a graph is of
the web-safe kind (`tf.io.decode_base64`).
"""

import base64
from dataclasses import dataclass
from typing import Literal

StringKind = Literal["encoded", "base64", "example"]
# What the feature is called that holds the picture: TensorFlow's own converters first.
_FEATURES = ("image/encoded", "image", "image_raw", "image_bytes", "encoded_image", "input")


@dataclass(frozen=True)
class StringForm:
    """How a picture becomes a string.

    Attributes:
        kind: `encoded`: the bytes of a PNG file; `base64`: the same as web-safe base64; `example`:
            in a serialized tf.Example.
        feature: The name of the example's feature.
    """

    kind: StringKind = "encoded"
    feature: str = ""

    def wrap(self, picture: bytes) -> bytes:
        """An encoded picture as the string that the model takes."""
        if self.kind == "base64":
            return base64.urlsafe_b64encode(picture).rstrip(b"=")
        return _example(self.feature, picture) if self.kind == "example" else picture


# In the order in which they are tried.
FORMS = (
    StringForm(),
    StringForm("base64"),
    *(StringForm("example", feature) for feature in _FEATURES),
)


def _example(feature: str, value: bytes) -> bytes:
    """A serialized tf.Example with one feature: nested messages, each a field with a length."""
    bytes_list = _field(1, value)
    entry = _field(1, feature.encode()) + _field(2, _field(1, bytes_list))
    return _field(1, _field(1, entry))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
