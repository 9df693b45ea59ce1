"""The load generator: vegeta, a well-kept Go program, driven over files on loopback.

Closed loop: a fixed number of clients, each of which asks again as soon as it is answered. Open
loop: a fixed rate whatever the server does, with latency counted from when a request was due. It
must not know what is in an answer beyond handing it over.
"""

from __future__ import annotations

import base64
import csv
import io
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import paths
from bench.serving.wire import Request

# Bytes of each answer that are kept: enough for the labels, not for a picture.
KEPT = 8192
# Clients that an open loop may have waiting at once; past it the schedule slips, which shows as
# latency and not as lost load.
MOST_CLIENTS = 3000


@dataclass(frozen=True)
class Answer:
    """What came back for one request.

    Attributes:
        sent: When it left, in seconds since an arbitrary moment of this attack.
        took: How long until the whole answer was there, in seconds.
        status: The HTTP status; 0 when there was no answer.
        body: At most KEPT bytes of the answer.
        error: Why there was no answer, or empty.
    """

    sent: float
    took: float
    status: int
    body: bytes
    error: str

    @property
    def done(self) -> float:
        """When the whole answer was there, on the clock of ``sent``."""
        return self.sent + self.took


@dataclass(frozen=True)
class Attack:
    """What is sent and how.

    Attributes:
        clients: Clients of a closed loop; 0 for an open one.
        rate: Requests per second of an open loop; 0 for a closed one.
        seconds: How long, warm-up included.
        timeout: Seconds after which a request counts as unanswered.
        core: The core that the generator runs on, or None for any.
    """

    clients: int
    rate: float
    seconds: float
    timeout: float = 60.0
    core: int | None = None


class Generator:
    """Sends the same few requests in turn.

    Args:
        binary: The vegeta program.
        folder: For its files; nobody else may use it meanwhile.
        url: Scheme, host and port.
        requests: What to send.
    """

    def __init__(self, binary: Path, folder: Path, url: str, requests: Sequence[Request]) -> None:
        self._binary = binary
        self._folder = folder
        lines = []
        for number, request in enumerate(requests):
            body = folder / f"body{number}"
            body.write_bytes(request.body)
            lines.append(f"POST {url}{request.path}")
            lines.extend(f"{name}: {value}" for name, value in request.headers.items())
            lines.append(f"@{body}\n")
        (folder / "targets").write_text("\n".join(lines), encoding="utf-8")

    def run(self, attack: Attack, during: Callable[[int], None] | None = None) -> list[Answer]:
        """Send, and give every answer in the order sent.

        Args:
            attack: What and how.
            during: Called once meanwhile with the number of the generator's process.

        Raises:
            RuntimeError: The generator itself failed.
        """
        output = self._folder / "results"
        command = [str(self._binary), "-cpus=1", *self._arguments(attack, output)]
        if attack.core is not None:
            command = ["taskset", "-c", str(attack.core), *command]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            if during:
                during(process.pid)
            _, complaint = process.communicate(timeout=attack.seconds + attack.timeout + 30)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode:
            raise RuntimeError(f"vegeta: {complaint.decode(errors='replace').strip()}")
        return self._read(output)

    def _arguments(self, attack: Attack, output: Path) -> list[str]:
        pace = (
            ["-rate=0", f"-workers={attack.clients}", f"-max-workers={attack.clients}"]
            if attack.clients
            else [f"-rate={max(1, round(attack.rate))}/1s", f"-max-workers={MOST_CLIENTS}"]
        )
        return [
            "attack",
            *pace,
            f"-duration={attack.seconds}s",
            f"-timeout={attack.timeout}s",
            f"-max-body={KEPT}",
            "-http2=false",
            f"-targets={self._folder / 'targets'}",
            f"-output={output}",
        ]

    def _read(self, output: Path) -> list[Answer]:
        text = subprocess.run(
            [str(self._binary), "encode", "--to", "csv", str(output)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        csv.field_size_limit(1 << 24)
        return parse(text)


@contextmanager
def prepared(binary: Path, url: str, requests: Sequence[Request]) -> Iterator[Generator]:
    """A generator with files of its own: two benchmarks at once must not mix theirs."""
    with tempfile.TemporaryDirectory(prefix="load-", dir=paths.folder("load")) as folder:
        yield Generator(binary, Path(folder), url, requests)


def parse(text: str) -> list[Answer]:
    """Vegeta's CSV to answers, in the order of its sequence numbers."""
    rows = sorted(csv.reader(io.StringIO(text)), key=lambda row: int(row[8]))
    return [
        Answer(
            sent=int(row[0]) / 1e9,
            took=int(row[2]) / 1e9,
            status=int(row[1]),
            body=base64.b64decode(row[6]),
            error=row[5],
        )
        for row in rows
    ]
