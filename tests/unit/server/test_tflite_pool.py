"""Which interpreter answers: the one with all threads a lone request, one of the pool others."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_server.models import tflite
from model_server.models.tflite import TfliteModel
from model_server.serving.capacity import parallelism
from model_server.settings import load_settings
from model_server.system.cpus import Parallelism
from support.poll import eventually

BUNDLED = Path(tflite.__file__).parents[1] / "bundled"


class Watched:
    """An interpreter whose inference is noted, and lasts until it is let go."""

    used: list[int]
    go: threading.Event

    def __init__(self, inner: Any, threads: int) -> None:
        self.inner, self.threads = inner, threads

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def invoke(self) -> None:
        self.used.append(self.threads)
        assert self.go.wait(30)
        self.inner.invoke()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> type[Watched]:
    made = tflite._interpreter
    Watched.used, Watched.go = [], threading.Event()
    monkeypatch.setattr(
        tflite, "_interpreter", lambda path, threads: Watched(made(path, threads), threads)
    )
    return Watched


def classifier(*numbers: int) -> TfliteModel:
    return TfliteModel(BUNDLED / "classifier" / "model.tflite", Parallelism(*numbers))


def inputs(model: TfliteModel) -> dict[str, Any]:
    (spec,) = model.info.inputs
    return {spec.name: np.full(spec.shape, 77, spec.dtype)}


def begun(watched: type[Watched], count: int) -> bool:
    return len(watched.used) == count


def test_a_lone_request_gets_all_threads_and_others_one_each(watched: type[Watched]) -> None:
    model = classifier(2, 1, 3)
    answers: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(model.run(inputs(model)))) for _ in range(4)
    ]
    for count, thread in enumerate(threads[:3], 1):
        thread.start()
        eventually(partial(begun, watched, count), "the inference begins", 10)
    threads[3].start()  # waits: three at a time is what there is
    assert watched.used == [3, 1, 1]
    watched.go.set()
    for thread in threads:
        thread.join(30)
    assert watched.used[:3] == [3, 1, 1]
    assert len(watched.used) == len(answers) == 4
    for answer in answers:  # whoever computed it
        for name, value in answer.items():
            np.testing.assert_array_equal(value, answers[0][name])
    watched.used.clear()
    model.run(inputs(model))
    assert watched.used == [3]


def test_without_more_threads_there_is_no_other_interpreter(watched: type[Watched]) -> None:
    watched.go.set()
    model = classifier(2, 1, 1)
    for _ in range(3):
        model.run(inputs(model))
    assert watched.used == [1, 1, 1]


def test_warming_reaches_every_interpreter(watched: type[Watched]) -> None:
    watched.go.set()
    model = classifier(2, 1, 3)
    model.warm(inputs(model))
    assert sorted(watched.used) == [1, 1, 3]


@pytest.mark.parametrize(
    ("cpus", "settings", "expected"),
    [
        (1, {}, (1, 1, 1)),
        (2, {}, (2, 1, 2)),
        (4, {}, (4, 1, 4)),
        (16, {}, (8, 2, 8)),
        (4, {"workers": 2}, (2, 1, 2)),
        (4, {"container_concurrency": 1}, (1, 4, 4)),
        (4, {"container_concurrency": 2}, (2, 2, 4)),
        (4, {"model_threads": 1}, (4, 1, 1)),
        (4, {"model_instances": 1}, (1, 4, 4)),
        (4, {"model_instances": 2, "model_threads": 3}, (2, 3, 3)),
    ],
)
def test_the_cpus_are_shared_out(
    cpus: int, settings: dict[str, Any], expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_server.serving.capacity.available_cpus", lambda: cpus)
    found = parallelism(load_settings(**settings))
    assert (found.instances, found.threads, found.lone_threads) == expected
