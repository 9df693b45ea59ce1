"""The pictures that a model is asked about before it serves."""

import subprocess
import sys

import numpy as np

from model_server.vision.sample_pictures import noise, sample_pictures


def test_noise_looks_like_noise_and_is_always_the_same() -> None:
    pixels = np.asarray(noise(200, 100)).astype(float)
    assert pixels.shape == (100, 200, 3)
    assert np.array_equal(pixels, np.asarray(noise(200, 100)))
    counts = np.bincount(pixels.astype(int).ravel(), minlength=256)
    expected = pixels.size / 256
    # Chi-square with 255 degrees of freedom: 99.99 % lie below 341.
    assert ((counts - expected) ** 2 / expected).sum() < 341
    for one, other in (
        (pixels[:, 1:], pixels[:, :-1]),
        (pixels[1:], pixels[:-1]),
        (pixels[..., 0], pixels[..., 1]),
    ):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02


def test_samples_are_pictures_of_one_size() -> None:
    samples = sample_pictures()
    assert {picture.size for picture in samples} == {(320, 320)}
    assert {picture.mode for picture in samples} == {"RGB"}
    assert len({picture.tobytes() for picture in samples}) == len(samples)


def test_serving_imports_nothing_of_numpy_that_no_request_needs() -> None:
    """Random generators and masked arrays, which `np.median` brings: 23 ms of each start."""
    program = (
        "import sys; from model_server.serving.registry import load_registry; "
        "from model_server.settings import load_settings; load_registry(load_settings()); "
        "sys.exit(str({'numpy.random', 'numpy.ma'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == "set()"
