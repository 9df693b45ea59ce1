"""`python -m bench.profile`: where a request's time goes, stage by stage.

Three parts, measured in turn in each round, so that the machine's moods meet all of them alike:

- `detect()` in this process, with the stages that the server itself times;
- the WSGI application called in this process, without inference: Flask and our hooks;
- the server under gunicorn on loopback, without inference, CPU of all its processes.

The last two are shown as what they add to the part before. CPU time, not the clock; the lowest
round is the best estimate on a busy machine, the median says how busy it was.
"""

from __future__ import annotations

import argparse
import http.client
import io
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench import machine, paths
from bench.assets import files, pictures
from bench.peers.ours_without_inference import replace_inference
from bench.processes import Running, free_port
from bench.report.markdown import Cell, table
from bench.serving import wire
from model_server.http.app import create_app
from model_server.models.tflite import TfliteModel
from model_server.request.context import RequestContext
from model_server.serving.registry import load_registry
from model_server.settings import Settings, load_settings
from model_server.vision.detection import Selection
from model_server.vision.inference import VisionModel

STAGES = ("decode", "preprocess", "inference", "postprocess")
# A turn must be long beside the 10 ms in which the system counts CPU time of other processes.
TURN_SECONDS = 1.0


@dataclass
class Rounds:
    """Milliseconds of each part, one value for each round."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, part: str, milliseconds: float) -> None:
        """One more value of a part."""
        self.values.setdefault(part, []).append(milliseconds)

    def lowest(self, part: str) -> float:
        """The best estimate of what a part costs."""
        return min(self.values[part])

    def middle(self, part: str) -> float:
        """The median round."""
        return statistics.median(self.values[part])

    def rows(self) -> list[list[Cell]]:
        """The table: each part alone, or what it adds to the one before."""
        low, middle = self.lowest, self.middle
        parts: list[list[Cell]] = [[name, low(name), middle(name)] for name in STAGES]
        parts.append(["rest of detect()", low("rest"), middle("rest")])
        for name, whole, less in (
            ("Flask and our hooks", "wsgi", "detect without inference"),
            ("gunicorn, sockets", "served", "wsgi"),
        ):
            parts.append([name, low(whole) - low(less), middle(whole) - middle(less)])
        return parts


class CpuContext(RequestContext):
    """A request whose stages are measured in CPU time of this process, not by the clock."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures what is done inside."""
        begun = time.process_time()
        yield
        self.stages[name] = self.stages.get(name, 0.0) + time.process_time() - begun


