"""What is said of a due time: each row is a state of the records, and the verdict with its words."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from carillon.api.jobrun import TriggerType
from carillon.api.scheduledjob import Skip
from carillon.engine.explain import Explanation, explain
from carillon.engine.model import Definition, Run
from carillon.engine.story import Story, Verdict
from tests.unit.engine.builders import HOURLY, Body, a_definition, a_run, as_json, at, condition, stamp

NOW = "12:30:00"


def asked(definition: Definition, moment: str = "12:00", *runs: Run, now: str = NOW) -> Explanation:
    return explain(definition, runs, at(moment), at(now))


def story(definition: Definition, moment: str = "12:00", *runs: Run, now: str = NOW) -> Story:
    (only,) = asked(definition, moment, *runs, now=now).stories
    return only


def seen(**more: Any) -> Definition:
    return a_definition(HOURLY, **{"handled": "12:00", **more})


def skip(reason: str, begin: str = "12:00", end: str = "12:00", count: int = 1) -> Body:
    return {"skips": [as_json(Skip(trigger="t0", from_=at(begin), to=at(end), count=count, reason=reason))]}


RAN: list[tuple[str, dict[str, Any], Verdict, str]] = [
    ("Succeeded", {"started": "12:00:01", "ended": "12:05"}, Verdict.RAN, "started on time and succeeded, after 4 min"),
    ("Succeeded", {"started": "12:03", "ended": "12:05"}, Verdict.RAN, "started 3 min late and succeeded, after 2 min"),
    ("Failed", {"ended": "12:05", "reason": "BackoffLimitExceeded"}, Verdict.RAN, "failed, after 5 min: BackoffLimit"),
    ("Stopped", {"ended": "12:05"}, Verdict.RAN, "started on time and stopped"),
    ("Running", {}, Verdict.ACTIVE, "started on time and is Running"),
    ("Queued", {"reason": "WaitingForSlot"}, Verdict.ACTIVE, "is Queued: WaitingForSlot"),
    ("", {}, Verdict.ACTIVE, "is Scheduled"),
    ("Skipped", {"reason": "ConcurrencyForbid"}, Verdict.REFUSED, "another run of the job was still active"),
]


@pytest.mark.parametrize(("phase", "rest", "verdict", "words"), RAN)
def test_a_run_exists(phase: str, rest: dict[str, Any], verdict: Verdict, words: str) -> None:
    told = story(seen(), "12:00", a_run("12:00", phase, **rest))
    assert told.verdict is verdict
    assert words in told.headline
    assert told.run is not None
    assert told.run.kept


def test_a_run_that_was_written_ahead_says_no_more_than_the_definition() -> None:
    ahead = a_run("13:00", created="12:59:50")
    told = story(seen(), "13:00", ahead, now="12:59:55")
    assert (told.verdict, told.headline) == (Verdict.WILL_RUN, story(seen(), "13:00", now="12:59:55").headline)
    assert told.run is not None
    stopped = story(seen(), "13:00", a_run("13:00", "Stopped", created="12:59:50", ended="12:59:52"), now="12:59:55")
    assert stopped.verdict is Verdict.RAN


@pytest.mark.parametrize("reason", ["NameTaken", "CronJobRefused"])
def test_nobody_fires_what_the_cluster_refuses(reason: str) -> None:
    refusal = [condition("NativeBackend", "False", reason, "CronJob x exists; delete it")]
    refused = seen(backend="CronJob", status={"conditions": refusal})
    for moment in ("12:00", "13:00"):
        told = story(refused, moment)
        assert (told.verdict, told.policy) == (Verdict.INVALID, "CronJob x exists; delete it")
        assert "the CronJob that would fire it is refused" in told.headline
    assert story(refused, "12:00", a_run("12:00", "Succeeded", ended="12:05")).verdict is Verdict.RAN


def test_a_refusal_is_of_the_definition_as_it_was_and_of_the_time_since() -> None:
    edited = [condition("NativeBackend", "False", "CronJobRefused", "no", generation=1)]
    assert story(seen(backend="CronJob", generation=2, status={"conditions": edited}), "13:00").verdict is (
        Verdict.WILL_RUN
    )
    later = [{**edited[0], "lastTransitionTime": stamp("12:10")}]
    assert story(seen(backend="CronJob", status={"conditions": later}), "12:00").verdict is Verdict.NATIVE


SKIPPED = [
    ("ConcurrencyForbid", Verdict.SKIPPED, "another run", "concurrency.policy: Forbid", "concurrency.policy to Queue"),
    ("DeadlineExceeded", Verdict.SKIPPED, "in time", "startingDeadlineSeconds", "raise startingDeadlineSeconds"),
    ("CatchUp", Verdict.SKIPPED, "nobody was there", "catchUp.policy: Latest", "catchUp.policy to All"),
    ("Suspended", Verdict.SUSPENDED, "disabled then", "spec.suspend", "backfill"),
    ("Invalid", Verdict.SKIPPED, "could not be scheduled", "Ready", "backfill"),
    ("SomethingNew", Verdict.SKIPPED, "SomethingNew", "", ""),
]


@pytest.mark.parametrize(("reason", "verdict", "words", "policy", "cure"), SKIPPED)
def test_a_skip_is_recorded(reason: str, verdict: Verdict, words: str, policy: str, cure: str) -> None:
    told = story(seen(status=skip(reason, "10:00", "12:00", 3)))
    assert told.verdict is verdict
    assert words in told.headline
    assert policy in told.policy
    assert cure in told.cure
    assert told.skip is not None
    assert told.skip.count == 3


@pytest.mark.parametrize(
    ("catch_up", "policy", "cure"),
    [
        ({"policy": "Skip"}, "catchUp.policy: Skip", "Latest or All"),
        ({"policy": "Latest"}, "catchUp.policy: Latest", "policy to All"),
        ({"policy": "All", "limit": 3}, "catchUp.limit: 3", "raise catchUp.limit"),
    ],
)
def test_which_catch_up_rule_decided(catch_up: Body, policy: str, cure: str) -> None:
    told = story(seen(status=skip("CatchUp"), catchUp=catch_up))
    assert (told.policy, cure in told.cure) == (policy, True)


NO_RECORD: list[tuple[str, dict[str, Any], str, str, Verdict, str]] = [
    ("before the creation", {"created": "12:10"}, "12:00", NOW, Verdict.BEFORE_CREATION, "created later"),
    ("before an edit", {"since": "12:10", "handled": "12:10"}, "12:00", NOW, Verdict.NOT_COUNTED, "edited or the job"),
    ("about to start", {"handled": "11:00"}, "12:00", "12:00:05", Verdict.STARTING, "due for 5 s"),
    ("nobody looked", {"handled": "11:00"}, "12:00", NOW, Verdict.UNHANDLED, "No operator has looked"),
    ("never seen", {"handled": None}, "12:00", NOW, Verdict.UNHANDLED, "No operator has looked"),
    ("lost", {}, "12:00", NOW, Verdict.MISSING, "Neither a run nor a skip"),
    (
        "older than the records",
        {"status": {"recordedThrough": stamp("12:15")}},
        "12:00",
        NOW,
        Verdict.FORGOTTEN,
        "do not reach back",
    ),
    (
        "disabled now",
        {"suspend": True, "handled": "11:00", "status": {"suspendedSince": stamp("11:30")}},
        "12:00",
        NOW,
        Verdict.SUSPENDED,
        "the job is disabled, since Tue 2026-03-10 11:30Z",
    ),
    ("native", {"backend": "CronJob"}, "12:00", NOW, Verdict.NATIVE, "The native CronJob controller fires this job"),
    ("native, to come", {"backend": "CronJob"}, "13:00", NOW, Verdict.WILL_RUN, "native CronJob controller will fire"),
    ("to come", {}, "13:00", NOW, Verdict.WILL_RUN, "It will run, unless a run is still active then"),
    ("to come, disabled", {"suspend": True}, "13:00", NOW, Verdict.SUSPENDED, "unless the job is enabled"),
    ("to come, Allow", {"concurrency": {"policy": "Allow"}}, "13:00", NOW, Verdict.WILL_RUN, "beside a run"),
    ("to come, Replace", {"concurrency": {"policy": "Replace"}}, "13:00", NOW, Verdict.WILL_RUN, "takes the place"),
]


@pytest.mark.parametrize(
    ("state", "moment", "now", "verdict", "words"), [row[1:] for row in NO_RECORD], ids=[row[0] for row in NO_RECORD]
)
def test_nothing_is_recorded(state: dict[str, Any], moment: str, now: str, verdict: Verdict, words: str) -> None:
    told = story(seen(**state), moment, now=now)
    assert told.verdict is verdict
    assert words in told.headline


CLOSED = {"windows": [{"cron": "0 12 * * *", "durationSeconds": 3600}]}


@pytest.mark.parametrize(("now", "words"), [(NOW, "It did not run: it is excluded"), ("11:30", "It will not run: it")])
def test_an_exclusion_covers_it(now: str, words: str) -> None:
    told = story(seen(exclude=CLOSED, status=skip("Excluded") if now == NOW else None), now=now)
    assert told.verdict is Verdict.EXCLUDED
    assert told.headline.startswith(words)
    assert "window 0 12 * * *" in told.excluded


def test_a_line_of_excluded_due_times_is_not_about_an_open_one_between_them() -> None:
    definition = seen(exclude={"windows": [{"cron": "0 10,12 * * *", "durationSeconds": 60}]})
    line = skip("Excluded", "10:00", "12:00", 2)
    told = story(seen(exclude=definition.spec.exclude if definition.spec else {}, status=line), "11:00")
    assert told.skip is None


def test_what_was_excluded_stays_so_when_the_exclusion_is_another_one() -> None:
    line = skip("Excluded", "10:00", "12:00", 3)
    told = story(seen(exclude={"windows": [{"cron": "0 10,12 * * *", "durationSeconds": 60}]}, status=line), "11:00")
    assert told.verdict is Verdict.EXCLUDED
    assert told.headline == "It did not run: it was excluded then, and spec.exclude does not cover it now."
    assert told.skip is not None
    assert told.excluded == ""


TEN_AND_NOON = {"windows": [{"cron": "0 10,12 * * *", "durationSeconds": 60}]}
SIX = {"windows": [{"cron": "0 6 * * *", "durationSeconds": 60}]}
ELEVEN = {"windows": [{"cron": "0 11 * * *", "durationSeconds": 60}]}


@pytest.mark.parametrize(
    ("exclude", "line", "moment", "verdict", "headline"),
    [
        (
            TEN_AND_NOON,
            skip("Excluded", "10:00", "12:00", 2),
            "12:00",
            Verdict.EXCLUDED,
            "It did not run: it is excluded, by window 0 10,12 * * *.",
        ),
        (
            TEN_AND_NOON,
            skip("Excluded", "10:00", "12:00", 2),
            "11:00",  # it was open, so there has to be something else
            Verdict.MISSING,
            "Neither a run nor a skip is recorded, and there should be one.",
        ),
        *(
            (
                exclude,
                skip("Excluded", "10:00", "12:00", 2),
                moment,
                Verdict.EXCLUDED,
                "It did not run: it was excluded then, and spec.exclude does not cover it now.",
            )
            for exclude in ({}, SIX)
            for moment in ("10:00", "12:00")
        ),
        *(
            (
                exclude,
                skip("Excluded", "10:00", "12:00", 2),
                "11:00",
                Verdict.EXCLUDED,
                "It probably did not run: from Tue 2026-03-10 10:00Z to Tue 2026-03-10 12:00Z, 2 of what today are 3 "
                "due times were skipped (Excluded). Which of them is not known any more: spec.exclude was changed "
                "since.",
            )
            for exclude in ({}, SIX)
        ),
        (
            {"windows": [{"cron": "0 11,12 * * *", "durationSeconds": 60}]},  # as many, and not the same ones
            skip("Excluded", "10:00", "12:00", 2),
            "11:00",
            Verdict.EXCLUDED,
            "It probably did not run: from Tue 2026-03-10 10:00Z to Tue 2026-03-10 12:00Z, 2 of what today are 3 due "
            "times were skipped (Excluded). Which of them is not known any more: spec.exclude was changed since.",
        ),
        (
            ELEVEN,  # made after the due time had been skipped for another reason
            skip("CatchUp", "10:00", "12:00", 3),
            "11:00",
            Verdict.SKIPPED,
            "It did not run: nobody was there to fire it in time, and only the newest missed due time is caught up on.",
        ),
        (
            SIX,  # eleven was excluded when the others were missed
            skip("CatchUp", "10:00", "12:00", 2),
            "11:00",
            Verdict.SKIPPED,
            "It probably did not run: from Tue 2026-03-10 10:00Z to Tue 2026-03-10 12:00Z, 2 of what today are 3 due "
            "times were skipped (CatchUp). Which of them is not known any more: spec.exclude was changed since.",
        ),
        (
            SIX,
            skip("Suspended", "10:00", "12:00", 2),
            "11:00",
            Verdict.SUSPENDED,
            "It did not run: the job was disabled then.",
        ),
    ],
)
def test_what_the_record_says_counts_whatever_is_excluded_today(
    exclude: Body, line: Body, moment: str, verdict: Verdict, headline: str
) -> None:
    told = story(seen(exclude=exclude, status=line), moment)
    assert (told.verdict, told.headline) == (verdict, headline)


def test_what_decided_is_told_where_one_trigger_was_excluded_and_another_was_not() -> None:
    lines = [
        as_json(Skip(trigger=trigger, from_=at("12:00"), to=at("12:00"), count=1, reason=reason))
        for trigger, reason in (("t1", "Excluded"), ("t0", "ConcurrencyForbid"))
    ]
    told = story(a_definition(HOURLY, "0 12 * * *", handled="12:00", status={"skips": lines}))
    assert (told.verdict, "another run" in told.headline) == (Verdict.SKIPPED, True)


@pytest.mark.parametrize(
    ("exclude", "why"),
    [
        (TEN_AND_NOON, "it is excluded, by window 0 10,12 * * *"),
        (SIX, "it was excluded then, and spec.exclude does not cover it now"),
    ],
)
def test_what_was_excluded_and_backfilled_is_told_in_sentences(exclude: Body, why: str) -> None:
    line = {"run": "sweep-backfill-x-1", "trigger": "Backfill", "phase": "Succeeded", "scheduledTime": stamp("12:00")}
    history = {"history": [{**line, "startTime": stamp("12:20"), "completionTime": stamp("12:21")}]}
    told = story(seen(exclude=exclude, status={**history, **skip("Excluded")}))
    assert told.headline.startswith(f"It did not run: {why}. A backfill ran it at Tue 2026-03-10 12:20Z")


def test_a_run_that_an_exclusion_has_come_to_cover() -> None:
    told = story(seen(exclude=SIX), "12:00", a_run("12:00", "Skipped", reason="Excluded"))
    assert (told.headline, told.policy) == ("It did not run: an exclusion covered it.", "spec.exclude")


def test_the_history_tells_of_a_run_whose_object_is_gone() -> None:
    line = {"run": "sweep-1", "phase": "Failed", "exitCode": 3, "message": "no paper", "scheduledTime": stamp("12:00")}
    told = story(seen(status={"history": [{**line, "completionTime": stamp("12:01")}]}))
    assert told.run is not None
    assert (told.run.name, told.run.kept) == ("sweep-1", False)
    assert "failed with exit code 3: no paper" in told.headline


def test_a_backfilled_due_time() -> None:
    line = {"run": "sweep-backfill-x-1", "trigger": "Backfill", "phase": "Succeeded", "scheduledTime": stamp("12:00")}
    history = {"history": [{**line, "startTime": stamp("12:20"), "completionTime": stamp("12:21")}]}
    told = story(seen(status={**history, **skip("ConcurrencyForbid")}))
    assert told.verdict is Verdict.BACKFILLED
    assert "another run of the job was still active. A backfill ran it at Tue 2026-03-10 12:20Z" in told.headline


def test_a_periodic_run_is_told_before_a_backfill_of_the_same_due_time() -> None:
    made = a_run("12:00", "Running", name="sweep-backfill-x-1")
    backfill = made.spec.trigger.model_copy(update={"type": TriggerType.BACKFILL})
    made = replace(made, spec=made.spec.model_copy(update={"trigger": backfill}))
    told = story(seen(), "12:00", made, a_run("12:00", "Succeeded", ended="12:05"))
    assert told.run is not None
    assert (told.verdict, told.run.phase) == (Verdict.RAN, "Succeeded")


def test_nothing_is_due_and_what_is_nearest() -> None:
    found = asked(seen(), "11:45")
    assert found.stories == ()
    assert found.headline == "No trigger of sweep names that time."
    assert found.before is not None
    assert found.after is not None
    assert (found.before.instant, found.after.instant) == (at("11:00"), at("12:00"))
    assert found.after.triggers == ("t0",)


def test_a_due_time_within_the_minute() -> None:
    found = asked(seen(), "12:00:40", a_run("12:00", "Running"))
    assert [story.instant for story in found.stories] == [at("12:00")]
    assert "within its minute: t0 at Tue 2026-03-10 12:00Z" in found.headline


def test_many_due_times_in_a_minute() -> None:
    found = asked(a_definition("*/5 * * * * *", handled="12:01"), "12:00:55")
    assert (len(found.stories), found.more) == (5, 7)
    assert found.stories[0].instant == at("12:00:55")
    assert found.headline == ""


def test_two_triggers_at_one_instant() -> None:
    told = story(a_definition(HOURLY, "0 12 * * *", handled="12:00"), "12:00")
    assert [trigger.name for trigger in told.triggers] == ["t0", "t1"]


def test_no_triggers() -> None:
    found = asked(a_definition(), "12:00")
    assert "has no triggers" in found.headline
    assert (found.before, found.after) == (None, None)


def test_jitter_is_part_of_being_on_time() -> None:
    trigger = [{"name": "t0", "cron": HOURLY, "jitterSeconds": 1800}]
    definition = a_definition(triggers=trigger, handled="12:00")
    waits = story(definition, "13:00").headline
    assert "It will run at Tue 2026-03-10 13:" in waits
    start = asked(definition, "12:00").stories[0].triggers[0].start(at("12:00"))
    began = start.strftime("%H:%M:%S")
    told = story(definition, "12:00", a_run("12:00", "Succeeded", started=began, ended="12:50"), now="12:55")
    assert "it started on time after its jitter and succeeded" in told.headline


def test_an_edit_that_no_operator_has_seen() -> None:
    definition = a_definition(
        HOURLY,
        handled="12:00",
        status={
            "triggers": [{"name": "t0", "specHash": "old", "since": stamp("00:00"), "handledThrough": stamp("12:00")}]
        },
        generation=2,
        observed=1,
    )
    told = story(definition, "12:00")
    assert told.verdict is Verdict.UNHANDLED
    assert "no operator has seen the trigger yet" in told.counted


def test_the_story_is_the_same_whatever_second_is_asked() -> None:
    definition, run = seen(), a_run("12:00", "Running")
    for second in (0, 1, 59):
        found = explain(definition, (run,), at("12:00") + timedelta(seconds=second), at(NOW))
        assert [story.verdict for story in found.stories] == [Verdict.ACTIVE]
