"""Runs a long command with visible progress and its complete output in a log."""

from __future__ import annotations

import queue
import subprocess
import threading
from typing import TYPE_CHECKING

from local_cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from local_cluster.console import Progress

NICENESS = 5
SHOWN_LINES = 25


def follow(
    command: list[str],
    log: Path,
    progress: Progress,
    describe: Callable[[list[str]], str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a command with reduced priority.

    Args:
        command: what to run.
        log: file that its output is appended to.
        progress: display of the progress.
        describe: maps all lines so far to the text to show.
        cwd: working directory.
        env: environment (default: inherited).

    Raises:
        ClusterError: the command failed; the message has the end of its output and the log's path.
    """
    lines: list[str] = []
    with log.open("a") as file, _started(command, cwd, env) as process:
        try:
            for line in _lines_or_ticks(process):
                if line is not None:
                    lines.append(line)
                    file.write(line)
                progress.show(describe(lines))
            status = process.wait()
        except BaseException:
            process.terminate()
            raise
        finally:
            progress.close()
    if status != 0:
        tail = "".join(lines[-SHOWN_LINES:])
        shown = " ".join(command[:4])
        message = f"`{shown} ...` failed with exit status {status} (complete log: {log}):\n{tail}"
        raise ClusterError(message)


def _started(
    command: list[str], cwd: Path | None, env: Mapping[str, str] | None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["nice", "-n", str(NICENESS), *command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _lines_or_ticks(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """Each line of the process's output, and None once a second while there is none."""
    received: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout or ():
            received.put(line)
        received.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = received.get(timeout=1.0)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line
