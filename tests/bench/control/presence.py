"""Notes when each child appears, from watches of metadata only.

The same watches run for every contestant, so what they cost the API server they cost all.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self

from bench.control.api import Api
from bench.control.objects import KINDS, NAMESPACE


class Presence:
    """Watches the children's kinds; an async context manager.

    Args:
        api: Where they are.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self.seen: dict[tuple[str, str], float] = {}
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        versions = [await self._api.version(kind, NAMESPACE) for kind in KINDS]
        self._tasks = [
            asyncio.create_task(self._watch(kind, version))
            for kind, version in zip(KINDS, versions, strict=True)
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks)

    async def _watch(self, kind: str, version: str) -> None:
        async for event in self._api.watch(kind, NAMESPACE, version, whole=False):
            key = (kind, event["object"]["metadata"]["name"])
            if event["type"] == "DELETED":
                self.seen.pop(key, None)
            elif key not in self.seen:
                self.seen[key] = time.monotonic()
                self._news.set()

    async def all_of(self, names: set[str], seconds: float) -> None:
        """Wait until every kind exists under every name.

        Raises:
            TimeoutError: Some do not; the message says how many.
        """
        deadline = time.monotonic() + seconds
        wanted = {(kind, name) for kind in KINDS for name in names}
        while missing := wanted - self.seen.keys():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{len(missing)} of {len(wanted)} children are not there")
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(left, 1.0))

    def complete(self, name: str) -> float:
        """When the last child of this name appeared.

        Raises:
            KeyError: One has not.
        """
        return max(self.seen[kind, name] for kind in KINDS)
