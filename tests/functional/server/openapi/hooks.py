"""What schemathesis cannot make up by itself: pictures.

Loaded by `st run` in an environment of its own (SCHEMATHESIS_HOOKS); it knows only the formats
named in the OpenAPI document.
"""

import base64
import io

import schemathesis  # type: ignore[import-not-found]  # in an environment of its own
from hypothesis import strategies as st
from PIL import Image


def _picture(colour: tuple[int, int, int], size: tuple[int, int], form: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, form)
    return buffer.getvalue()


_CHANNEL = st.integers(0, 255)
_SIDE = st.integers(1, 64)
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


def _pictures(*formats: str) -> st.SearchStrategy[bytes]:
    return st.builds(
        _picture,
        st.tuples(_CHANNEL, _CHANNEL, _CHANNEL),
        st.tuples(_SIDE, _SIDE),
        st.sampled_from(formats),
    )


def _as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


schemathesis.openapi.format("binary", _pictures(*_FORMATS))
schemathesis.openapi.format("base64-picture", _pictures("JPEG", "PNG").map(_as_base64))
for _name in _FORMATS:
    schemathesis.openapi.media_type(f"image/{_name.lower()}", _pictures(_name))


@schemathesis.hook  # type: ignore[untyped-decorator]
def map_path_parameters(
    context: schemathesis.HookContext, path_parameters: dict[str, object] | None
) -> dict[str, object] | None:
    """Mostly the model that there is: names made up at random only show that they are unknown."""
    if path_parameters and len(str(path_parameters.get("name", ""))) % 4:
        return {**path_parameters, "name": "detector", **_version(path_parameters)}
    return path_parameters


def _version(path_parameters: dict[str, object]) -> dict[str, object]:
    return {"version": "1"} if "version" in path_parameters else {}
