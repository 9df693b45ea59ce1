"""String forms of a picture for models with a string input: encoded, base64 or tf.Example.

Pure; works on bytes only. tf.Example is defined in `tensorflow/core/example/example.proto`; base64
in a graph is web-safe (`tf.io.decode_base64`).
"""

import base64
from dataclasses import dataclass
from typing import Literal

StringKind = Literal["encoded", "base64", "example"]
# Names of the feature that holds the picture, starting with the one TensorFlow's converters use.
_FEATURES = ("image/encoded", "image", "image_raw", "image_bytes", "encoded_image", "input")


@dataclass(frozen=True)
class StringForm:
    """How a picture becomes a string.

    Attributes:
        kind: `encoded` is the bytes of a PNG file, `base64` the same bytes as web-safe base64, and
            `example` the same bytes in a serialized tf.Example.
        feature: Name of the feature in the tf.Example.
    """

    kind: StringKind = "encoded"
    feature: str = ""

    def wrap(self, picture: bytes) -> bytes:
        """Converts an encoded picture to the string that the model takes."""
        if self.kind == "base64":
            return base64.urlsafe_b64encode(picture).rstrip(b"=")
        return _example(self.feature, picture) if self.kind == "example" else picture


# In the order they are tried.
FORMS = (
    StringForm(),
    StringForm("base64"),
    *(StringForm("example", feature) for feature in _FEATURES),
)


def _example(feature: str, value: bytes) -> bytes:
    """Serializes a tf.Example with one feature, as nested length-delimited messages."""
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
