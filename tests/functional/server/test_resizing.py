"""Whoever resizes, a server answers the same, byte for byte, and says at its start who it is."""

import io
from pathlib import Path

import pytest
from PIL import Image

from model_server.vision.resizing import choose
from support.model_server import RunningServer, model_server

EXAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "examples" / "images"


def resized_by(server: RunningServer) -> str:
    """Whom the server's log names."""
    (line,) = [line for line in server.log if "resizer" in line]
    assert line["message"].startswith(f"resizing with {line['resizer']}")
    return str(line["resizer"])


def saved(size: tuple[int, int], form: str) -> bytes:
    """An example picture at some size; its content is stretched."""
    buffer = io.BytesIO()
    with Image.open(EXAMPLES / "whiteboard.jpg") as image:
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("model", ["bundled://detector", "bundled://classifier"])
def test_both_ways_give_the_same_answers(model: str) -> None:
    path = "/v1/models/picture:predict"
    with (
        model_server(model=model, name="picture", score_threshold=0.05) as fast,
        model_server(model=model, name="picture", score_threshold=0.05, resizing="pillow") as slow,
    ):
        assert resized_by(fast) == choose().name
        assert resized_by(slow) == "Pillow"
        for size in ((640, 480), (480, 640), (90, 2000), (4000, 3000), (33, 17)):
            for form in ("JPEG", "PNG", "WEBP"):
                picture = saved(size, form)
                one, other = (
                    server.post(path, picture, f"image/{form.lower()}") for server in (fast, slow)
                )
                assert one.status == 200, one.body
                assert one.body == other.body, f"{size} {form}"
