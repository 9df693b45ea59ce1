"""A proxy between one operator and the API server: it records what passes and injects one fault.

Every write, every event of a watch and every list gets a name (`Mark`) that is the same in each
run of a scenario, so that a run without a fault names the points at which faults can be injected.
A fault is planned per namespace; namespaces do not disturb each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import aiohttp
from aiohttp import web

Json = dict[str, Any]
_PATH = re.compile(
    r"/(?:api|apis/[^/]+)/[^/]+(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[a-z]+))?"
)
_HOP = {"host", "transfer-encoding", "connection", "content-length", "content-encoding"}
_VERBS = {"POST": "create", "PUT": "replace", "DELETE": "delete", "PATCH": "patch"}
LATE_SECONDS = 2.0


class Does(StrEnum):
    """What a fault does."""

    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    ANSWER_409 = "answer 409"
    ANSWER_429 = "answer 429"
    ANSWER_500 = "answer 500"
    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"
    DROP = "drop"
    DELAY = "delay"
    CUT_WATCH = "cut the watch"
    STALE = "serve stale"


TO_WRITES = (Does.ANSWER_409, Does.ANSWER_429, Does.ANSWER_500, Does.CUT_BEFORE, Does.CUT_AFTER)
TO_EVENTS = (Does.DROP, Does.DELAY, Does.CUT_WATCH)
CRASHES = (Does.CRASH_BEFORE, Does.CRASH_AFTER)
_ANSWERS = {Does.ANSWER_409: 409, Does.ANSWER_429: 429, Does.ANSWER_500: 500}


Thing = tuple[str, str, str]
"""Namespace, resource and name of an object."""


@dataclass(frozen=True, order=True)
class Mark:
    """The `nth` time that `what` happens to objects of `resource`.

    `kind` is write, event or list. A write is told by its verb and field manager or reason, an
    event by its type; a list has neither, and no count.
    """

    kind: str
    resource: str
    what: str = ""
    nth: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.resource} {self.what} #{self.nth}"


@dataclass
class Fault:
    """What happens at `mark`, once.

    `old` is the list that a stale one is answered with: of whole objects, and of metadata only.
    """

    does: Does
    mark: Mark
    fired: bool = False
    old: tuple[Json, Json] = ({}, {})


@dataclass(frozen=True)
class Write:
    """A write that came to the proxy.

    `at` is the loop's time when it came; `status` the API server's answer, 0 when it was not
    asked; `idle` says that the write changed nothing, as far as is known of the object.
    """

    at: float
    namespace: str
    mark: Mark
    name: str
    status: int
    idle: bool = False


@dataclass
class Space:
    """What the proxy knows of one namespace since `begin`."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    marks: list[Mark] = field(default_factory=list)
    fault: Fault | None = None
    late_until: dict[str, float] = field(default_factory=dict)

    def mark(self, kind: str, resource: str, what: str) -> Mark:
        """Count one more of these."""
        self.counts[kind, resource, what] += 1
        mark = Mark(kind, resource, what, self.counts[kind, resource, what])
        self.marks.append(mark)
        return mark

    def due(self, mark: Mark, among: tuple[Does, ...]) -> Fault | None:
        """The fault that is to happen here, which is thereby used up."""
        fault = self.fault
        if fault is None or fault.fired or fault.mark != mark or fault.does not in among:
            return None
        fault.fired = True
        return fault


