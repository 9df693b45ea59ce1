"""Watches of the objects that belong to InferenceServices, one stream per kind and namespace.

kopf watches InferenceServices. Children and pods cause ten times as many events, and kopf's
overhead per event (a task and a queue per object, handler arguments, a log record) exceeds the work
that most of them need. So these streams are read directly, starting where the first listing ended;
a broken stream continues from its last event.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from inference_operator.errors import ApiError, ApiFailure
from inference_operator.kubernetes.client import ApiClient
from inference_operator.objects import Json

logger = logging.getLogger(__name__)
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A stream that ends sooner than this without an event counts as failed.
_SHORTEST_STREAM_SECONDS = 5.0

Observe = Callable[[str, str | None, Json], None]
Relist = Callable[[str, str], Awaitable[str]]


class Watch:
    """Watches the objects of one kind, in one namespace or in all (`""`).

    Args:
        client: The API server.
        target: Kind and namespace of the objects.
        version: Resource version from which to continue; empty to list everything first.
        observe: Called with the kind, change (ADDED, MODIFIED or DELETED) and body of every event.
        relist: Lists a kind in a namespace again; returns the version from which to continue.

    Attributes:
        kind: Kind of the objects.
        heard_at: When the API server last sent something, on the monotonic clock.
        restarts: How often the stream ended for a reason other than the API server's time limit.
    """

    def __init__(
        self,
        client: ApiClient,
        target: tuple[str, str],
        version: str,
        observe: Observe,
        relist: Relist,
    ) -> None:
        self._client = client
        self.kind, self._namespace = target
        self._version = version
        self._observe = observe
        self._relist = relist
        self._pause = FIRST_PAUSE_SECONDS
        self.heard_at = time.monotonic()
        self.restarts = 0

    async def run(self) -> None:
        """Observe events forever."""
        while True:
            started = time.monotonic()
            try:
                if not self._version:
                    self._version = await self._relist(self.kind, self._namespace)
                    self.heard_at = time.monotonic()
                await self._read()
                if time.monotonic() - started > _SHORTEST_STREAM_SECONDS:
                    continue
            except ApiError as error:
                if error.failure is ApiFailure.EXPIRED:
                    # The changes since that version are no longer available.
                    self._version = ""
                logger.warning("restarting the watch of every %s: %s", self.kind, error)
            except Exception:
                logger.exception("the watch of every %s failed unexpectedly", self.kind)
            self.restarts += 1
            await asyncio.sleep(self._pause * random.uniform(0.8, 1.2))  # noqa: S311
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)

    async def _read(self) -> None:
        events = self._client.watch(self.kind, self._namespace, self._version)
        async with contextlib.aclosing(events):
            async for event in events:
                self._pause, self.heard_at = FIRST_PAUSE_SECONDS, time.monotonic()
                if event["type"] != "BOOKMARK":
                    self._note(event)
                self._version = event["object"]["metadata"]["resourceVersion"]

    def _note(self, event: dict[str, Any]) -> None:
        try:
            self._observe(self.kind, event["type"], event["object"])
        except Exception:
            # A bug triggered by one object must not hide the others; the resync reads it again.
            logger.exception("an event of a %s could not be processed", self.kind)
