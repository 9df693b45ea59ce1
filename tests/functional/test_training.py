"""Training can go on from a shipped file: the network read back answers as the file does.

That is the whole of what the file's folded normalization must survive; both ways of running the
network (as served, and as taught) are compared. TensorFlow is loaded in this module only.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from training import draw
from training.lite import Lite
from training.measure import BUNDLED

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors.*:UserWarning"),
]
Pictures = npt.NDArray[np.uint8]
FILE = BUNDLED / "detector" / "model.tflite"


@pytest.fixture(scope="module")
def detector() -> Any:
    return importlib.import_module("training.detector")


@pytest.fixture(scope="module")
def shipped() -> Any:
    return importlib.import_module("training.shipped")


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return np.stack([draw.scene(seed).image for seed in range(8)])


def test_a_network_read_from_a_file_answers_as_the_file(
    detector: Any, shipped: Any, pictures: Pictures
) -> None:
    calibration = re.search(
        r"logits x ([\d.]+) ([+-][\d.]+)", (FILE.parent / "recipe.json").read_text()
    )
    assert calibration is not None
    network = detector.network()
    shipped.load(network, FILE, pictures)
    served = detector.Served(network, float(calibration[1]), float(calibration[2]))
    lite = Lite(FILE)
    for picture in pictures:
        for said, wanted in zip(
            served.answer(picture[None]).values(), lite.run(picture), strict=True
        ):
            np.testing.assert_allclose(np.asarray(said)[0], wanted, atol=2e-3)


def test_it_learns_from_where_the_file_stood(
    detector: Any, shipped: Any, pictures: Pictures
) -> None:
    """By the statistics of the batch it was observed on, it answers the same: nothing jumps."""
    network = detector.network()
    shipped.load(network, FILE, pictures)
    served = network(pictures.astype(np.float32), training=False)
    taught = network(pictures.astype(np.float32), training=True)
    for one, other in zip(served, taught, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=2e-2)


def test_a_file_of_another_network_is_refused(
    detector: Any, shipped: Any, pictures: Pictures
) -> None:
    with pytest.raises(ValueError, match="convolution"):
        shipped.load(detector.network(), BUNDLED / "classifier" / "model.tflite", pictures)
