"""A proxy on loopback between the operator and the API server that does what networks do.

Faults are given as functions of what passes, so that a test says exactly which request or which
watch event is hit. Runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

Event = dict[str, Any]
_HOP = {"host", "transfer-encoding", "connection", "content-length", "content-encoding"}


@dataclass
class Faults:
    """What is to go wrong; nothing as long as all are None.

    `lose_request` says for a method and path that the request never arrives, `lose_answer` that it
    is carried out and its answer lost; `refuse` gives the status to answer instead of asking the
    API server, 0 for none; `drop_event` says that a watch event is swallowed, `expire` for the path
    of a watch that it is told that it is too old. `requests` is what has come to the proxy, and
    `cut_watches` breaks those that are under way.
    """

    lose_request: Callable[[str, str], bool] | None = None
    lose_answer: Callable[[str, str], bool] | None = None
    refuse: Callable[[str, str], int] | None = None
    drop_event: Callable[[Event], bool] | None = None
    expire: Callable[[str], bool] | None = None
    cut_watches: Callable[[], None] = lambda: None
    requests: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def fault_proxy(server: str, authority: str, faults: Faults) -> Iterator[str]:
    """Yields the proxy's address; `authority` is the API server's CA as PEM."""
    proxy = _Proxy(server, authority, faults)
    thread = threading.Thread(target=lambda: asyncio.run(proxy.run()))
    thread.start()
    try:
        assert proxy.ready.wait(20), "the proxy did not start"
        yield proxy.address
    finally:
        proxy.stop()
        thread.join(20)


class _Proxy:
    def __init__(self, server: str, authority: str, faults: Faults) -> None:
        self.address = ""
        self.ready = threading.Event()
        self._server, self._authority, self._faults = server, authority, faults
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        self._stopped = asyncio.Event()
        self._watches: set[asyncio.WriteTransport] = set()
        faults.cut_watches = self._cut_watches

    def _cut_watches(self) -> None:
        if self._loop is not None:
            for one in list(self._watches):
                self._loop.call_soon_threadsafe(one.abort)

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        context = ssl.create_default_context(cadata=self._authority)
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            application = web.Application(client_max_size=16 << 20)
            application.router.add_route("*", "/{path:.*}", self._forward)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self.ready.set()
            await self._stopped.wait()
            await runner.cleanup()
        # TLS connections need a moment of the loop to close (aiohttp, "Graceful Shutdown").
        await asyncio.sleep(0.5)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        faults = self._faults
        faults.requests.append((request.method, request.path))
        status = faults.refuse(request.method, request.path) if faults.refuse else 0
        if status:
            refusal = {"kind": "Status", "message": "refused by the test", "code": status}
            return web.json_response(refusal, status=status, headers={"Retry-After": "1"})
        if faults.lose_request and faults.lose_request(request.method, request.path):
            return _hang_up(request)
        if "watch" in request.query and faults.expire and faults.expire(request.path):
            too_old = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
            return web.json_response({"type": "ERROR", "object": too_old}, dumps=_line)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        assert self._session is not None
        async with self._session.request(
            request.method,
            f"{self._server}{request.path_qs}",
            data=await request.read() or None,
            headers=headers,
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
            if "watch" in request.query:
                response = web.StreamResponse(status=answer.status, headers=kept)
                await response.prepare(request)
                assert request.transport is not None
                self._watches.add(request.transport)
                try:
                    await self._stream(answer, response)
                finally:
                    self._watches.discard(request.transport)
                return response
            body = await answer.read()
            if faults.lose_answer and faults.lose_answer(request.method, request.path):
                return _hang_up(request)
            return web.Response(body=body, status=answer.status, headers=kept)

    async def _stream(self, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        """Pass watch events on, one line each."""
        rest = b""
        async for chunk in answer.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                drop = self._faults.drop_event
                if line and not (drop and drop(json.loads(line))):
                    try:
                        await response.write(line + b"\n")
                    except (ConnectionError, aiohttp.ClientError):
                        return


def _line(event: Event) -> str:
    return json.dumps(event) + "\n"


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection; the answer goes nowhere."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
