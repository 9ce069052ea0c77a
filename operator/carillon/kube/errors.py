"""How a request can fail, told apart by what the caller may conclude about its effect.

The names say what happened, without the suffix Error: the first question at a call site is which of them it was.

`ApiError`: the server answered no, so nothing happened. `Unreachable`: there was no whole answer, so a write may or
may not have happened. `WritesRefused`: the request never left this process.
"""

from collections.abc import Mapping
from typing import Any

import orjson


class NotConfigured(Exception):  # noqa: N818
    """No usable kubeconfig and no service account to find the API server with."""


class WritesRefused(Exception):  # noqa: N818
    """The gate said no before the request left: this process does not hold the lease, or may not hold it any more."""


class Unreachable(Exception):  # noqa: N818
    """The connection was refused, reset or silent, or the answer was cut short: the outcome of a write is unknown."""


class ApiError(Exception):
    """An answer of the API server with a status of 400 or more, or an ERROR line of a watch.

    `reason` is Kubernetes' word for it (`NotFound`, `AlreadyExists`, …), `causes` the `(field, message)` pairs of an
    invalid object, `retry_after_seconds` what the server asked for, if it did.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        causes: tuple[tuple[str, str], ...] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(status, reason, message)
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}" if self.reason else f"{self.status}: {self.message}"

    @property
    def already_exists(self) -> bool:
        """A create found an object of that name; whose it is, the caller must look up."""
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def not_found(self) -> bool:
        """There is no such object, or no such kind or namespace; nor can there be, where the name is none."""
        return self.status == 404 or (self.status == 400 and self.message.startswith("Name parameter invalid"))

    @property
    def conflict(self) -> bool:
        """The precondition (resourceVersion or UID) did not hold."""
        return self.status == 409 and self.reason != "AlreadyExists"

    @property
    def gone(self) -> bool:
        """The resourceVersion, or the page of a list, is too old: list again."""
        return self.status == 410

    @property
    def invalid(self) -> bool:
        """The object was refused by its schema, its CEL rules or validation; `causes` names the fields."""
        return self.status == 422

    @property
    def forbidden(self) -> bool:
        """RBAC, an admission policy or a quota said no."""
        return self.status == 403

    @property
    def namespace_ends(self) -> bool:
        """Nothing can be made in a namespace that is terminating, or gone since."""
        terminating = any(
            field == "metadata.namespace" and "is being terminated" in message for field, message in self.causes
        )
        return (self.forbidden and terminating) or (self.not_found and self.message.startswith("namespaces "))

    @property
    def throttled(self) -> bool:
        """The server is too busy and did not look at the request."""
        return self.status == 429

    @property
    def server_error(self) -> bool:
        """A failure inside the server; a write may have happened all the same (a timeout behind a webhook, say)."""
        return self.status >= 500

    @classmethod
    def from_answer(cls, status: int, payload: bytes, headers: Mapping[str, str]) -> "ApiError":
        """Read an error from an answer, whether its body is a Status or what some proxy wrote."""
        retry_after = _seconds(headers.get("Retry-After"))
        try:
            body = orjson.loads(payload)
        except orjson.JSONDecodeError:
            body = None
        if isinstance(body, dict) and body.get("kind") == "Status":
            return cls.from_status(body, status=status, retry_after_seconds=retry_after)
        return cls(status, "", payload[:1024].decode(errors="replace").strip(), (), retry_after)

    @classmethod
    def from_status(
        cls, body: dict[str, Any], *, status: int = 500, retry_after_seconds: float | None = None
    ) -> "ApiError":
        """Read an error from a meta/v1 Status object, as answers and the ERROR lines of a watch carry it."""
        details = body.get("details") or {}
        causes = tuple((cause.get("field", ""), cause.get("message", "")) for cause in details.get("causes") or ())
        if retry_after_seconds is None and details.get("retryAfterSeconds"):
            retry_after_seconds = float(details["retryAfterSeconds"])
        return cls(
            body.get("code") or status, body.get("reason") or "", body.get("message") or "", causes, retry_after_seconds
        )


def _seconds(header: str | None) -> float | None:
    # Kubernetes writes whole seconds; the HTTP date that the RFC also allows is treated as absent.
    return float(header) if header is not None and header.isdigit() else None
