"""Watches of what belongs to InferenceServices: children and pods, a stream for each kind.

InferenceServices themselves are watched by kopf. Its way of an event (a task and a queue for each
object, a handler's arguments, a log record) costs more than all that is done here with most of
them: that this Deployment has one more replica. So these streams are read directly, from where the
first look ended, and a stream that breaks goes on from its last event.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from typing import Any

from inference_operator.errors import ApiError
from inference_operator.reconcile import Reconciler
from inference_operator.resync import take_in, take_in_all
from inference_operator.store import CHILD_KINDS

logger = logging.getLogger(__name__)
WATCHED = (*CHILD_KINDS, "Pod")
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A stream that ends sooner than this without an event did not work.
_SOON_SECONDS = 5.0
_GONE = 410


class Watch:
    """One kind's objects, in one namespace or in all (`""`).

    Args:
        reconciler: Is told of every event.
        kind: Kind of the objects.
        namespace: Where they are.
        version: Resource version from which to go on; empty to list everything first.
    """

    def __init__(self, reconciler: Reconciler, kind: str, namespace: str, version: str) -> None:
        self._reconciler = reconciler
        self._kind = kind
        self._namespace = namespace
        self._version = version
        self._pause = FIRST_PAUSE_SECONDS

    async def run(self) -> None:
        """Take in events, for ever."""
        while True:
            begun = time.monotonic()
            try:
                if not self._version:
                    self._version = await take_in_all(self._reconciler, self._kind, self._namespace)
                await self._read()
                if time.monotonic() - begun > _SOON_SECONDS:
                    continue
            except ApiError as error:
                if error.status == _GONE:
                    # What happened since then is no longer known: everything is listed again.
                    self._version = ""
                logger.warning("the watch of every %s is begun anew: %s", self._kind, error)
            except Exception:
                logger.exception("the watch of every %s failed unexpectedly", self._kind)
            await asyncio.sleep(self._pause * random.uniform(0.8, 1.2))  # noqa: S311
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)

    async def _read(self) -> None:
        events = self._reconciler.cluster.watch(self._kind, self._namespace, self._version)
        async with contextlib.aclosing(events):
            async for event in events:
                self._pause = FIRST_PAUSE_SECONDS
                if event["type"] != "BOOKMARK":
                    self._note(event)
                self._version = event["object"]["metadata"]["resourceVersion"]

    def _note(self, event: dict[str, Any]) -> None:
        try:
            take_in(self._reconciler, event["type"], self._kind, event["object"])
        except Exception:
            # A bug that one object brings out must not hide the others; the resync comes back to
            # it.
            logger.exception("an event of a %s could not be taken in", self._kind)
