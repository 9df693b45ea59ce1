"""A gunicorn master that replaces workers without downtime.

gunicorn stops the old workers as soon as the new ones are forked, before these have loaded their
models. HTTP connections can wait in the shared socket, but each worker opens its own gRPC port, so
that for a while nobody would listen. On shutdown, this master first stops accepting connections.
"""

import signal
import time
from typing import Any

from gunicorn.arbiter import Arbiter

from model_server.system.listening import refuse_new

_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
_POLL_SECONDS = 0.05


class Master(Arbiter):  # type: ignore[misc]  # gunicorn is untyped
    """Keeps old workers until the same number of new ones are ready."""

    def __init__(self, app: Any) -> None:
        self._stopping = False
        super().__init__(app)

    def signal(self, sig: int, frame: Any) -> None:
        """Notes a shutdown signal, after which no loading worker is waited for."""
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

    def stop(self, graceful: bool = True) -> None:
        """Stops the workers, which first accept the established connections."""
        # During a binary upgrade (SIGUSR2) another master uses the same sockets.
        if self.reexec_pid == self.master_pid == 0:
            for listener in self.LISTENERS:
                refuse_new(listener.sock)
        super().stop(graceful)
