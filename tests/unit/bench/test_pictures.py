"""Decoding as the limit and the peers do it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.vision import pictures


def encoded(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return pictures.jpeg(pixels)


def test_the_size_is_in_the_header() -> None:
    assert pictures.jpeg_size(encoded(321, 123)) == (321, 123)


@pytest.mark.parametrize("data", [b"", b"\x89PNG", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x04ab"])
def test_what_is_no_jpeg_has_no_size(data: bytes) -> None:
    with pytest.raises(ValueError, match="JPEG"):
        pictures.jpeg_size(data)


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 600))
def test_a_reduced_picture_is_still_large_enough(width: int, height: int, needed: int) -> None:
    factor = pictures.reduction(width, height, needed)
    assert factor == 1 or min(width, height) // factor >= needed
    # And no larger factor would do.
    assert factor == 8 or min(width, height) // (factor * 2) < needed


def test_a_large_picture_is_decoded_small() -> None:
    data = encoded(1280, 960)
    assert pictures.decode(data).shape == (960, 1280, 3)
    assert pictures.decode(data, 224).shape == (240, 320, 3)
    assert pictures.decode(data, 300).shape == (480, 640, 3)


def test_the_model_gets_red_first() -> None:
    blue = np.zeros((10, 10, 3), np.uint8)
    blue[..., 0] = 255
    found = pictures.model_input(blue, 4, 4)
    assert found.shape == (1, 4, 4, 3)
    assert found[0, 0, 0].tolist() == [0, 0, 255]
