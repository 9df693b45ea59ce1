"""One contestant, from its start to its stop: every figure that is taken of it."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine, paths
from bench.assets.pictures import Picture
from bench.load import Attack, Generator, prepared
from bench.processes import Running, cpu_seconds
from bench.serving import figures
from bench.serving.cases import Workload
from bench.serving.contestants import PATIENCE, Contestant, Start
from bench.serving.wire import Protocol, Request

START_TIMEOUT = 180.0
# After the first HTTP error, a server gets this much longer to answer right.
ANSWER_TIMEOUT = 60.0


class Failed(Exception):
    """A contestant did not start or did not answer right; the message says how."""


@dataclass(frozen=True)
class Setting:
    """What is the same for all measurements of a run.

    Attributes:
        generator: The load generator's program.
        cores: The cores of the contestants.
        client_core: The core of the load generator; None lets it share all cores.
        warm: Seconds before each measurement that do not count.
        seconds: Length of each closed loop, where the workload does not stretch it.
        open_seconds: Length of each open loop.
    """

    generator: Path
    cores: tuple[int, ...]
    client_core: int | None
    warm: float
    seconds: float
    open_seconds: float


class Subject:
    """A running contestant that answers right; made by ``started``.

    Args:
        contestant: Who it is.
        running: Its processes.
        url: Where it answers.
        setting: How to measure.
    """

    def __init__(
        self, contestant: Contestant, running: Running, url: str, setting: Setting
    ) -> None:
        self.contestant = contestant
        self.running = running
        self._url = url
        self._setting = setting

    def start_seconds(self, workload: Workload, picture: Picture, expected: str) -> float:
        """Seconds from the start of the process to the first right answer.

        Raises:
            Failed: It ended, answered wrong, or did not answer in time.
        """
        protocol = _protocol(self.contestant, workload)
        request = protocol.build(picture.data)
        last, refused = "no answer", False
        deadline = self.running.started + START_TIMEOUT
        while time.monotonic() < deadline:
            if not self.running.alive():
                raise Failed(f"it ended: {self.running.tail()}")
            try:
                body = post(self._url, request)
            except urllib.error.HTTPError as error:
                # Something listens: it may still be loading, but not for the full three minutes.
                if not refused:
                    deadline = min(deadline, time.monotonic() + ANSWER_TIMEOUT)
                last, refused = str(error), True
            except OSError as error:
                last = str(error)
            else:
                if _names(protocol, body, expected):
                    return time.monotonic() - self.running.started
                raise Failed(f"a wrong answer: {body[:200]!r}")
            time.sleep(0.005)
        raise Failed(f"no right answer in time ({last}): {self.running.tail()}")

    def check(
        self, workload: Workload, pictures: Sequence[Picture], expected: Sequence[str]
    ) -> int:
        """How many pictures are answered otherwise than by the bare engine."""
        protocol = _protocol(self.contestant, workload)
        wrong = 0
        for picture, label in zip(pictures, expected, strict=True):
            body = post(self._url, protocol.build(picture.data))
            wrong += not _names(protocol, body, label)
        return wrong

    def closed(
        self, workload: Workload, pictures: Sequence[Picture], labels: Collection[str], clients: int
    ) -> dict[str, Any]:
        """Figures with ``clients`` that each ask again as soon as they are answered."""
        setting = self._setting
        seconds = setting.seconds * workload.stretch
        protocol = _protocol(self.contestant, workload)
        readings: dict[str, float] = {}

        def read_meters(generator_pid: int) -> None:
            time.sleep(setting.warm)
            meter, before = machine.BusyMeter(), self.running.cpu()
            asked = sum(cpu_seconds([generator_pid]).values())
            time.sleep(seconds)
            readings["cpu"] = self.running.cpu() - before
            asked = sum(cpu_seconds([generator_pid]).values()) - asked
            readings["others"] = meter.others(readings["cpu"] + asked)

        attack = Attack(clients, 0, setting.warm + seconds, core=setting.client_core)
        with self._generator(protocol, pictures) as generator:
            answers = generator.run(attack, read_meters)
        right = [figures.is_right(answer, protocol.read, labels) for answer in answers]
        begin = answers[0].sent + setting.warm if answers else 0.0
        found = figures.closed(answers, right, begin, seconds)
        images = found["images_per_second"] * seconds
        return {
            **found,
            "cpu_seconds_per_image": round(readings["cpu"] / images, 6) if images else None,
            "memory_mb": round(max(self.running.memory(), self.running.peak_bytes) / 1e6, 1),
            "others_busy": round(readings["others"], 3),
        }

    def open_loop(
        self, workload: Workload, pictures: Sequence[Picture], labels: Collection[str], rate: float
    ) -> dict[str, Any]:
        """Figures at a fixed rate of requests per second."""
        protocol = _protocol(self.contestant, workload)
        setting = self._setting
        attack = Attack(0, rate, setting.open_seconds, PATIENCE, setting.client_core)
        with self._generator(protocol, pictures) as generator:
            answers = generator.run(attack)
        right = [figures.is_right(answer, protocol.read, labels) for answer in answers]
        return figures.open_loop(answers, right, max(1, round(rate)), setting.open_seconds)

    def _generator(
        self, protocol: Protocol, pictures: Sequence[Picture]
    ) -> AbstractContextManager[Generator]:
        requests = [protocol.build(picture.data) for picture in pictures]
        return prepared(self._setting.generator, self._url, requests)


def launch(contestant: Contestant, start: Start, setting: Setting) -> Running:
    """The contestant's processes, not started yet."""
    log = paths.cache("logs", f"{contestant.name.replace(' ', '-')}.log")
    return Running(
        contestant.command(contestant.interpreter(), start),
        log,
        {**start.variables(), **contestant.variables(start)},
        setting.cores,
        paths.HERE.parent,
    )


def post(url: str, request: Request) -> bytes:
    """The answer's body.

    Raises:
        OSError: There was no answer of 200 within a minute.
    """
    question = urllib.request.Request(  # noqa: S310 (loopback)
        url + request.path, data=request.body, headers=request.headers, method="POST"
    )
    with urllib.request.urlopen(question, timeout=60) as answer:  # noqa: S310
        return bytes(answer.read())


def _names(protocol: Protocol, body: bytes, expected: str) -> bool:
    if protocol.read is None:
        return body.startswith(figures.JPEG)
    try:
        labels = protocol.read(body)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False
    return bool(labels) and labels[0] == expected


def _protocol(contestant: Contestant, workload: Workload) -> Protocol:
    protocol = contestant.protocol(workload)
    if protocol is None:
        raise Failed(f"it does not offer {workload.name}")
    return protocol
