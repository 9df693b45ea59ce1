"""`python -m pressure.fuzz`: thousands of damaged uploads and bodies against a real server.

Holds: no status of 500 or above, every refusal a typed error, no worker lost, no traceback in the
log, whole pictures still answered right, and memory that does not grow after the warm phase.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pressure import memory
from pressure.bodies import body
from pressure.seeds import example
from pressure.traffic import Tally, Traffic
from pressure.uploads import Request, upload
from support.model_server import RunningServer, model_server

BUNDLED = Path(__file__).resolve().parents[2] / "model-server" / "model_server" / "bundled"
# Memory may grow by this much after the warm phase: what large pictures leave is given back, but
# for pieces between what stays.
ALLOWED_GROWTH = 0.15


@dataclass
class Report:
    """What one run found.

    Attributes:
        uploads: Of the damaged uploads.
        bodies: Of the damaged V1 and V2 bodies.
        resident: Bytes of the workers at start, after the warm phase and at the end.
        highest: The most they ever had.
        problems: What must not be; empty after a good run.
    """

    uploads: Tally = field(default_factory=Tally)
    bodies: Tally = field(default_factory=Tally)
    resident: tuple[int, int, int] = (0, 0, 0)
    highest: int = 0
    problems: list[str] = field(default_factory=list)


@contextmanager
def both_models() -> Iterator[RunningServer]:
    """A server with the bundled detector and classifier."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("detector", "classifier"):
            (Path(folder) / name).symlink_to(BUNDLED / name)
        with model_server(models_dir=folder) as server:
            yield server


def run(
    server: RunningServer,
    uploads: range,
    bodies: range,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Sends the uploads and bodies of those numbers.

    Args:
        server: With both bundled models.
        uploads: Numbers of the uploads; a tenth of them is the warm phase.
        bodies: Numbers of the bodies.
        say: Told the progress.
    """
    report, workers = Report(), server.workers()
    expected = _whole_picture(server)
    traffic = Traffic(server.port)
    start = memory.settled(workers)
    warm = len(uploads) // 10
    traffic.send(upload, uploads[:warm], report.uploads)
    traffic.send(body, bodies[: len(bodies) // 10], report.bodies)
    after_warm = memory.settled(workers)
    say(f"warm: {report.uploads.sent} uploads, {after_warm // memory.MIB} MiB")
    traffic.send(body, bodies[len(bodies) // 10 :], report.bodies)
    step = max(1, len(uploads) // 10)
    for first in range(warm, len(uploads), step):
        traffic.send(upload, uploads[first : first + step], report.uploads)
        say(f"{report.uploads.sent} uploads, {memory.resident(workers) // memory.MIB} MiB")
    report.resident = (start, after_warm, memory.settled(workers))
    report.highest = memory.highest(workers)
    report.problems = [*report.uploads.failures, *report.bodies.failures]
    if server.workers() != workers:
        report.problems.append(f"workers {workers} became {server.workers()}")
    if _whole_picture(server) != expected:
        report.problems.append("a whole picture is answered differently than at the start")
    report.problems += [line["traceback"] for line in server.log if "traceback" in line]
    return report


def _whole_picture(server: RunningServer) -> bytes:
    kind = "application/vnd.inference-operator.detections+json"
    answer = server.post("/object_detection", example(), "image/png", Accept=kind)
    if answer.status != 200 or b'"label"' not in answer.body:
        raise RuntimeError(f"a whole picture gives {answer.status}: {answer.body[:300]!r}")
    return answer.body


def growth(report: Report) -> float:
    """By which share memory grew after the warm phase; negative when it shrank."""
    _, warm, end = report.resident
    return end / warm - 1


def main(argv: list[str] | None = None) -> int:
    """Runs and prints; 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m pressure.fuzz", description=__doc__)
    parser.add_argument("--uploads", type=int, default=20_000, help="damaged uploads")
    parser.add_argument("--bodies", type=int, default=2_000, help="damaged V1 and V2 bodies")
    parser.add_argument("--first", type=int, default=0, help="number of the first; repeats a run")
    parser.add_argument("--show", choices=("upload", "body"), help="print request FIRST and end")
    flags = parser.parse_args(argv)
    if flags.show:
        return _show({"upload": upload, "body": body}[flags.show](flags.first))
    began = time.monotonic()
    uploads = range(flags.first, flags.first + flags.uploads)
    bodies = range(flags.first, flags.first + flags.bodies)
    with both_models() as server:
        report = run(server, uploads, bodies, lambda line: print(line, flush=True))
    for name, tally in (("uploads", report.uploads), ("bodies", report.bodies)):
        statuses = ", ".join(f"{status}: {n}" for status, n in sorted(tally.statuses.items()))
        print(f"{name}: {tally.sent} sent; {statuses}")
    start, warm, end = (size // memory.MIB for size in report.resident)
    print(f"memory: {start} MiB at start, {warm} warm, {end} at the end ({growth(report):+.1%})")
    print(f"highest: {report.highest // memory.MIB} MiB; {time.monotonic() - began:.0f} s")
    if growth(report) > ALLOWED_GROWTH:
        report.problems.append(f"memory grew by {growth(report):.0%} after the warm phase")
    for problem in report.problems:
        print(f"PROBLEM {problem}")
    print(f"{report.uploads.failed + report.bodies.failed} failures")
    return 1 if report.problems else 0


def _show(request: Request) -> int:
    sys.stderr.write(f"POST {request.path}\n{request.headers}\n")
    sys.stdout.buffer.write(request.body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
