"""A proxy between one operator and the API server, which does to its traffic what networks and servers do.

Each operator process has one of its own, so that faults can meet one and spare another, and so that the log says who
wrote what, and when. The proxy holds the credentials; an operator that brings a token is let through with that.
Nothing is invented here but faults: every answer is the API server's, unless the weather says otherwise.
"""

import asyncio
import json
import random
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.chaos.certificates import Authority

_HOP_BY_HOP = {"connection", "host", "keep-alive", "transfer-encoding", "content-length", "upgrade", "te", "trailer"}
_REVIEWS = ("reviews", "tokenrequests")
_UNAUTHORIZED = 401


@dataclass
class Weather:
    """What happens to requests from now on; shares are between 0 and 1, and of all requests but as noted."""

    delay_seconds: float = 0.0
    """Each request reaches the API server so much later."""
    refused: float = 0.0
    """The share that is answered with one of `refusals`, and never reaches the API server."""
    refusals: tuple[int, ...] = (500, 503)
    retry_after_seconds: int | None = None
    cut: float = 0.0
    """The share whose answer is reset in the middle of its body."""
    lost: float = 0.0
    """The share of writes that are committed, and whose answer never comes."""
    late_bookmarks: bool = False
    """Each event of a watch is followed by a bookmark that is older than the event."""
    unknown_group: str = ""
    """Discovery knows nothing of this API group."""
    revoked: set[str] = field(default_factory=set)
    """Serial numbers of client certificates that are not taken any more; not empty: a certificate is asked for."""


@dataclass(frozen=True)
class Entry:
    """One request, as it came from the operator; times are of `time.monotonic`."""

    arrived: float
    operator: str
    method: str
    path: str
    query: str

    @property
    def writes(self) -> bool:
        """Whether it changes anything but the lease."""
        resource = self.path.rstrip("/").split("/")
        asks = self.method == "POST" and resource[-1].endswith(_REVIEWS)
        return self.method != "GET" and not asks and "leases" not in resource and "dryRun=All" not in self.query


@dataclass(frozen=True)
class Taken:
    """An operator has become the leader: the API server has said so."""

    at: float
    operator: str


@dataclass
class _Watch:
    transport: asyncio.Transport
    response: web.StreamResponse
    dead: bool = False
    kind: tuple[str, str] = ("", "")


