"""A task's report of how far it is, as it arrives: JSON, a form, or the query of the address. Anything may come."""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson

from carillon.api.jobrun import PROGRESS_MESSAGE_LENGTH

FIELDS = ("percent", "message")
EXAMPLE = "send percent=40&message=half, or the same as JSON"
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 16


class ReportRefused(ValueError):  # noqa: N818  (said to the task)
    """The report is not understood; the message names the field, what was found and the cure."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a task says; a report stands by itself, and nothing of the one before it is kept."""

    percent: int | None
    message: str


def read_report(*, content_type: str, body: bytes, query: str) -> Report:
    """Read a report.

    A body that begins with a brace is JSON whatever its type says: `curl -d` calls everything a form. Of a fraction the
    whole part counts, so that 99.9 is not 100; a message is put on one line, and cut after 256 characters.

    Args:
        content_type: the header, possibly empty.
        body: of the request, possibly empty.
        query: of the address, without the question mark.

    Raises:
        ReportRefused: it cannot be understood.
    """
    kind = content_type.partition(";")[0].strip().lower()
    found = _pairs(query.encode(), "the query")
    if body.lstrip()[:1] == b"{" or (body.strip() and kind.endswith("json")):
        more = _object(body)
    elif not body.strip() or kind in ("", _FORM, "text/plain"):
        more = _pairs(body.strip(), "the body")
    else:
        raise ReportRefused(f"Content-Type: found {_shown(kind)}; {EXAMPLE}")
    for field in more:
        if field in found:
            raise ReportRefused(f"{field}: given in the address and in the body; give it once")
    return _report({**found, **more})


def _pairs(text: bytes, where: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise ReportRefused(f"{where}: not a form in UTF-8 ({error}); {EXAMPLE}") from error
    if text and not pairs:
        raise ReportRefused(f"{where}: found {_shown(text.decode())}; {EXAMPLE}")
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise ReportRefused(f"{_shown(name)}: given twice; give it once")
        found[name] = value
    return found


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ReportRefused(f"the body: not JSON ({error}); {EXAMPLE}") from error
    if not isinstance(value, dict):
        raise ReportRefused('the body: found no JSON object; send {"percent": 40, "message": "half"}')
    return value


def _report(given: Mapping[str, Any]) -> Report:
    for name in given:
        if name not in FIELDS:
            raise ReportRefused(f"{_shown(name)}: not a field of a report; the fields are percent and message")
    percent, message = _percent(given.get("percent")), _message(given.get("message"))
    if percent is None and not message:
        raise ReportRefused(f"percent and message: found neither; {EXAMPLE}")
    return Report(percent, message)


def _percent(value: Any) -> int | None:
    if value is None or value == "":
        return None
    number = math.nan
    # float() alone would take 1_0, Infinity and digits of every script.
    if isinstance(value, str) and value.strip().isascii() and not set(value.strip()) - set("0123456789."):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    if not 0 <= number <= 100:
        raise ReportRefused(f"percent: found {_shown(value)}; write a number from 0 to 100, or leave it out")
    return int(number)


def _message(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ReportRefused(f"message: found {_shown(value)}; write a text, or leave it out")
    # Terminals and tables show it: no line breaks, no control sequences, nothing that turns the direction of writing.
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in value)
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Cs"))
    words = " ".join(plain.split())
    if len(words) <= PROGRESS_MESSAGE_LENGTH:
        return words
    return words[: PROGRESS_MESSAGE_LENGTH - 1] + "…"


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:59] + "…"
