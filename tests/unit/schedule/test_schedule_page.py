"""docs/schedules.md is true: every example on it is read here, and does what stands beneath it."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from carillon.schedule import (
    Closed,
    DaylightSaving,
    Schedule,
    ScheduleError,
    bounded,
    closed,
    exclude_dates,
    exclude_holidays,
    exclude_window,
    load_zone,
    parse_at,
    parse_cron,
    parse_interval,
)

PAGE = (Path(__file__).parents[3] / "docs" / "schedules.md").read_text()
HASH_KEY = "files/clear-recycle-bin"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Example:
    """A fragment of a spec, and what stands beneath it."""

    spec: dict[str, Any]
    after: datetime = NEW_YEAR
    due: list[tuple[datetime, str]] = field(default_factory=list)
    """Each with the reason for which it is skipped."""
    ends: bool = False
    refused: str = ""

    @classmethod
    def read(cls, block: str) -> "Example":
        example = cls(yaml.safe_load(block))
        for line in re.findall(r"^# (.*)$", block, re.MULTILINE):
            word, _, rest = line.partition(" ")
            instant, _, words = rest.partition(" ")
            if word == "after":
                example.after = datetime.fromisoformat(rest)
            elif word == "due":
                example.due.append((datetime.fromisoformat(instant), ""))
            elif word == "skipped":
                example.due.append((datetime.fromisoformat(instant), words))
            elif word == "end":
                example.ends = True
            elif word == "refused:":
                example.refused = rest
            else:
                raise AssertionError(line)
        return example

    def schedule(self) -> Schedule:
        (trigger,) = self.spec["triggers"]
        start, end = (
            None if text is None else datetime.fromisoformat(text)
            for text in (trigger.get("startAt"), trigger.get("endAt"))
        )
        if "interval" in trigger:
            schedule = parse_interval(trigger["interval"])
        elif "at" in trigger:
            schedule = parse_at(trigger["at"])
        else:
            rule = DaylightSaving(trigger.get("daylightSaving", "RunOnce"))
            schedule = parse_cron(
                trigger["cron"], time_zone=trigger.get("timeZone"), daylight_saving=rule, hash_key=HASH_KEY
            )
        return bounded(schedule, start_at=start, end_at=end).anchored(self.after)

    def closed(self) -> Closed:
        zone = load_zone(self.spec["triggers"][0].get("timeZone", "UTC"))
        exclude = self.spec.get("exclude", {})
        return closed(
            [
                *(exclude_holidays(it["country"], it.get("subdivision"), zone) for it in exclude.get("holidays", [])),
                *(exclude_dates([text], zone) for text in exclude.get("dates", [])),
                *(
                    exclude_window(it["cron"], it["durationSeconds"], it.get("timeZone"), HASH_KEY)
                    for it in exclude.get("windows", [])
                ),
            ]
        )


BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ROWS = re.findall(r"^\| `([^`]+)` \| .* \| (\d{4}-\S+Z) \|$", PAGE, re.MULTILINE)


def test_the_page_has_examples() -> None:
    assert len(BLOCKS) >= 20
    assert len(ROWS) >= 20
    assert PAGE.count("```") == 2 * len(BLOCKS)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0][:60])
def test_example(block: str) -> None:
    example = Example.read(block)
    if example.refused:
        with pytest.raises(ScheduleError) as refused:
            (example.schedule(), example.closed())
        assert example.refused in str(refused.value)
        return
    schedule, shut = example.schedule(), example.closed()
    found = schedule.upcoming(example.after, len(example.due) + 1)
    assert found[: len(example.due)] == [due for due, _ in example.due]
    assert (len(found) == len(example.due)) == example.ends
    zone = load_zone(example.spec["triggers"][0].get("timeZone", "UTC"))
    for due, reason in example.due:
        span = shut.at(due)
        assert (span.reason if span else "") == reason
        assert due.utcoffset() == due.astimezone(zone).utcoffset(), "as the clocks of the zone show it"


@pytest.mark.parametrize(("expression", "due"), ROWS)
def test_row(expression: str, due: str) -> None:
    assert parse_cron(expression, hash_key=HASH_KEY).next_after(NEW_YEAR) == datetime.fromisoformat(due)


def test_29_february() -> None:
    assert parse_cron("0 0 29 2 *").next_after(datetime(2097, 1, 1, tzinfo=UTC)) == datetime(2104, 2, 29, tzinfo=UTC)
    assert parse_cron("0 3-3 * * *").next_after(NEW_YEAR) == NEW_YEAR + timedelta(hours=3)
