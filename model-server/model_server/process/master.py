"""gunicorn's master, made to replace workers without a gap.

gunicorn's own stops the old workers as soon as the new ones are forked, long before these have
loaded their models. HTTP connections then wait in the shared socket, but gRPC's ports belong to
the workers, and for a moment nobody would listen. When all stop, it first sees to it that nobody
new connects. It knows nothing of models.
"""

import signal
import time
from typing import Any

from gunicorn.arbiter import Arbiter

from model_server.system.listening import refuse_new

_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
_POLL_SECONDS = 0.05


class Master(Arbiter):  # type: ignore[misc]  # gunicorn is untyped
    """Keeps the old workers until as many new ones serve."""

    def __init__(self, app: Any) -> None:
        self._stopping = False
        super().__init__(app)

    def signal(self, sig: int, frame: Any) -> None:
        """Remembers that an order to stop came: it must not wait for workers that still load."""
        self._stopping = self._stopping or sig in _STOPS
        super().signal(sig, frame)

    def manage_workers(self) -> None:
        """Starts missing workers and stops surplus ones, the oldest first."""
        while len(self.WORKERS) > self.num_workers and not self._stopping:
            newest = sorted(self.WORKERS.values(), key=lambda worker: worker.age)
            if all(worker.serves for worker in newest[-self.num_workers :]):
                break
            # One that cannot load ends the whole server here, as at the first start.
            self.reap_workers()
            time.sleep(_POLL_SECONDS)
        super().manage_workers()

    def stop(self, graceful: bool = True) -> None:
        """Stops the workers, which accept who has connected before they close."""
        # During a change of the program (SIGUSR2) another master has the same sockets.
        if self.reexec_pid == self.master_pid == 0:
            for listener in self.LISTENERS:
                refuse_new(listener.sock)
        super().stop(graceful)