class Proxy:
    """Listens on a port of the loopback, from `start` to `stop`."""

    def __init__(
        self, operator: str, upstream: str, credentials: ssl.SSLContext, anonymous: ssl.SSLContext, *, seed: int = 0
    ) -> None:
        """`credentials` are for those who bring no token, `anonymous` for those who do."""
        self.weather = Weather()
        self.log: list[Entry] = []
        self.taken: list[Taken] = []
        self.port = 0
        self._operator = operator
        self._upstream = upstream
        self._contexts = (credentials, anonymous)
        self._random = random.Random(seed)
        self._watches: list[_Watch] = []
        self._runner: web.ServerRunner | None = None
        self._sessions: tuple[aiohttp.ClientSession, ...] = ()

    async def start(self, authority: Authority) -> None:
        """Listen, and show a certificate of this authority; the port stays the same when it is started again."""
        self._sessions = tuple(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=context),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            )
            for context in self._contexts
        )
        # Cancelled when the operator goes away: a watch must not live on upstream.
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None, handler_cancellation=True), shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=authority.serving(), reuse_address=True)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """End every connection, and listen no more."""
        self.close_watches()
        if self._runner is not None:
            await self._runner.cleanup()
        for session in self._sessions:
            await session.close()

    # What is done to watches that are open now -------------------------------------------------------------------

    def close_watches(self) -> None:
        """Break every watch off."""
        for watch in self._watches:
            watch.transport.abort()

    def silence_watches(self) -> None:
        """Every watch says nothing any more, not even that it has ended, as half-open connections do."""
        for watch in self._watches:
            watch.dead = True

    async def expire_watches(self) -> None:
        """Every watch ends with 410 Gone."""
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
        line = json.dumps({"type": "ERROR", "object": {**status, "message": "too old resource version"}})
        for watch in list(self._watches):
            if not watch.transport.is_closing():
                await watch.response.write(line.encode() + b"\n")
                watch.transport.close()

    # One request ---------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        weather = self.weather
        entry = Entry(time.monotonic(), self._operator, request.method, request.path, request.query_string)
        self.log.append(entry)
        body = await request.read()
        if weather.revoked and (refusal := self._unknown(request, weather)):
            return refusal
        if weather.unknown_group and request.path.startswith(f"/apis/{weather.unknown_group}"):
            return _status(404, "the server could not find the requested resource")
        if self._happens(weather.refused):
            return self._refuse(weather)
        if weather.delay_seconds:
            await asyncio.sleep(weather.delay_seconds)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        session = self._sessions["Authorization" in headers]
        try:
            async with session.request(
                request.method, self._upstream + request.raw_path, headers=headers, data=body or None
            ) as answer:
                if "watch" in request.query:
                    return await self._pass_watch(request, answer)
                return await self._pass(request, entry, answer, body)
        except aiohttp.ClientError:
            # The API server is away: so are we, for a proxy that answers 502 would be another fault.
            _abort(request)
            return web.Response(status=502)

    async def _pass(
        self, request: web.BaseRequest, entry: Entry, answer: aiohttp.ClientResponse, body: bytes
    ) -> web.StreamResponse:
        payload = await answer.read()
        if answer.status < 300 and body and "/leases" in entry.path and _takes(body):
            self.taken.append(Taken(time.monotonic(), self._operator))
        if request.method != "GET" and self._happens(self.weather.lost):
            _abort(request)
        if self._happens(self.weather.cut):
            response = web.StreamResponse(status=answer.status, headers=_kept(answer))
            response.content_length = len(payload) + 1
            await response.prepare(request)
            await response.write(payload[: len(payload) // 2])
            _abort(request)
            return response
        return web.Response(status=answer.status, headers=_kept(answer), body=payload)

    async def _pass_watch(self, request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=_kept(answer))
        await response.prepare(request)
        assert request.transport is not None
        watch = _Watch(request.transport, response)
        self._watches.append(watch)
        began, rest = request.query.get("resourceVersion", ""), b""
        try:
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if not watch.dead:
                        await response.write(line + b"\n" + self._bookmark(line, began))
                    if self._happens(self.weather.cut / 10):
                        watch.transport.abort()
            if watch.dead:
                await asyncio.Event().wait()  # until the operator gives it up
        except ConnectionResetError:
            pass
        finally:
            self._watches.remove(watch)
        return response

    def _bookmark(self, line: bytes, began: str) -> bytes:
        if not self.weather.late_bookmarks or not began.isdigit() or began == "0" or not line.startswith(b'{"type"'):
            return b""
        item = json.loads(line)["object"]
        bookmark = {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": {"resourceVersion": began}}
        return json.dumps({"type": "BOOKMARK", "object": bookmark}).encode() + b"\n"

    def _unknown(self, request: web.BaseRequest, weather: Weather) -> web.Response | None:
        """Ask for a client's certificate, as the API server does: a wrong one is 401, and no broken handshake."""
        shown = request.get_extra_info("peercert") or {}
        if shown.get("serialNumber", "") not in {"", *weather.revoked}:
            return None
        return _status(_UNAUTHORIZED, "Unauthorized")

    def _refuse(self, weather: Weather) -> web.Response:
        answer = _status(self._random.choice(weather.refusals), "the tests refuse this request")
        if weather.retry_after_seconds is not None:
            answer.headers["Retry-After"] = str(weather.retry_after_seconds)
        return answer

    def _happens(self, share: float) -> bool:
        return bool(share) and self._random.random() < share


def strays(entries: list[Entry], taken: list[Taken]) -> list[Entry]:
    """Which writes left an operator after another one had become the leader (or before anyone had)."""
    terms = sorted(taken, key=lambda each: each.at)
    found = []
    for entry in sorted((each for each in entries if each.writes), key=lambda each: each.arrived):
        leader = next((term.operator for term in reversed(terms) if term.at <= entry.arrived), "")
        if leader != entry.operator:
            found.append(entry)
    return found


def _takes(body: bytes) -> bool:
    """Whether a write of the Lease names a holder, which renewals and handing back do not."""
    document: dict[str, Any] = json.loads(body)
    return bool((document.get("spec") or {}).get("holderIdentity"))


def _kept(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}


def _status(code: int, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return web.json_response(body, status=code)


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.abort()
