"""What a task may send, and what it is told of the rest."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.api.jobrun import PROGRESS_MESSAGE_LENGTH
from carillon.engine.reports import Report, ReportRefused, read_report

FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@pytest.mark.parametrize(
    ("kind", "body", "query", "percent", "message"),
    [
        (FORM, "percent=40&message=half", "", 40, "half"),
        (FORM, "percent=40&message=half way", "", 40, "half way"),
        (FORM, "message=half+way%21&percent=40", "", 40, "half way!"),
        (FORM, "percent=0", "", 0, ""),
        (FORM, "percent=100\n", "", 100, ""),
        (FORM, "percent=99.9", "", 99, ""),
        (FORM, "percent=&message=at+it", "", None, "at it"),
        (f"{FORM}; charset=utf-8", "message=gepr%C3%BCft", "", None, "geprüft"),
        ("", "percent=40", "", 40, ""),
        ("text/plain", "percent=40", "", 40, ""),
        (JSON, '{"percent": 40, "message": "half"}', "", 40, "half"),
        (JSON, '{"percent": 33.7}', "", 33, ""),
        (JSON, '{"percent": null, "message": "at it"}', "", None, "at it"),
        (JSON, '{"percent": "40"}', "", 40, ""),
        ("application/vnd.task+json", '{"percent": 1}', "", 1, ""),
        (FORM, ' {"percent": 40}', "", 40, ""),
        ("", "", "percent=40&message=half", 40, "half"),
        (FORM, "message=half", "percent=40", 40, "half"),
        (FORM, "message=two%0Alines%09%1B[31mred", "", None, "two lines [31mred"),
        (FORM, "message=%E2%80%AEdrawkcab", "", None, "drawkcab"),
    ],
)
def test_what_is_understood(kind: str, body: str, query: str, percent: int | None, message: str) -> None:
    assert read_report(content_type=kind, body=body.encode(), query=query) == Report(percent, message)


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        (FORM, "", "percent and message: found neither; send percent=40&message=half"),
        (FORM, "message=%00%0A", "percent and message: found neither"),
        (FORM, "percent=101", "percent: found '101'; write a number from 0 to 100, or leave it out"),
        (FORM, "percent=-1", "percent: found '-1'"),
        (FORM, "percent=half", "percent: found 'half'"),
        (FORM, "percent=1_0", "percent: found '1_0'"),
        (FORM, "percent=1.2.3", "percent: found '1.2.3'"),
        (FORM, "percent=.", "percent: found '.'"),
        (FORM, "percent=%D9%A3", "percent: found '\\u0663'"),
        (FORM, "percent=1&percent=2", "'percent': given twice; give it once"),
        (FORM, "done=40", "'done': not a field of a report; the fields are percent and message"),
        (FORM, "40", "'40': not a field of a report; the fields are percent and message"),
        (FORM, "message=%FF", "the body: not a form in UTF-8"),
        (FORM, "&".join(f"a{n}=1" for n in range(17)), "the body: not a form"),
        (JSON, "{", "the body: not JSON"),
        (JSON, '{"percent": NaN}', "the body: not JSON"),
        (JSON, '{"message": "\\ud800"}', "the body: not JSON"),
        (JSON, "[" * 4096, "the body: not JSON"),
        (JSON, "[40]", "the body: found no JSON object"),
        (JSON, '{"percent": true}', "percent: found True"),
        (JSON, '{"percent": 1e308}', "percent: found 1e+308"),
        (JSON, '{"percent": [40]}', "percent: found [40]"),
        (JSON, '{"message": 40}', "message: found 40; write a text"),
        (JSON, '{"percent": 40, "phase": "Succeeded"}', "'phase': not a field"),
        ("multipart/form-data; boundary=x", "--x", "Content-Type: found 'multipart/form-data'; send percent=40"),
    ],
)
def test_what_is_not_is_named_with_the_cure(kind: str, body: str, words: str) -> None:
    with pytest.raises(ReportRefused) as refused:
        read_report(content_type=kind, body=body.encode(), query="")
    assert words in str(refused.value)
    assert len(str(refused.value)) < 300


def test_what_is_given_in_both_places_is_refused() -> None:
    with pytest.raises(ReportRefused, match="percent: given in the address and in the body"):
        read_report(content_type=FORM, body=b"percent=1", query="percent=2")


def test_a_long_message_is_cut() -> None:
    body = json.dumps({"message": "ü" * 1000}).encode()
    message = read_report(content_type=JSON, body=body, query="").message
    assert message == "ü" * (PROGRESS_MESSAGE_LENGTH - 1) + "…"


@given(
    kind=st.sampled_from([FORM, JSON, "", "text/html"]),
    body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
    query=st.text(max_size=50),
)
def test_anything_may_come(kind: str, body: bytes, query: str) -> None:
    try:
        report = read_report(content_type=kind, body=body, query=query.encode(errors="replace").decode())
    except ReportRefused:
        return
    assert report.percent is None or 0 <= report.percent <= 100
    assert len(report.message) <= PROGRESS_MESSAGE_LENGTH
    assert report.message.isprintable() or not report.message.isascii()
