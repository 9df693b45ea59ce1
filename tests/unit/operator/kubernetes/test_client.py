"""Watching over a real connection: lines in pieces, silence, refusals, a rejected credential."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import kopf
import pytest
from aiohttp import web

from inference_operator.errors import ApiError, ApiUnavailableError, NotLeadingError
from inference_operator.kubernetes import client as module
from inference_operator.kubernetes.client import ApiClient

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
EVENTS = [
    {"type": "ADDED", "object": {"metadata": {"resourceVersion": "6"}, "note": "x" * 200_000}},
    {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}},
]


def watched(handler: Handler, watches: int = 1) -> tuple[list[dict[str, Any]], list[str]]:
    """The events of so many watches one after the other, and the tokens that were shown."""
    tokens: list[str] = []

    async def noted(request: web.Request) -> web.StreamResponse:
        tokens.append(request.headers["Authorization"])
        return await handler(request)

    async def scenario() -> list[dict[str, Any]]:
        application = web.Application()
        application.router.add_get("/{path:.*}", noted)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        logins = iter(range(1, 9))

        def login() -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(server=address, token=f"token-{next(logins)}")

        found = []
        try:
            async with asyncio.timeout(20), ApiClient(login) as client:
                for number in range(watches):
                    try:
                        found += [e async for e in client.watch("Pod", "vision", "5")]
                    except ApiError:
                        if number == watches - 1:
                            raise
        finally:
            await runner.cleanup()
        return found

    return asyncio.run(scenario()), tokens


async def stream(request: web.Request, *parts: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for part in parts:
        await response.write(part)
        await asyncio.sleep(0)
    return response


def lines(events: list[dict[str, Any]] = EVENTS) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def test_a_watch_asks_for_what_is_ours() -> None:
    asked: dict[str, str] = {}

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.update(request.query, path=request.path)
        return await stream(request, lines())

    found, _ = watched(handler)
    assert found == EVENTS
    assert asked.pop("path") == "/api/v1/namespaces/vision/pods"
    assert 200 <= int(asked.pop("timeoutSeconds")) <= 400
    assert asked == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "5",
        "labelSelector": "app.kubernetes.io/managed-by=inference-operator",
    }


@pytest.mark.parametrize(("events", "size"), [(EVENTS[1:], 1), (EVENTS, 1000), (EVENTS, 65_536)])
def test_events_come_in_pieces(events: list[dict[str, Any]], size: int) -> None:
    text = lines(events)

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream(request, *(text[i : i + size] for i in range(0, len(text), size)))

    found, _ = watched(handler)
    assert found == events


def test_half_an_event_is_none() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream(request, lines(), b'{"type": "ADDED", "obj')

    found, _ = watched(handler)
    assert found == EVENTS


def test_silence_ends_a_watch_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WATCH_TIMEOUT", aiohttp.ClientTimeout(total=None, sock_read=0.1))

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await stream(request, lines())
        await asyncio.sleep(10)
        return response

    found, _ = watched(handler)
    assert found == EVENTS


def test_a_broken_connection_is_an_error() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = await stream(request, lines())
        assert request.transport is not None
        request.transport.abort()
        return response

    with pytest.raises(ApiUnavailableError):
        watched(handler)


def test_a_refusal_is_raised_with_its_words() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "pods is forbidden"}, status=403)

    with pytest.raises(ApiError, match="pods is forbidden"):
        watched(handler)


def test_a_rejected_credential_is_renewed() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] == "Bearer token-1":
            return web.json_response({"message": "expired"}, status=401)
        return await stream(request, lines())

    found, tokens = watched(handler, watches=2)
    assert found == EVENTS
    assert tokens == ["Bearer token-1", "Bearer token-2"]


SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "a", "namespace": "vision"},
    "spec": {},
}
WRITES: dict[str, Callable[[ApiClient], Awaitable[Any]]] = {
    "apply": lambda client: client.apply(SERVICE, "manager", force=True),
    "delete": lambda client: client.delete("Service", "vision", "a", "uid"),
    "status": lambda client: client.patch_status("vision", "a", "uid", {"url": "x"}),
    "event": lambda client: client.create("Event", "vision", {"metadata": {"name": "e"}}),
}


@pytest.mark.parametrize("write", WRITES)
def test_who_may_not_write_sends_nothing_but_its_candidature(write: str) -> None:
    """A replica that was frozen may have been replaced; only the Lease decides."""
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path}")
        return web.json_response({"metadata": {"name": "x"}})

    async def scenario() -> None:
        async with serving(handler) as client:
            client.may_write = lambda: False
            with pytest.raises(NotLeadingError):
                await WRITES[write](client)
            await client.get("Service", "vision", "a")
            await client.create("Lease", "system", {"metadata": {"name": "l"}})
            await client.replace("Lease", "system", {"metadata": {"name": "l"}})
            client.may_write = lambda: True
            await WRITES[write](client)

    asyncio.run(scenario())
    leases = "/apis/coordination.k8s.io/v1/namespaces/system/leases"
    assert asked[:3] == [
        "GET /api/v1/namespaces/vision/services/a",
        f"POST {leases}",
        f"PUT {leases}/l",
    ]
    assert len(asked) == 4


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[ApiClient]:
    """A client of a server on loopback."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with ApiClient(lambda: kopf.ConnectionInfo(server=address, token="t")) as client:
            yield client
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("write", ["delete", "status"])
@pytest.mark.parametrize(("status", "done"), [(404, True), (409, False)])
def test_a_conflict_is_no_end_of_the_matter(write: str, status: int, done: bool) -> None:
    """It was not carried out; only of what is gone there is nothing left to do."""

    async def handler(_: web.Request) -> web.Response:
        return web.json_response({"message": "no", "code": status}, status=status)

    async def scenario() -> None:
        async with serving(handler) as client:
            if done:
                assert await WRITES[write](client) is None
            else:
                with pytest.raises(ApiError):
                    await WRITES[write](client)

    asyncio.run(scenario())


def test_a_write_that_was_frozen_on_its_way_out_is_not_sent() -> None:
    """It was allowed when it was begun, and no longer as its bytes are written."""
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path}")
        return web.json_response({"metadata": {"name": "x"}})

    async def scenario() -> None:
        answers = iter([True, False])
        async with serving(handler) as client:
            client.may_write = lambda: next(answers)
            with pytest.raises(ApiError):
                await WRITES["apply"](client)
            client.may_write = lambda: True
            await WRITES["apply"](client)

    asyncio.run(scenario())
    assert asked == ["PATCH /api/v1/namespaces/vision/services/a"]