class InProcess:
    """The model and the WSGI application, called without a server.

    Args:
        settings: Of the server.
        picture: An encoded picture.
    """

    def __init__(self, settings: Settings, picture: bytes) -> None:
        self._picture = picture
        registry = load_registry(settings)
        self._model: VisionModel = registry.default
        self._app = create_app(settings, registry)
        self._request = wire.OURS_DETECTIONS.build(picture)

    def detect(self) -> dict[str, float]:
        """CPU milliseconds of one `detect()`, by stage, and of what is in none."""
        context = CpuContext()
        begun = time.process_time()
        self._model.detect(self._picture, Selection(0.5, 100), context)
        spent = (time.process_time() - begun) * 1000
        found = {name: seconds * 1000 for name, seconds in context.stages.items()}
        return {**found, "rest": spent - sum(found.values())}

    def wsgi(self) -> None:
        """One request, from the WSGI environment to the answer's bytes.

        Raises:
            RuntimeError: It was not answered with 200.
        """
        told: list[str] = []

        def start_response(
            status: str, _headers: list[tuple[str, str]], _error: Any = None
        ) -> Callable[[bytes], object]:
            told.append(status)
            return lambda _block: None

        headers = {
            f"HTTP_{name.upper().replace('-', '_')}": value
            for name, value in self._request.headers.items()
        }
        environment: dict[str, Any] = {
            **headers,
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": self._request.path,
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_TYPE": headers.get("HTTP_CONTENT_TYPE", "image/jpeg"),
            "CONTENT_LENGTH": str(len(self._request.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self._request.body),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        answer = self._app(environment, start_response)
        body = b"".join(answer)
        getattr(answer, "close", lambda: None)()
        if not told[0].startswith("200"):
            raise RuntimeError(f"{told[0]}: {body[:200]!r}")


def repeated(work: Callable[[], object], spent: Callable[[], float]) -> float:
    """CPU milliseconds of one call, over about a turn.

    Args:
        work: To be called.
        spent: CPU seconds so far.
    """
    number, until = 0, time.monotonic() + TURN_SECONDS
    begun = spent()
    while number == 0 or time.monotonic() < until:
        work()
        number += 1
    return (spent() - begun) * 1000 / number


def arguments_of(flags: argparse.Namespace) -> dict[str, str]:
    """The server's settings."""
    model = files.files("detector")
    return {
        "model": str(model.recommended),
        "labels": str(model.labels),
        "log_level": flags.log_level,
        "resizing": flags.resizing,
        "score_threshold": "0.5",
    }


def measure(flags: argparse.Namespace) -> Rounds:
    """All parts in turn, in each round."""
    picture = pictures.prepare(flags.size)[0].data
    asked = arguments_of(flags)
    real = InProcess(load_settings(**asked), picture)
    infer = TfliteModel.run
    replace_inference()
    stubbed = InProcess(load_settings(**asked), picture)
    without = TfliteModel.run
    port = free_port()
    command = [sys.executable, "-m", "bench.peers.ours_without_inference"]
    for name, value in {**asked, "host": "127.0.0.1", "port": str(port)}.items():
        command += [f"--{name.replace('_', '-')}", value]
    environment = {"PYTHONPATH": str(paths.HERE.parent)}
    rounds = Rounds()
    with Running(command, paths.cache("logs", "profile.log"), environment) as running:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        ask = asking(connection, wire.OURS_DETECTIONS.build(picture), running)
        for number in range(flags.rounds):
            print(f"round {number + 1}/{flags.rounds}", file=sys.stderr)
            TfliteModel.run = infer  # type: ignore[method-assign]
            _stages(real, rounds)
            TfliteModel.run = without  # type: ignore[method-assign]
            rounds.add("detect without inference", repeated(stubbed.detect, time.process_time))
            rounds.add("wsgi", repeated(stubbed.wsgi, time.process_time))
            rounds.add("served", repeated(ask, running.cpu))
        connection.close()
    return rounds


def _stages(real: InProcess, rounds: Rounds) -> None:
    calls: list[dict[str, float]] = []
    until = time.monotonic() + TURN_SECONDS
    while len(calls) < 3 or time.monotonic() < until:
        calls.append(real.detect())
    for name in (*STAGES, "rest"):
        rounds.add(name, min(call[name] for call in calls))


def asking(
    connection: http.client.HTTPConnection, request: wire.Request, running: Running
) -> Callable[[], None]:
    """What sends the request and reads the answer; returns once the server has answered first.

    Raises:
        RuntimeError: The server ended, or answered otherwise than with 200.
    """

    def ask() -> None:
        connection.request("POST", request.path, request.body, request.headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {body[:200]!r}")

    while running.alive():
        try:
            ask()
        except ConnectionRefusedError:
            connection.close()
            time.sleep(0.05)
        else:
            return ask
    raise RuntimeError(f"the server ended: {running.tail()}")


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", choices=list(pictures.SIZES), default="0.3MP")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--resizing", choices=("auto", "pillow"), default="auto")
    parser.add_argument(
        "--log-level", default="warning", help="info, the server's own default, logs each request"
    )
    flags = parser.parse_args(argv)
    rounds = measure(flags)
    about = machine.describe()
    print(
        f"{about['cpu']} ({about['processor']}), {os.cpu_count()} cores, commit {about['commit']}, "
        f"{flags.size}, log level {flags.log_level}, resizing {flags.resizing}, "
        f"{flags.rounds} rounds\n"
    )
    print(table(["part", "CPU ms, lowest round", "median round"], rounds.rows()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
