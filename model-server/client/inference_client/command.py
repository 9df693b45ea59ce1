"""The command `inference-client`: sends pictures, prints and saves the results.

For one picture it prints the same three lines as the object-detection article's client; for
several, one line each. Results go to standard output, messages to standard error. Users never see
a traceback.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Never, TextIO

from tqdm import tqdm

from inference_client.client import Client, Picture
from inference_client.errors import (
    ClientError,
    RequestRefused,
    ServerTimeout,
    ServerUnreachable,
    UnreadablePicture,
    UnwritableOutput,
)
from inference_client.options import STDOUT, Options, parse_options
from inference_client.pictures import Input, find_inputs
from inference_client.reports import CsvReport, JsonReport, Report
from inference_client.results import ClassificationResult, DetectionResult

# Statuses that every further picture would get too.
_PERMANENT_STATUSES = frozenset({401, 403, 404, 405, 407})


@dataclass(frozen=True)
class Answer:
    """The result for one picture, and the annotated picture if requested."""

    result: DetectionResult | ClassificationResult
    picture: bytes | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options = parse_options(arguments)
    # urllib3 logs each retry as a warning; the command reports retries itself.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        return _Run(options).run()
    except ClientError as error:
        _complain(str(error))
        return 1
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:
        # The reader has closed the pipe. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _complain(message: str) -> None:
    tqdm.write(f"inference-client: {message}", file=sys.stderr)


class _Run:
    """One run of the command."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._inputs = find_inputs(options.image_paths, options.folder, options.picture_format)
        self._client = Client(
            options.address,
            timeout=options.timeout,
            max_retries=options.retries,
            on_retry=None if options.quiet else _complain,
        )
        self._failures = 0

    def run(self) -> int:
        with ExitStack() as stack:
            stack.enter_context(self._client)
            reports = self._open_reports(stack)
            bar = stack.enter_context(self._progress_bar())
            for item, future in self._answers(stack):
                self._finish(item, future, reports)
                bar.update()
        if len(self._inputs) > 1:
            answered = len(self._inputs) - self._failures
            self._say(f"{answered} of {len(self._inputs)} pictures processed")
        return 1 if self._failures else 0

    def _answers(self, stack: ExitStack) -> Iterator[tuple[Input, Future[Answer]]]:
        """The results in order, with at most `concurrency` requests in flight."""
        pool = ThreadPoolExecutor(self._options.concurrency)
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        waiting: deque[tuple[Input, Future[Answer]]] = deque()
        for item in self._inputs:
            waiting.append((item, pool.submit(self._ask, item)))
            if len(waiting) > 2 * self._options.concurrency:
                yield waiting.popleft()
        yield from waiting

    def _ask(self, item: Input) -> Answer:
        options = self._options
        picture: Picture = item.source if item.source is not None else _read_stdin()
        if options.classify:
            return Answer(self._client.classify(picture, top_k=options.top_k))
        wanted = options.picture_format if "picture" in options.formats else None
        result = self._client.detect(
            picture,
            annotated=wanted,
            score_threshold=options.score_threshold,
            max_boxes=options.max_boxes,
        )
        if wanted is None or result.picture is None:
            return Answer(result)
        return Answer(result, result.picture.encode(wanted))

    def _finish(self, item: Input, future: Future[Answer], reports: Sequence[Report]) -> None:
        try:
            answer = future.result()
        except ClientError as error:
            self._failures += 1
            for report in reports:
                report.add_failure(item.name, str(error))
            if len(self._inputs) == 1 or _is_permanent(error):
                raise
            _complain(f"{item.name}: {error}")
            return
        target = self._options.folder / item.target(self._options.picture_format)
        written = str(target) if answer.picture is not None else None
        self._print(item, answer.result, written)
        if answer.picture is not None:
            _write(target, answer.picture)
        for report in reports:
            report.add(item.name, answer.result, written)

    def _print(
        self, item: Input, result: DetectionResult | ClassificationResult, written: str | None
    ) -> None:
        found = _found(result)
        if len(self._inputs) > 1:
            self._say(f"{item.name}: {found}" + (f" written to {written}" if written else ""))
        elif isinstance(result, ClassificationResult):
            self._say(f"Predictions are: {found}")
        else:
            self._say(f"Detections are: {found}")
            self._say(f"the image size is: {result.image_size}")
            if written:
                self._say(f"the image is being written in {self._options.output_dir}")

    def _say(self, line: str) -> None:
        if self._options.quiet:
            return
        # With `--output_dir -`, standard output carries the document.
        stream = sys.stderr if self._options.output_dir == STDOUT else sys.stdout
        tqdm.write(line, file=stream)

    def _open_reports(self, stack: ExitStack) -> list[Report]:
        reports: list[Report] = []
        for kind in self._options.formats:
            if kind == "picture":
                continue
            stream = self._open_document(f"detections.{kind}", stack)
            report = JsonReport(stream) if kind == "json" else CsvReport(stream)
            stack.callback(report.close)
            reports.append(report)
        return reports

    def _open_document(self, name: str, stack: ExitStack) -> TextIO:
        if self._options.output_dir == STDOUT:
            return sys.stdout
        path = self._options.folder / name.replace(
            "detections", "predictions" if self._options.classify else "detections"
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise UnwritableOutput(f"cannot write {path}: {error.strerror}") from error
        return stack.enter_context(stream)

    def _progress_bar(self) -> tqdm[Never]:
        hidden = self._options.quiet or len(self._inputs) < 2 or not sys.stderr.isatty()
        return tqdm(total=len(self._inputs), unit="picture", disable=hidden)


def _found(result: DetectionResult | ClassificationResult) -> list[dict[str, str | float]]:
    if isinstance(result, DetectionResult):
        return [dict(detection.article_form) for detection in result.detections]
    return [
        {"label": item.label, "probability": round(item.probability, 4)}
        for item in result.predictions
    ]


def _is_permanent(error: ClientError) -> bool:
    if isinstance(error, RequestRefused):
        return error.status in _PERMANENT_STATUSES
    return isinstance(error, ServerUnreachable) and not isinstance(error, ServerTimeout)


def _read_stdin() -> bytes:
    data = sys.stdin.buffer.read()
    if not data:
        raise UnreadablePicture("standard input is empty")
    return data


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UnwritableOutput(f"cannot write {path}: {error.strerror}") from error
