"""A small HTTP server that answers as scripted, for what a real API server does only on a bad day."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class FaultServer:
    """Answers requests in the order of the script, and remembers them; a request beyond the script waits for ever."""

    script: deque[Answer] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def then(self, *answers: Answer) -> None:
        self.script.extend(answers)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        payload = await request.read()
        body = orjson.loads(payload) if payload else None
        self.seen.append(Seen(request.method, request.path, dict(request.query), dict(request.headers), body))
        answer = self.script.popleft() if self.script else hanging(self.stopped)
        return await answer(request)

    async def until_seen(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.seen) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


def ok(body: Any, status: int = 200, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)

    return answer


def text(body: str, status: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body)

    return answer


def refusal(code: int, reason: str, message: str = "", details: Any = None, **headers: str) -> Answer:
    return ok(status(code, reason, message, details), code, **headers)


def status(code: int, reason: str, message: str = "", details: Any = None) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details or {},
    }


def lost() -> Answer:
    """The request arrives, and the connection breaks before the answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return answer


def hanging(until: asyncio.Event) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        await until.wait()
        return web.Response(status=503)

    return answer


def page(*items: dict[str, Any], version: str, more: str = "") -> Answer:
    return ok({"metadata": {"resourceVersion": version, "continue": more}, "items": list(items)})


def stream(*events: tuple[str, dict[str, Any]], end: str = "closed", tail: bytes = b"") -> Answer:
    """A watch that says `events`, then the bytes of `tail`, and is then `closed`, `reset` or `silent`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for kind, item in events:
            await response.write(orjson.dumps({"type": kind, "object": item}) + b"\n")
        if tail:
            await response.write(tail)
        if end == "reset":
            await asyncio.sleep(0.02)  # so that what was said is read before the reset discards it
            assert request.transport is not None
            request.transport.abort()
        elif end == "silent":
            await asyncio.sleep(3600)
        return response

    return answer


def run(name: str, version: int, *, uid: str = "", namespace: str = "files", **more: Any) -> dict[str, Any]:
    """A JobRun as the server sends it."""
    return {
        "apiVersion": "carillon.dev/v1alpha1",
        "kind": "JobRun",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": uid or f"uid-of-{name}",
            "resourceVersion": str(version),
            "managedFields": [{"manager": "kubectl"}],
        },
        **more,
    }


def bookmark(version: int) -> tuple[str, dict[str, Any]]:
    return "BOOKMARK", {"kind": "JobRun", "metadata": {"resourceVersion": str(version)}}
