"""Where tasks report how far they are: one HTTP call, to any replica, with the token of the pod that makes it.

    POST /progress    percent=40&message=half, or {"percent": 40, "message": "half"}

204 says that the report is taken; every other answer says in words what was found and what would be right.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable

import structlog
from aiohttp import web

from carillon.controller.callers import Callers, Refused
from carillon.controller.connections import BoundedServer
from carillon.controller.listener import Listener
from carillon.controller.metrics import Metrics
from carillon.controller.rates import Rates
from carillon.controller.reporting import NotWritten, Reporting
from carillon.engine.reports import EXAMPLE, ReportRefused, read_report

PATH = "/progress"
LONGEST_BODY = 4096
"""In bytes."""
REPORTS_A_SECOND, REPORTS_AT_ONCE = 10.0, 100
"""With one token: at most one in two seconds is written anyway."""
WRITE_SECONDS = 3.0
"""A report is taken even if it is not written in this time; it is tried on."""

log = structlog.get_logger(__name__)


class ProgressEndpoint:
    """The HTTP server for reports.

    Args:
        callers: says whose call it is.
        reporting: takes reports.
        metrics: counts answers.
        ready: None once the stores are filled and current, else what is awaited.
        rates: how often a token may come.
        address_rates: how often an address may connect.
        server: makes the server for a handler; with the bounds that hold.
    """

    def __init__(
        self,
        *,
        callers: Callers,
        reporting: Reporting,
        metrics: Metrics,
        ready: Callable[[], str | None],
        rates: Rates | None = None,
        address_rates: Rates | None = None,
        server: Callable[..., web.Server] = BoundedServer,
    ) -> None:
        self._callers = callers
        self._reporting = reporting
        self._metrics = metrics
        self._ready = ready
        self._rates = rates or Rates(per_second=REPORTS_A_SECOND, burst=REPORTS_AT_ONCE)
        self._address_rates = address_rates
        self._server = server
        self._runner: web.ServerRunner | None = None
        self._listener: Listener | None = None
        self._told = ""

    async def start(self, address: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        server = self._server(self._answer)
        self._listener = Listener(server, rates=self._address_rates)
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        await self._listener.start(address, port)

    async def stop(self) -> None:
        """Stop listening, and write what still waits."""
        if self._listener is not None:
            await self._listener.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._reporting.close()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        try:
            await self._take(request)
        except Refused as refused:
            response = web.Response(status=refused.status, text=f"{refused.words}\n")
            if refused.status == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
            elif refused.status in (429, 503):
                response.headers["Retry-After"] = "1"
            elif refused.status == 405:
                response.headers["Allow"] = "POST, PUT"
            self._say(refused)
        else:
            response = web.Response(status=204)
        self._metrics.reports.labels(str(response.status)).inc()
        response.force_close()
        return response

    async def _take(self, request: web.BaseRequest) -> None:
        if request.path != PATH:
            raise Refused(404, f"found {request.path!r}; reports go to {PATH}")
        if request.method not in ("POST", "PUT"):
            raise Refused(405, f"found {request.method}; use POST (wget: --post-data): {EXAMPLE}")
        if (awaited := self._ready()) is not None:
            raise Refused(503, f"not ready: {awaited}; try again")
        authorization = request.headers.get("Authorization", "")
        if not self._rates.allows(hashlib.sha256(authorization.encode(errors="replace")).digest()):
            raise Refused(429, f"more than {REPORTS_A_SECOND:.0f} reports a second; report again in a second")
        body = await _body(request)
        run = await self._callers.run_of(authorization, request.remote or "")
        if run.finished:
            raise Refused(409, f"JobRun {run.namespace}/{run.name} is finished ({run.phase}); its progress stays")
        try:
            report = read_report(
                content_type=request.headers.get("Content-Type", ""), body=body, query=request.query_string
            )
        except ReportRefused as refused:
            raise Refused(400, str(refused)) from refused
        first = self._reporting.accept(run, report)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(first), WRITE_SECONDS)
        except NotWritten as problem:
            raise Refused(503, f"the report cannot be recorded: {problem}") from problem

    def _say(self, refused: Refused) -> None:
        """Log what only an administrator can mend, once as long as it is the same."""
        if refused.for_administrators and self._told != refused.words:
            self._told = refused.words
            log.warning("no report is taken", why=refused.words)


async def _body(request: web.BaseRequest) -> bytes:
    body = b""
    if (request.content_length or 0) <= LONGEST_BODY:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > LONGEST_BODY:
                break
        else:
            return body
    raise Refused(413, f"the body has more than {LONGEST_BODY} bytes; {EXAMPLE}, with a message of 256 characters")
