"""`/livez`, `/readyz` and `/metrics` for the kubelet and Prometheus.

A connection is for one request, and they are bounded, in all and for each address: who floods the port takes no more.
"""

import time
from collections.abc import Callable

from aiohttp import hdrs, web

from carillon.controller.connections import BoundedServer
from carillon.controller.metrics import Metrics

RENDER_SECONDS = 1.0
"""Metrics are printed anew so often at most: with thousands of definitions that takes a twentieth of it."""


class Probes:
    """A small HTTP server; what is alive and what is ready is asked of the callables at each request.

    Args:
        metrics: what /metrics prints.
        alive: None while the process does its work, else what is wrong.
        ready: None once the stores are filled and current, else what is awaited. The standby is ready, too.
        refresh: called before metrics are printed, to bring gauges up to date.
    """

    def __init__(
        self,
        *,
        metrics: Metrics,
        alive: Callable[[], str | None],
        ready: Callable[[], str | None],
        refresh: Callable[[], None],
    ) -> None:
        self._metrics = metrics
        self._alive = alive
        self._ready = ready
        self._refresh = refresh
        self._pages = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._print_metrics}
        self._runner: web.ServerRunner | None = None
        self._rendered, self._rendered_at = b"", float("-inf")

    async def start(self, address: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        self._runner = web.ServerRunner(BoundedServer(self._handle), shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        page = self._pages.get(request.path)
        if page is None:
            response = web.Response(status=404, text=f"found {request.path!r}; there are {', '.join(self._pages)}\n")
        elif request.method not in ("GET", "HEAD"):
            response = web.Response(status=405, text="use GET\n", headers={hdrs.ALLOW: "GET, HEAD"})
        else:
            response = page()
        response.force_close()
        return response

    def _livez(self) -> web.Response:
        return _answer(self._alive())

    def _readyz(self) -> web.Response:
        return _answer(self._ready())

    def _print_metrics(self) -> web.Response:
        now = time.monotonic()
        if now - self._rendered_at >= RENDER_SECONDS:
            self._refresh()
            self._rendered, self._rendered_at = self._metrics.render(), now
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=self._rendered, headers=headers)


def _answer(problem: str | None) -> web.Response:
    return web.Response(text="ok\n") if problem is None else web.Response(status=503, text=problem + "\n")
