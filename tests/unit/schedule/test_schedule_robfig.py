"""WallClock is robfig/cron's Next, to the second: the native controller's own library is asked.

Where that library has no answer (it gives up, walks in circles, or answers with a time that is not later), ours has
one; those cases are the last tests here, each with what robfig says.
"""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.schedule import DaylightSaving, Schedule, ScheduleError, parse_cron
from tests.unit.schedule import crons
from tests.unit.schedule.robfig import Robfig, RobfigError, RobfigStuckError

WALL_CLOCK = DaylightSaving.WALL_CLOCK


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def from_unix(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def unix(instant: datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp())


def parse(expression: str, zone: str) -> Schedule | None:
    """Parse what robfig takes; None is what never fires, which only ours refuses."""
    try:
        return parse_cron(expression, time_zone=zone, daylight_saving=WALL_CLOCK)
    except ScheduleError as refused:
        if any(words in str(refused) for words in ("never comes", "no value", "no time at all")):
            return None
        raise


def compare(robfig: Robfig, query: crons.Query, *, length: int = 1) -> tuple[int, list[str]]:
    """Follow chains on both sides; count the answers compared, and tell the differences."""
    schedule = parse(query.expression, query.zone)
    if schedule is None:
        return 0, []
    compared, differences = 0, []
    chains = robfig.chains(query.expression, query.zone, list(query.instants), length=length)
    for instant, chain in zip(query.instants, chains, strict=True):
        asked = instant
        for theirs in chain:
            ours = unix(schedule.next_after(from_unix(asked)))
            if theirs is None or theirs <= asked:
                # No answer there; see the last tests.
                assert ours is None or ours > asked
                break
            compared += 1
            if ours != theirs:
                differences.append(f"{query.expression!r} in {query.zone} after {asked}: {ours}, robfig {theirs}")
                break
            asked = theirs
        else:
            assert_chain(schedule, from_unix(instant), [from_unix(due) for due in chain if due is not None])
    return compared, differences


def assert_chain(schedule: Schedule, after: datetime, chain: list[datetime]) -> None:
    """Whatever counts and lists agrees with the chain."""
    assert schedule.count(after, chain[-1]) == len(chain)
    assert schedule.newest(after, chain[-1], 3) == chain[-3:]
    assert schedule.latest_through(chain[-1], after=after) == chain[-1]
    assert schedule.upcoming(after, len(chain)) == chain


def test_corpus_of_5000_queries_has_no_difference(robfig: Robfig) -> None:
    compared, differences = 0, []
    for query in crons.corpus(seed=20_260_729, queries=5_040):
        count, found = compare(robfig, query)
        compared += count
        differences += found
    print(f"{compared} answers compared over {len(crons.ZONES)} zones, {len(differences)} differences")
    assert not differences
    assert compared >= 5_000


@given(seed=st.integers(0, 2**32))
@settings(max_examples=250, deadline=None)
def test_chains_of_twenty_have_no_difference(robfig: Robfig, seed: int) -> None:
    for query in crons.corpus(seed, 4):
        zone = random.Random(seed).choice([zone for zone in crons.ZONES if zone not in crons.SKIPPING])
        _, differences = compare(robfig, crons.Query(query.expression, zone, query.instants), length=20)
        assert not differences


@pytest.mark.parametrize(
    ("expression", "zone", "after", "due", "why"),
    [
        ("30 2 * * *", "Europe/Paris", "2026-03-28T12:00Z", "2026-03-30T00:30Z", "02:30 is skipped on 29 March"),
        ("30 2 * * *", "Europe/Paris", "2026-10-25T00:30Z", "2026-10-25T01:30Z", "02:30 comes twice"),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00Z", "2026-04-24T21:00Z", "midnight is skipped on 24 April"),
        ("0 3 * * *", "Australia/Lord_Howe", "2026-10-03T12:00Z", "2026-10-04T16:00Z", "walks from 02:30 to 03:30"),
        ("30 5 1 10 *", "America/Asuncion", "2017-06-01T12:00Z", "2018-10-01T09:30Z", "walks past October 2017"),
        ("30 5 1 10 *", "America/Asuncion", "2017-10-01T06:00Z", "2017-10-01T08:30Z", "and finds it from within"),
        ("10 1 22 */5 4", "America/Asuncion", "1984-08-09T12:00Z", "1984-12-06T04:10Z", "no month of */5"),
        ("0 9 * * *", "Pacific/Apia", "2011-12-29T20:00Z", "2011-12-30T19:00Z", "30 December never was"),
    ],
)
def test_known_quirks(robfig: Robfig, expression: str, zone: str, after: str, due: str, why: str) -> None:
    start = moment(after)
    assert robfig.chains(expression, zone, [int(start.timestamp())]) == [[unix(moment(due))]], why
    schedule = parse_cron(expression, time_zone=zone, daylight_saving=WALL_CLOCK)
    assert schedule.next_after(start) == moment(due), why


def test_fractions_of_a_second_are_no_difference(robfig: Robfig) -> None:
    for expression in ("* * * * *", "*/7 * * * * *", "@every 90s", "@every 1.9s", "@every 10ms"):
        [[theirs]] = robfig.chains(expression, "UTC", [1_800_000_059], nanosecond=999_999_000)
        ours = parse_cron(expression).next_after(from_unix(1_800_000_059) + timedelta(microseconds=999_999))
        assert unix(ours) == theirs


@given(
    text=st.lists(
        st.one_of(
            st.sampled_from(
                ["*", "?", "1", "0", "05", "+5", "59", "60", "23", "24", "31", "12", "7", "6", "MON", "sun"]
            ),
            st.sampled_from(
                ["-", "-", "/", "/", ",", ",", " ", " ", " ", "JAN", "Dec", "@hourly", "@every ", "1h", "x"]
            ),
        ),
        max_size=16,
    ).map("".join)
    | st.lists(st.text("0123456789*?/-,", min_size=1, max_size=7), min_size=4, max_size=6).map(" ".join)
)
@settings(max_examples=600, deadline=None)
def test_what_robfig_takes_is_taken_and_means_the_same(robfig: Robfig, text: str) -> None:
    """Never less: only what never fires is refused, and a delay of nothing."""
    start = 1_769_904_000
    try:
        [theirs] = robfig.chains(text, "UTC", [start], length=3)
    except RobfigError:
        return
    schedule = parse(text, "UTC")
    if schedule is not None and None not in theirs:
        assert [unix(due) for due in schedule.upcoming(from_unix(start), 3)] == theirs


def test_29_february_after_2096_comes_though_robfig_gives_up(robfig: Robfig) -> None:
    start = datetime(2097, 1, 1, tzinfo=UTC)
    assert robfig.chains("0 3 29 2 *", "Africa/Cairo", [int(start.timestamp())]) == [[None]]
    for zone in ("UTC", "Africa/Cairo", "Europe/Paris"):
        due = parse_cron("0 3 29 2 *", time_zone=zone, daylight_saving=WALL_CLOCK).next_after(start)
        assert due is not None
        assert due.date().isoformat() == "2104-02-29"


def test_a_day_that_never_was_is_passed_though_robfig_never_answers(robfig: Robfig) -> None:
    start = datetime(2011, 12, 15, tzinfo=UTC)
    with pytest.raises(RobfigStuckError):
        robfig.chains("0 9 1 * *", "Pacific/Apia", [int(start.timestamp())], patience=0.5)
    schedule = parse_cron("0 9 1 * *", time_zone="Pacific/Apia", daylight_saving=WALL_CLOCK)
    assert schedule.next_after(start) == moment("2012-01-01T09:00+14:00")


def test_time_goes_on_though_robfig_answers_with_the_past(robfig: Robfig) -> None:
    """St John's went back from 00:01 to 23:01: robfig leaves hour 0 by that, and does not see that it has."""
    start = moment("2010-11-07T03:27Z")
    assert robfig.chains("57 0-3 * * *", "America/St_Johns", [int(start.timestamp())]) == [[int(start.timestamp())]]
    schedule = parse_cron("57 0-3 * * *", time_zone="America/St_Johns", daylight_saving=WALL_CLOCK)
    assert schedule.next_after(start) == moment("2010-11-07T00:57-03:30")
