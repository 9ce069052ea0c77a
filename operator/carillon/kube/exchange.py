"""One request and its answer: the gate, the bounded pool, obedience to 429, and an error that says what is known.

Every write but the Lease's own asks the gate twice: before it queues, and when it is about to be put on the wire. It
must never be possible to write around it, so nothing outside this module makes a request.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson

from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.transport import NETWORK_ERRORS, Gate, Transport

RequestObserver = Callable[[str, str, int, float], None]
"""Called after each request with its verb, the resource's plural, the HTTP status (0: unreachable) and seconds."""

Query = dict[str, str]

JSON = "application/json"
THROTTLED_RETRIES = 5
LONGEST_RETRY_AFTER_SECONDS = 30.0
LONGEST_WAIT_OF_A_WRITE_SECONDS = 2.0
"""So long a write may be put off by 429s in all: what it was decided from may not hold any more."""
_JSON_HEADERS = {"Accept": JSON, "Content-Type": JSON}


class Exchange:
    """Sends requests over a transport; at most `max_in_flight` at a time, watches and the Lease's not counted."""

    def __init__(
        self,
        transport: Transport,
        *,
        gate: Gate | None,
        observer: RequestObserver | None,
        max_in_flight: int,
        request_timeout_seconds: float,
    ) -> None:
        self.transport = transport
        self.gate = gate
        self.request_timeout_seconds = request_timeout_seconds
        self._observer = observer
        self._in_flight = asyncio.Semaphore(max_in_flight)
        self._writes = 0
        self._timeout = aiohttp.ClientTimeout(total=request_timeout_seconds)

    async def fetch(
        self,
        verb: str,
        what: str,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        headers: dict[str, str] | None = None,
        body: object = None,
        lease_seconds: float | None = None,
    ) -> bytes:
        """Send a request and return the body of its answer. Raises ApiError, Unreachable or WritesRefused.

        A 429 is obeyed up to five times, by a write too, for the server did not look at the request; a write that the
        gate lets pass is not kept for longer than two seconds, but decided anew. All other failures are the caller's.
        The place in the pool is kept meanwhile, so that a throttled pool slows down as a whole. A request is given up
        `request_timeout_seconds` after it left the queue. With `lease_seconds` it is one of the Lease's own: it passes
        by the gate and the pool, is given up after that long, and is not tried again.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        headers = headers or _JSON_HEADERS
        data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        if lease_seconds is not None:
            timeout = aiohttp.ClientTimeout(total=lease_seconds)
            return await self._attempts(verb, what, method, target, headers, data, timeout, None, retries=0)
        gate = None if method == "GET" else self.gate
        if gate is not None:
            gate.check()
        async with self._in_flight:
            if gate is not None:
                self._writes += 1
            try:
                return await self._attempts(
                    verb, what, method, target, headers, data, self._timeout, gate, THROTTLED_RETRIES
                )
            finally:
                if gate is not None:
                    self._writes -= 1

    async def until_written(self, seconds: float) -> None:
        """Wait until no write that passed the gate is under way, or for so long."""
        until = time.monotonic() + seconds
        while self._writes and time.monotonic() < until:  # noqa: ASYNC110  (a few of them, at the end of a process)
            await asyncio.sleep(0.005)

    async def fetch_object(
        self,
        verb: str,
        what: str,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        headers: dict[str, str] | None = None,
        body: object = None,
        lease_seconds: float | None = None,
    ) -> dict[str, Any]:
        """`fetch`, for an answer that is a JSON object; one that is not (a proxy's page, say) is Unreachable."""
        payload = await self.fetch(
            verb, what, method, path, query, headers=headers, body=body, lease_seconds=lease_seconds
        )
        try:
            answer: dict[str, Any] = orjson.loads(payload)
        except orjson.JSONDecodeError as problem:
            raise Unreachable(f"{verb} {what}: the answer is not JSON: {problem}") from problem
        return answer

    async def stream(
        self, what: str, path: str, query: Query, *, headers: dict[str, str], silence_seconds: float | None
    ) -> aiohttp.ClientResponse:
        """Open a watch, or a log that goes on; the caller reads and closes the answer.

        Raises ApiError or Unreachable; so does reading it, after `silence_seconds` without a byte.
        """
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self.request_timeout_seconds, sock_read=silence_seconds
        )
        generation = self.transport.generation
        started = time.perf_counter()
        response = None
        try:
            target = f"{path}?{urlencode(query)}"
            response = await self.transport.request("GET", target, headers=headers, timeout=timeout)
            self._observe("watch", what, response.status, started)
            if response.status < 400:
                return response
            async with response:
                payload = await response.read()
        except NETWORK_ERRORS as problem:
            if response is None:
                self._observe("watch", what, 0, started)
            await self._after_network_error(problem, generation)
            raise unreachable("watch", what, problem) from problem
        if response.status == 401:
            await self.transport.renew(generation)
        raise ApiError.from_answer(response.status, payload, response.headers)

    async def _attempts(
        self,
        verb: str,
        what: str,
        method: str,
        target: str,
        headers: dict[str, str],
        data: bytes | None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  (aiohttp's own)
        gate: Gate | None,
        retries: int,
    ) -> bytes:
        renewed = False
        throttled, waited = 0, 0.0
        while True:
            generation = self.transport.generation
            started = time.perf_counter()
            try:
                response = await self.transport.request(
                    method, target, headers=headers, data=data, timeout=timeout, gate=gate
                )
                async with response:
                    payload = await response.read()
            except NETWORK_ERRORS as problem:
                self._observe(verb, what, 0, started)
                await self._after_network_error(problem, generation)
                raise unreachable(verb, what, problem) from problem
            status = response.status
            self._observe(verb, what, status, started)
            if status < 300:
                return payload
            error = ApiError.from_answer(status, payload, response.headers)
            if status == 401 and not renewed and await self.transport.renew(generation):
                renewed = True
                continue
            delay = 1.0 if error.retry_after_seconds is None else error.retry_after_seconds
            if not error.throttled or throttled == retries or delay > LONGEST_RETRY_AFTER_SECONDS:
                raise error
            delay *= random.uniform(1.0, 1.5)
            waited += delay
            if gate is not None and waited > LONGEST_WAIT_OF_A_WRITE_SECONDS:
                raise error
            throttled += 1
            await asyncio.sleep(delay)

    async def _after_network_error(self, problem: BaseException, generation: int) -> None:
        # A certificate that is not trusted (any more): the CA file may have been rotated since it was read.
        if isinstance(problem, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            await self.transport.renew(generation)

    def _observe(self, verb: str, what: str, status: int, started: float) -> None:
        if self._observer is not None:
            self._observer(verb, what, status, time.perf_counter() - started)


def unreachable(verb: str, what: str, problem: BaseException) -> Unreachable:
    """Say what was tried and what the network answered; a bare TimeoutError says nothing by itself."""
    return Unreachable(f"{verb} {what}: {str(problem) or type(problem).__name__}")
