"""`at`: an instant of RFC 3339."""

from datetime import datetime, timedelta

import pytest

from carillon.schedule import ScheduleError, parse_at


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-24T18:00:00Z", "2026-12-24T18:00Z"),
        ("2026-12-24t18:00:00z", "2026-12-24T18:00Z"),
        ("2026-12-24T18:00:00+05:30", "2026-12-24T12:30Z"),
        ("2026-12-24T18:00:00-00:00", "2026-12-24T18:00Z"),
        ("2026-12-24T18:00:00.000Z", "2026-12-24T18:00Z"),
        ("2028-02-29T23:59:59-23:59", "2028-03-01T23:58:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00Z"),
    ],
)
def test_one_instant(text: str, expected: str) -> None:
    due, schedule = moment(expected), parse_at(text)
    before = max(due, moment("0001-01-02T00:00Z")) - timedelta(days=1)
    assert not schedule.endless
    assert schedule.anchored(due) is schedule
    assert schedule.next_after(due) is None
    assert schedule.upcoming(due, 3) == []
    if before < due:
        assert schedule.next_after(before) == due
        assert schedule.upcoming(before, 3) == [due]
        assert schedule.count(before, due) == 1
        assert schedule.newest(before, due, 2) == [due]
        assert schedule.latest_through(due, after=before) == due
    assert schedule.count(due, due + timedelta(days=1)) == 0


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "found '', at character 1 of ''; write an instant as in 2026-12-24T18:00:00Z or"),
        ("2026-12-24", 0, "found '2026-12-24'"),
        ("2026-12-24 18:00:00Z", 0, "write an instant as in"),
        ("2026-12-24T18:00Z", 0, "write an instant as in"),
        ("2026-12-24T18:00:00", 19, "found no offset after '2026-12-24T18:00:00', at character 20"),
        ("2026-12-24T18:00:00+0100", 0, "write an instant as in"),
        ("2026-12-24T18:00:00.5Z", 19, "found the fraction '.5' of a second, at character 20"),
        ("2026-13-24T18:00:00Z", 5, "found month 13, at character 6 of '2026-13-24T18:00:00Z'; write 01 to 12"),
        ("2026-02-30T18:00:00Z", 8, "found day 30, at character 9 of '2026-02-30T18:00:00Z'; write 01 to 28"),
        ("2026-02-00T18:00:00Z", 8, "found day 00"),
        ("2026-12-24T24:00:00Z", 11, "found hour 24"),
        ("2026-12-24T18:60:00Z", 14, "found minute 60"),
        ("2026-12-31T23:59:60Z", 17, "found second 60"),
        ("2026-12-24T18:00:00+24:00", 20, "found offset hour 24"),
        ("0000-01-01T00:00:00Z", 0, "found the year 0000"),
        ("２０２６-12-24T18:00:00Z", 0, "write an instant as in"),
        ("1" * 300, 200, "found 300 characters, at most 200 are read"),
    ],
)  # fmt: skip
def test_refusals(text: str, position: int, message: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse_at(text)
    assert message in str(refused.value)
    assert refused.value.text == text
    assert refused.value.position == position
