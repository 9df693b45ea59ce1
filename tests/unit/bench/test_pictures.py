"""Decoding as the limit and the peers do it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench import paths
from bench.assets import pictures
from bench.vision import opencv, pillow


def encoded(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return opencv.jpeg(pixels)


def test_the_size_is_in_the_header() -> None:
    assert opencv.jpeg_size(encoded(321, 123)) == (321, 123)


@pytest.mark.parametrize("data", [b"", b"\x89PNG", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x04ab"])
def test_what_is_no_jpeg_has_no_size(data: bytes) -> None:
    with pytest.raises(ValueError, match="JPEG"):
        opencv.jpeg_size(data)


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 600))
def test_a_reduced_picture_is_still_large_enough(width: int, height: int, needed: int) -> None:
    factor = opencv.reduction(width, height, needed)
    assert factor == 1 or min(width, height) // factor >= needed
    # And no larger factor would do.
    assert factor == 8 or min(width, height) // (factor * 2) < needed


def test_a_large_picture_is_decoded_small() -> None:
    data = encoded(1280, 960)
    assert opencv.decode(data).shape == (960, 1280, 3)
    assert opencv.decode(data, 224).shape == (240, 320, 3)
    assert opencv.decode(data, 300).shape == (480, 640, 3)


def test_the_model_gets_red_first() -> None:
    blue = np.zeros((10, 10, 3), np.uint8)
    blue[..., 0] = 255
    found = opencv.model_input(blue, 4, 4)
    assert found.shape == (1, 4, 4, 3)
    assert found[0, 0, 0].tolist() == [0, 0, 255]


def test_the_exact_way_is_the_articles() -> None:
    data = opencv.jpeg(np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    with Image.open(io.BytesIO(data)) as image:
        wanted = np.asarray(image.resize((30, 20), Image.Resampling.BICUBIC))[np.newaxis]
    found = pillow.model_input(pillow.decode(data), 30, 20)
    assert np.array_equal(found, wanted)


def test_what_is_found_is_drawn() -> None:
    picture = pillow.decode(opencv.jpeg(np.zeros((100, 200, 3), np.uint8)))
    drawn = pillow.decode(pillow.jpeg(pillow.draw(picture, [("cat: 90%", (0.2, 0.1, 0.9, 0.8))])))
    green = np.asarray(drawn)[:, :, 1]
    assert green[60, 20] > 150
    assert green[95, 190] < 60


def test_without_shared_data_the_examples_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(paths, "SHARED_DATA", tmp_path / "absent")
    found = pictures.prepare("0.3MP")
    assert [picture.name for picture in found] == ["whiteboard", "paper", "printed"]
    for picture in found:
        width, height = opencv.jpeg_size(picture.data)
        assert width * height == pytest.approx(0.3e6, rel=0.01)
