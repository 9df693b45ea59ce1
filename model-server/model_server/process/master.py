"""A gunicorn master that replaces workers without downtime.

gunicorn stops the old workers as soon as the new ones are forked, before they have loaded their
models. HTTP connections can wait in the shared socket, but each worker opens its own gRPC port, so
no process would listen there for a while. On shutdown, this master first stops accepting
connections.

gunicorn also restarts a crashed worker indefinitely. This master gives up on a model that crashes
its runtime and reports why; Kubernetes then restarts the container with increasing delays.
"""

import contextlib
import os
import signal
import time
from collections import deque
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from model_server.errors import StartupError
from model_server.process.crashes import crash_while_loading, crashes_while_serving
from model_server.system.listening import refuse_new

_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
_POLL_SECONDS = 0.05
# gunicorn ends with this status when a worker cannot boot.
_BOOT_ERROR = 3


class Master(Arbiter):  # type: ignore[misc]  # gunicorn is untyped
    """Keeps old workers until the same number of new ones are ready."""

    def __init__(self, app: Any) -> None:
        self._stopping = False
        self._crashes: deque[float] = deque()
        super().__init__(app)

    def signal(self, sig: int, frame: Any) -> None:
        """Records a shutdown signal, after which the master no longer waits for loading workers."""
        self._stopping = self._stopping or sig in _STOPS
        super().signal(sig, frame)

    def manage_workers(self) -> None:
        """Starts missing workers and stops surplus ones, the oldest first."""
        while len(self.WORKERS) > self.num_workers and not self._stopping:
            newest = sorted(self.WORKERS.values(), key=lambda worker: worker.age)
            if all(worker.serves for worker in newest[-self.num_workers :]):
                break
            # A worker that fails to load ends the server here, as at startup.
            self.reap_workers()
            time.sleep(_POLL_SECONDS)
        super().manage_workers()

    def reap_workers(self) -> None:
        """Reaps workers that have ended; gives up when replacing them would not help."""
        crashed = [
            (worker, number)
            for pid, worker in list(self.WORKERS.items())
            if (number := _killed_by(pid)) and not self._stopping
        ]
        super().reap_workers()
        for worker, number in crashed:
            error = self._judge(worker, number)
            if error is not None:
                self.app.report(error)
                raise HaltServer(error.reason, _BOOT_ERROR)

    def _judge(self, worker: Any, number: int) -> StartupError | None:
        if not worker.serves:
            return crash_while_loading(number)
        self._crashes.append(time.monotonic())
        return crashes_while_serving(self._crashes, number)

    def stop(self, graceful: bool = True) -> None:
        """Stops the workers, which first accept the connections already established."""
        # During a binary upgrade (SIGUSR2) another master uses the same sockets.
        if self.reexec_pid == self.master_pid == 0:
            for listener in self.LISTENERS:
                refuse_new(listener.sock)
        super().stop(graceful)


def _killed_by(pid: int) -> int:
    """The signal that killed a child that has not been reaped yet; 0 for none."""
    with contextlib.suppress(ChildProcessError):
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None and ended.si_code in {os.CLD_KILLED, os.CLD_DUMPED}:
            return ended.si_status
    return 0
