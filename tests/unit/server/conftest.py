"""An application over models small enough to write in a test."""

import io
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from PIL import Image

from model_server.http.app import create_app
from model_server.serving.registry import Registry
from model_server.settings import load_settings
from model_server.vision.inference import VisionModel
from support.tiny_models import BrightBoxDetector, MeanColourClassifier

Client = Callable[..., FlaskClient]


@pytest.fixture
def client() -> Client:
    """Makes a test client of an application with the given settings."""

    def make(registry: Registry | None = None, **settings: object) -> FlaskClient:
        registry = registry or Registry(
            {
                "lights": VisionModel("lights", BrightBoxDetector()),
                "colours": VisionModel("colours", MeanColourClassifier()),
            }
        )
        return create_app(load_settings(**settings), registry).test_client()

    return make


@pytest.fixture
def picture() -> bytes:
    """200x100, dark, with a red light from (20, 10) to (60, 50), as PNG."""
    image = Image.new("RGB", (200, 100), (10, 10, 10))
    image.paste((255, 0, 0), (20, 10, 60, 50))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