class Proxy:
    """Listens on loopback; an async context manager.

    Args:
        server: Address of the API server.
        authority: Its certificate authority, as PEM.
        one_by_one: Pass writes on one after another, so that a crash finds an exact number of
            them carried out.
        versions: What is known of all objects' versions; shared by proxies of one cluster.
    """

    def __init__(
        self,
        server: str,
        authority: str,
        *,
        one_by_one: bool = False,
        versions: dict[Thing, str] | None = None,
    ) -> None:
        self._server = server
        self._context = ssl.create_default_context(cadata=authority)
        self._turn = asyncio.Lock() if one_by_one else None
        self.spaces: dict[str, Space] = {}
        self.writes: list[Write] = []
        self.requests = 0
        self.crash: Callable[[], Awaitable[None]] | None = None
        self._versions = {} if versions is None else versions
        self._lives = 0
        self._streams: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Proxy:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._context, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=True,
        )
        application = web.Application(client_max_size=16 << 20)
        application.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.cancel()
        await self._runner.cleanup()
        await self._session.close()
        # TLS connections need a moment of the loop to close (aiohttp, "Graceful Shutdown").
        await asyncio.sleep(0.25)

    def begin(self, namespace: str, fault: Fault | None = None) -> Space:
        """Count the marks of a namespace from here, and plan a fault."""
        self.spaces[namespace] = Space(fault=fault)
        return self.spaces[namespace]

    def reborn(self) -> None:
        """Another operator process comes: whatever the last one still had to say is dropped."""
        self._lives += 1

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        match = _PATH.fullmatch(request.path)
        if match is None:
            return await self._forward(request)
        namespace, resource = match["namespace"] or "", match["resource"]
        space = self.spaces.setdefault(namespace, Space())
        try:
            if request.method != "GET":
                life = self._lives
                async with self._turn or contextlib.nullcontext():
                    answer = await self._write(request, match, space, life)
            elif "watch" in request.query:
                answer = await self._watch(request, space, resource)
            elif match["name"] is None:
                answer = await self._list(request, space, resource)
            else:
                answer = await self._forward(request)
        except (aiohttp.ClientError, ConnectionError):
            return _hang_up(request)
        return answer

    async def _write(
        self, request: web.Request, match: re.Match[str], space: Space, life: int
    ) -> web.StreamResponse:
        body, at = await request.read(), asyncio.get_running_loop().time()
        if life != self._lives:
            return _hang_up(request)
        resource = match["resource"] + (f"/{match['part']}" if match["part"] else "")
        mark = space.mark("write", resource, _what(request, match["resource"], body))
        thing = (match["namespace"] or "", match["resource"], match["name"] or "")
        # Before it is sent: the watch may be faster than the answer.
        before = self._versions.get(thing)
        fault = space.due(mark, (*CRASHES, *TO_WRITES))
        does = fault.does if fault else None
        status, answer = 0, web.Response()
        if does in _ANSWERS:
            answer = _refusal(_ANSWERS[does])
        elif does not in {Does.CRASH_BEFORE, Does.CUT_BEFORE}:
            answer = await self._forward(request)
            status = answer.status
        idle = False
        if status in {200, 201} and request.method in {"PATCH", "PUT"}:
            idle = before is not None and before == _version(answer)
            self._versions[thing] = _version(answer)
        self.writes.append(Write(at, thing[0], mark, thing[2], status, idle))
        if does in CRASHES:
            assert self.crash is not None
            await self.crash()
        if does in {*CRASHES, Does.CUT_BEFORE, Does.CUT_AFTER}:
            return _hang_up(request)
        return answer

    async def _list(self, request: web.Request, space: Space, resource: str) -> web.StreamResponse:
        space.marks.append(Mark("list", resource))
        fault, now = space.fault, asyncio.get_running_loop().time()
        if fault and fault.does is Does.STALE and fault.mark.resource == resource:
            if not fault.fired:
                fault.fired = True
                space.late_until[resource] = now + LATE_SECONDS
            # Old for a while: whoever asks again at once is answered by the same old server.
            if now < space.late_until.get(resource, 0.0):
                whole = "PartialObjectMetadata" not in request.headers.get("Accept", "")
                return web.json_response(fault.old[0 if whole else 1])
        return await self._forward(request)

    async def _forward(self, request: web.Request) -> web.Response:
        async with self._upstream(request) as answer:
            body = await answer.read()
            return web.Response(body=body, status=answer.status, headers=_kept(answer.headers))

    @contextlib.asynccontextmanager
    async def _upstream(self, request: web.Request) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        async with self._session.request(
            request.method,
            f"{self._server}{request.path_qs}",
            data=await request.read() or None,
            headers=headers,
        ) as answer:
            yield answer

    async def _watch(self, request: web.Request, space: Space, resource: str) -> web.StreamResponse:
        stream = asyncio.current_task()
        assert stream is not None
        self._streams.add(stream)
        stream.add_done_callback(self._streams.discard)
        await _until(space.late_until.get(resource, 0.0))
        async with self._upstream(request) as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            await response.prepare(request)
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    if not await self._event(response, resource, line):
                        return _hang_up(request)
            if rest:
                await response.write(rest)
        return response

    async def _event(self, response: web.StreamResponse, resource: str, line: bytes) -> bool:
        """Pass one event on, or do to it what is planned; False ends the stream."""
        event = json.loads(line)
        metadata = event["object"].get("metadata", {})
        namespace = metadata.get("namespace", "")
        if event["type"] not in {"ADDED", "MODIFIED", "DELETED"} or not namespace:
            await response.write(line + b"\n")
            return True
        thing = (namespace, resource, metadata["name"])
        self._versions[thing] = metadata.get("resourceVersion", "")
        space = self.spaces.setdefault(namespace, Space())
        mark = space.mark("event", resource, event["type"])
        fault = space.due(mark, (*TO_EVENTS, Does.CRASH_BEFORE))
        if fault is None:
            await response.write(line + b"\n")
            return True
        if fault.does is Does.CRASH_BEFORE:
            assert self.crash is not None
            await self.crash()
            return False
        if fault.does is Does.CUT_WATCH:
            # In the middle of the line, as connections break.
            await response.write(line[: len(line) // 2])
            return False
        if fault.does is Does.DELAY:
            # All that comes after it in this stream is late too, as it would be.
            await asyncio.sleep(LATE_SECONDS)
            await response.write(line + b"\n")
        return True


def _what(request: web.Request, resource: str, body: bytes) -> str:
    """What tells a write from others to the same resource."""
    verb = _VERBS.get(request.method, request.method)
    if "apply-patch" in request.headers.get("Content-Type", ""):
        verb = "apply"
    if resource == "events" and body:
        return f"{verb} {json.loads(body).get('reason', '')}"
    manager = request.query.get("fieldManager", "")
    return f"{verb} {manager.removeprefix('inference-operator')}".strip(" -")


def _version(answer: web.Response) -> str:
    """Version of the object that a write was answered with."""
    assert isinstance(answer.body, bytes)
    return str(json.loads(answer.body).get("metadata", {}).get("resourceVersion", ""))


def _kept(headers: Any) -> dict[str, str]:
    return {k: v for k, v in headers.items() if k.lower() not in _HOP}


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))


def _refusal(status: int) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "refused by the test",
        "code": status,
    }
    headers = {"Retry-After": "1"} if status == 429 else {}
    return web.json_response(body, status=status, headers=headers)


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection; the answer goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
