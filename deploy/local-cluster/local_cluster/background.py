"""Builds images in the background of other commands, and says how far that is.

The tensorflow image takes minutes, and whoever tries the bundled model does not need it. There is
one such build per cluster folder. It is recorded, so `status` can report it and `down` can stop it.

Started as `python -m local_cluster.background FOLDER ARGUMENT...`, which runs
`local-cluster images ARGUMENT...` and records how it ended.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster.console import elapsed
from local_cluster.errors import ClusterError
from local_cluster.layout import layout_of
from local_cluster.processes import ProcessIdentity, identify, is_running, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_cluster.layout import Layout

NICENESS = 10
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Build:
    """A build that was started in the background.

    Attributes:
        process: leader of the process group that builds.
        started: seconds since the epoch.
    """

    process: ProcessIdentity
    started: float


def start(layout: Layout, arguments: list[str]) -> None:
    """Start `local-cluster images ARGUMENTS`; does nothing while a build of this cluster runs.

    Raises:
        ClusterError: it did not start.
    """
    running = load(layout)
    if running is not None and is_running(running.process):
        return
    layout.logs.mkdir(parents=True, exist_ok=True)
    layout.image_build_result.unlink(missing_ok=True)
    module = [sys.executable, "-m", "local_cluster.background", str(layout.root)]
    command = ["nice", "-n", str(NICENESS), *module, *arguments]
    # Not a Popen object: nobody waits for the process here, and it outlives this one.
    pid = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (
                *(os.POSIX_SPAWN_OPEN, 1, str(layout.image_build_log)),
                *(os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
            ),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    identity = identify(pid)
    if identity is None:
        message = f"the image build ended immediately; see {layout.image_build_log}"
        raise ClusterError(message)
    record = dataclasses.asdict(Build(identity, time.time()))
    layout.image_build.write_text(json.dumps(record, indent=2) + "\n")


def load(layout: Layout) -> Build | None:
    """The build that was started last, or None."""
    try:
        record = json.loads(layout.image_build.read_text())
        return Build(ProcessIdentity(**record["process"]), float(record["started"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def describe(layout: Layout, now: Callable[[], float] = time.time) -> str:
    """How the last build is doing; empty when there was none."""
    build = load(layout)
    if build is None:
        return ""
    if is_running(build.process):
        return f"in progress for {elapsed(now() - build.started)} (log: {layout.image_build_log})"
    try:
        result = layout.image_build_result.read_text().strip()
    except FileNotFoundError:
        result = "interrupted"
    if result == "0":
        return "done"
    outcome = result if result == "interrupted" else f"failed with exit status {result}"
    return f"{outcome}; run `make images` to repeat it (log: {layout.image_build_log})"


def stop(layout: Layout) -> None:
    """Stop the build if it runs, with everything that it started, and forget it."""
    build = load(layout)
    if build is not None and is_running(build.process):
        os.killpg(build.process.pid, signal.SIGTERM)
        if not wait_until(lambda: not is_running(build.process), STOP_SECONDS):
            os.killpg(build.process.pid, signal.SIGKILL)
    layout.image_build.unlink(missing_ok=True)
    layout.image_build_result.unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """Build, and record the exit status where `describe` finds it."""
    folder, *rest = arguments
    command = [sys.executable, "-m", "local_cluster", "images", "--dir", folder, *rest]
    status = subprocess.run(command, check=False).returncode
    layout_of(Path(folder)).image_build_result.write_text(f"{status}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
