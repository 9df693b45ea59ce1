"""Servers that several tests share: starting one takes a second."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.model_server import (
    COCO,
    COCO_LABELS,
    DATA,
    IMAGENET,
    IMAGENET_LABELS,
    NO_DATA,
    RunningServer,
    model_server,
)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public pictures and models."""
    if not COCO.is_file():
        pytest.skip(NO_DATA)
    return DATA


@pytest.fixture(scope="session")
def coco(data: Path) -> Iterator[RunningServer]:
    """The COCO detector."""
    with model_server(model=COCO, labels=COCO_LABELS, name="coco") as server:
        yield server


@pytest.fixture(scope="session")
def imagenet(data: Path) -> Iterator[RunningServer]:
    """The ImageNet classifier."""
    with model_server(model=IMAGENET, labels=IMAGENET_LABELS, name="imagenet") as server:
        yield server
