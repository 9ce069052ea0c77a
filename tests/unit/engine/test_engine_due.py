"""Which due times fire, which are skipped, and what moves the watermark: design 3.1 to 3.3."""

import time
from dataclasses import replace

import pytest

from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.model import TemplateCheck
from carillon.engine.names import periodic_runs
from tests.unit.engine.builders import (
    DEFINITION_UID,
    EVERY_MINUTE,
    HOURLY,
    NAME,
    a_definition,
    a_job,
    a_run,
    as_json,
    at,
    each,
    fired,
    handled,
    invalid_spec,
    skipped,
    snapshot,
    stamp,
    status_after,
    triggers,
)


class TestFiring:
    def test_a_due_time_that_has_come_fires(self) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        assert fired(decide(snapshot(definition), at("12:00:00"))) == ["12:00:00"]

    def test_nothing_fires_ahead_of_its_time(self) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        plan = decide(snapshot(definition), at("11:59:59.999999"))
        assert fired(plan) == []
        assert plan.wake_at == at("12:00:00")

    def test_the_run_is_the_intent_and_carries_its_due_time(self) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        (create,) = each(decide(snapshot(definition), at("12:00:00.2")), plans.CreateRun)
        assert create.name == create.body["metadata"]["name"] == f"{NAME}-{int(at('12:00').timestamp())}"
        assert create.body["spec"] == {
            "scheduledJob": NAME,
            "scheduledTime": stamp("12:00"),
            "trigger": {"type": "Periodic", "name": "t0"},
        }

    def test_no_job_is_made_before_its_run_exists(self) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        assert each(decide(snapshot(definition), at("12:00:00")), plans.CreateJob) == []

    def test_two_triggers_due_at_the_same_instant_make_one_run(self) -> None:
        definition = a_definition("0 * * * *", "0 12 * * *", handled="11:30")
        plan = decide(snapshot(definition), at("12:00:01"))
        assert fired(plan) == ["12:00:00"]

    def test_the_one_run_of_two_triggers_resolves_both(self) -> None:
        definition = a_definition("0 * * * *", "0 12 * * *", handled="11:30")
        run = a_run("12:00", "Running")
        plan = decide(snapshot(definition, run, a_job(run, active=1)), at("12:00:02"))
        assert fired(plan) == []
        assert handled(plan, definition) == {"t0": "12:00:00", "t1": "12:00:00"}
        assert skipped(plan, definition) == []

    def test_an_interval_and_a_single_instant_fire_too(self) -> None:
        named = triggers(p="R/2026-03-10T09:30:00+01:00/PT30M", once="2026-03-10T12:00:00Z")
        definition = a_definition(triggers=named, handled="11:30", concurrency={"policy": "Allow"})
        assert fired(decide(snapshot(definition), at("12:00:00"))) == ["12:00:00"]

    def test_every_counts_from_the_creation(self) -> None:
        definition = a_definition("@every 45s", created="12:00:10", handled="12:00:10")
        assert fired(decide(snapshot(definition), at("12:00:54"))) == []
        assert fired(decide(snapshot(definition), at("12:00:55"))) == ["12:00:55"]

    def test_all_due_times_of_the_last_minute_fire_under_allow(self) -> None:
        definition = a_definition("*/20 * * * * *", handled="12:00:00", concurrency={"policy": "Allow"})
        assert fired(decide(snapshot(definition), at("12:00:45"))) == ["12:00:20", "12:00:40"]

    def test_a_definition_that_is_being_deleted_does_nothing(self) -> None:
        definition = replace(a_definition(HOURLY, handled="11:00"), deleting=True)
        assert decide(snapshot(definition), at("12:00:00")).actions == ()


class TestEditsNeverFire:
    """Design 3.1."""

    def test_a_new_definition_counts_since_its_creation(self) -> None:
        definition = a_definition(EVERY_MINUTE, created="12:00:30")
        assert fired(decide(snapshot(definition), at("12:00:59"))) == []
        assert fired(decide(snapshot(definition), at("12:01:00"))) == ["12:01:00"]

    def test_a_due_time_at_the_very_creation_does_not_fire(self) -> None:
        definition = a_definition(EVERY_MINUTE, created="12:00:00")
        assert fired(decide(snapshot(definition), at("12:00:00.4"))) == []

    def test_a_definition_made_while_no_operator_ran_catches_up_since_its_creation(self) -> None:
        definition = a_definition(HOURLY, created="09:30")
        assert fired(decide(snapshot(definition), at("11:30"))) == ["11:00:00"]

    def test_a_definition_made_and_edited_while_no_operator_ran_counts_from_now(self) -> None:
        definition = a_definition(HOURLY, created="09:30", generation=2)
        plan = decide(snapshot(definition), at("11:30"))
        assert fired(plan) == []
        assert handled(plan, definition) == {"t0": "11:30:00"}

    def test_a_changed_trigger_counts_since_the_change_was_seen(self) -> None:
        before = a_definition("0 9 * * *", handled="09:00")
        marks = as_json(before.status)
        after = a_definition("0 10 * * *", generation=2, status=marks)
        plan = decide(snapshot(after), at("10:00:30"))
        assert fired(plan) == []
        assert handled(plan, after) == {"t0": "10:00:30"}
        assert skipped(plan, after) == []

    def test_an_unchanged_trigger_keeps_its_watermark_through_an_edit(self) -> None:
        definition = a_definition(HOURLY, handled="11:00", generation=2, observed=1)
        assert fired(decide(snapshot(definition), at("12:00:00"))) == ["12:00:00"]

    def test_a_trigger_that_is_added_counts_since_it_was_seen_and_the_others_go_on(self) -> None:
        before = a_definition(HOURLY, handled="11:00")
        marks = as_json(before.status)
        after = a_definition(HOURLY, "59 11 * * *", generation=2, status=marks)
        assert fired(decide(snapshot(after), at("12:00:00"))) == ["12:00:00"]

    def test_the_same_expression_under_another_name_is_another_trigger(self) -> None:
        before = a_definition(triggers=triggers(old=HOURLY), handled="11:00")
        marks = as_json(before.status)
        after = a_definition(triggers=triggers(new=HOURLY), generation=2, status=marks)
        assert fired(decide(snapshot(after), at("12:00:30"))) == []

    def test_the_time_zone_is_part_of_the_trigger(self) -> None:
        before = a_definition(HOURLY, handled="11:00")
        marks = as_json(before.status)
        named = [{"name": "t0", "cron": HOURLY, "timeZone": "Europe/Paris"}]
        after = a_definition(triggers=named, generation=2, status=marks)
        assert fired(decide(snapshot(after), at("12:00:30"))) == []


class TestSuspension:
    def test_nothing_fires_while_suspended_and_no_moment_is_waited_for(self) -> None:
        definition = a_definition(HOURLY, handled="11:00", suspend=True)
        plan = decide(snapshot(definition), at("12:00:00"))
        assert fired(plan) == []
        assert plan.wake_at is None

    def test_the_suspension_is_noted_when_first_seen_and_the_watermark_stays(self) -> None:
        definition = a_definition(HOURLY, handled="11:00", suspend=True)
        plan = decide(snapshot(definition), at("11:30:00.7"))
        assert status_after(plan, definition).suspended_since == at("11:30:00")
        assert handled(plan, definition) == {"t0": "11:00:00"}

    def test_a_resume_fires_nothing_and_sums_the_suspension_up(self) -> None:
        definition = a_definition(HOURLY, handled="03:00", status={"suspendedSince": stamp("03:30")})
        plan = decide(snapshot(definition), at("12:00:00.2"))
        assert fired(plan) == []
        assert skipped(plan, definition) == ["t0 04:00:00-12:00:00 x9 Suspended"]
        assert handled(plan, definition) == {"t0": "12:00:00"}
        assert status_after(plan, definition).suspended_since is None
        assert status_after(plan, definition).counts.skipped == 9

    def test_after_a_resume_the_next_due_time_fires(self) -> None:
        definition = a_definition(HOURLY, handled="12:00:00", since="12:00:00", generation=3)
        assert fired(decide(snapshot(definition), at("13:00:00"))) == ["13:00:00"]

    def test_every_counts_from_the_resume(self) -> None:
        definition = a_definition("@every 45s", handled="11:00", status={"suspendedSince": stamp("11:01")})
        plan = decide(snapshot(definition), at("12:00:10"))
        assert status_after(plan, definition).next_executions[0] == at("12:00:55")

    def test_years_of_suspension_are_one_line(self) -> None:
        suspended = {"suspendedSince": stamp("2021-03-10 00:00")}
        definition = a_definition(
            EVERY_MINUTE, created="2021-01-01 00:00", handled="2021-03-10 00:00", status=suspended
        )
        began = time.process_time()
        plan = decide(snapshot(definition), at("00:00:30"))
        assert time.process_time() - began < 1, "of the CPU; to walk them takes several"
        minutes = (5 * 365 + 1) * 24 * 60
        assert skipped(plan, definition) == [f"t0 2021-03-10 00:01:00-00:00:00 x{minutes} Suspended"]


class TestInvalidity:
    def test_nothing_fires_while_invalid_and_the_watermarks_stay(self) -> None:
        named = triggers(bad="61 * * * *", t0=HOURLY)
        good = as_json(a_definition(HOURLY, handled="11:00").status)
        definition = a_definition(triggers=named, generation=2, status=good)
        plan = decide(snapshot(definition), at("12:00:30"))
        assert fired(plan) == []
        assert handled(plan, definition) == {"t0": "11:00:00"}

    def test_the_time_spent_invalid_is_one_line(self) -> None:
        definition = a_definition(HOURLY, handled="03:00", generation=3, status={"conditions": invalid_spec(2)})
        plan = decide(snapshot(definition, template_check=None), at("12:00:30"))
        assert fired(plan) == []
        assert skipped(plan, definition) == ["t0 04:00:00-12:00:00 x9 Invalid"]

    def test_a_refused_job_template_does_not_stop_the_clock(self) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        plan = decide(snapshot(definition, template_check=TemplateCheck(1, "spec.jobTemplate: no")), at("12:00:00"))
        assert fired(plan) == ["12:00:00"]


class TestWatermark:
    """Design 3.2: it never passes an unresolved due time."""

    def test_it_stays_while_the_run_is_not_made(self) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        assert handled(decide(snapshot(definition), at("12:00:00")), definition) == {"t0": "11:00:00"}

    def test_it_moves_once_the_run_exists(self) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        plan = decide(snapshot(definition, a_run("12:00")), at("12:00:00.1"))
        assert handled(plan, definition) == {"t0": "12:00:00"}

    def test_a_run_that_exists_is_not_fired_again_though_the_watermark_was_not_written(self) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        plan = decide(snapshot(definition, a_run("12:00", "Succeeded", ended="12:01")), at("12:30"))
        assert fired(plan) == []
        assert handled(plan, definition) == {"t0": "12:00:00"}
        assert skipped(plan, definition) == []

    def test_it_stops_short_of_the_unmade_run_though_later_ones_exist(self) -> None:
        definition = a_definition("*/20 * * * * *", handled="12:00:00", concurrency={"policy": "Allow"})
        plan = decide(snapshot(definition, a_run("12:00:40")), at("12:00:45"))
        assert fired(plan) == ["12:00:20"]
        assert handled(plan, definition) == {"t0": "12:00:00"}

    def test_the_other_triggers_are_not_held_up(self) -> None:
        definition = a_definition("30 12 * * *", "0 * * * *", handled="11:30", concurrency={"policy": "Allow"})
        assert handled(decide(snapshot(definition, a_run("12:00")), at("12:30:05")), definition) == {
            "t0": "11:30:00",
            "t1": "12:00:00",
        }

    def test_it_stays_where_it_is_while_nothing_is_due(self) -> None:
        definition = a_definition("0 3 1 * *", handled="2026-03-01 03:00", created="2026-01-01 00:00")
        assert handled(decide(snapshot(definition), at("12:00")), definition) == {"t0": "2026-03-01 03:00:00"}

    def test_a_clock_that_was_set_back_repeats_nothing(self) -> None:
        definition = a_definition(HOURLY, handled="12:00", created="00:00")
        plan = decide(snapshot(definition), at("11:00:30"))
        assert fired(plan) == []
        assert handled(plan, definition) == {"t0": "12:00:00"}
        assert plan.wake_at == at("13:00")

    def test_the_run_of_another_definition_of_the_same_name_resolves_nothing(self) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        assert fired(decide(snapshot(definition, a_run("12:00", owner="uid-of-the-old-one")), at("12:00:10"))) == [
            "12:00:00"
        ]


class TestForeignNames:
    def test_a_run_whose_name_is_taken_gets_a_hashed_one(self) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        name = periodic_runs(NAME, at("12:00"), DEFINITION_UID)[0]
        (create,) = each(decide(snapshot(definition, taken_runs=frozenset({name})), at("12:00")), plans.CreateRun)
        assert create.name.startswith(f"{name}-")
        assert create.name == create.body["metadata"]["name"] != name

    def test_the_run_under_the_hashed_name_resolves_the_due_time(self) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        name = periodic_runs(NAME, at("12:00"), DEFINITION_UID)[0]
        spare = a_run("12:00", name=f"{name}-0a1b2c3d")
        plan = decide(snapshot(definition, spare, taken_runs=frozenset({name})), at("12:00:01"))
        assert fired(plan) == []
        assert handled(plan, definition) == {"t0": "12:00:00"}


class TestDowntime:
    """Design 3.3: catch-up Latest."""

    def test_a_due_time_missed_by_hours_is_run_once_and_the_others_are_told(self) -> None:
        definition = a_definition(HOURLY, handled="03:00")
        snap = snapshot(definition)
        assert fired(decide(snap, at("12:30"))) == ["12:00:00"]
        plan = decide(snapshot(definition, a_run("12:00", created="12:30")), at("12:30:00.2"))
        assert skipped(plan, definition) == ["t0 04:00:00-11:00:00 x8 CatchUp"]
        assert handled(plan, definition) == {"t0": "12:00:00"}

    def test_where_one_due_time_is_fresh_the_missed_ones_are_not_run(self) -> None:
        definition = a_definition(HOURLY, handled="03:00")
        assert fired(decide(snapshot(definition), at("12:00:20"))) == ["12:00:00"]
        plan = decide(snapshot(definition, a_run("12:00")), at("12:00:20.2"))
        assert skipped(plan, definition) == ["t0 04:00:00-11:00:00 x8 CatchUp"]

    @pytest.mark.parametrize(("seconds_late", "expected"), [("12:00:59", ["12:00:00"]), ("12:01:00", ["12:00:00"])])
    def test_a_single_missed_due_time_is_run_however_late(self, seconds_late: str, expected: list[str]) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        assert fired(decide(snapshot(definition), at(seconds_late))) == expected

    def test_the_newest_of_all_triggers_is_run_and_the_lines_are_by_trigger(self) -> None:
        definition = a_definition("0 * * * *", "30 */2 * * *", handled="08:00")
        assert fired(decide(snapshot(definition), at("12:45"))) == ["12:30:00"]
        plan = decide(snapshot(definition, a_run("12:30", created="12:45")), at("12:45:01"))
        assert sorted(skipped(plan, definition)) == [
            "t0 09:00:00-12:00:00 x4 CatchUp",
            "t1 08:30:00-10:30:00 x2 CatchUp",
        ]

    def test_years_of_every_minute_are_counted_and_not_walked(self) -> None:
        definition = a_definition(EVERY_MINUTE, created="2021-01-01 00:00", handled="2021-03-10 12:00")
        run = a_run("11:59")
        began = time.process_time()
        plan = decide(snapshot(definition, run), at("11:59:30"))
        assert time.process_time() - began < 1, "of the CPU; to walk them takes several"
        minutes = (5 * 365 + 1) * 24 * 60 - 2
        assert skipped(plan, definition) == [f"t0 2021-03-10 12:01:00-11:58:00 x{minutes} CatchUp"]
        assert status_after(plan, definition).counts.skipped == minutes

    def test_missed_runs_that_were_made_before_the_crash_are_not_told_as_skipped(self) -> None:
        definition = a_definition(HOURLY, handled="03:00")
        runs = [a_run("05:00", "Succeeded", ended="05:01"), a_run("12:00", created="12:30")]
        plan = decide(snapshot(definition, *runs), at("12:30:01"))
        assert skipped(plan, definition) == ["t0 06:00:00-11:00:00 x6 CatchUp", "t0 04:00:00 CatchUp"]

    def test_a_missed_single_instant_is_run(self) -> None:
        definition = a_definition(triggers=triggers(once="2026-03-10T04:00:00Z"), handled="00:00")
        assert fired(decide(snapshot(definition), at("12:30"))) == ["04:00:00"]


class TestDeadline:
    """startingDeadlineSeconds: a start later than this is skipped, and says so; it is also the catch-up window."""

    @pytest.mark.parametrize(
        ("now", "fires"), [("12:00:30", ["12:00:00"]), ("12:00:30.9", ["12:00:00"]), ("12:00:31", [])]
    )
    def test_a_due_time_exactly_at_the_deadline_is_in_time(self, now: str, fires: list[str]) -> None:
        definition = a_definition(HOURLY, handled="11:00", startingDeadlineSeconds=30)
        assert fired(decide(snapshot(definition), at(now))) == fires

    def test_a_due_time_past_its_deadline_is_told(self) -> None:
        definition = a_definition(HOURLY, handled="11:00", startingDeadlineSeconds=30)
        plan = decide(snapshot(definition), at("12:00:31"))
        assert skipped(plan, definition) == ["t0 12:00:00 DeadlineExceeded"]
        assert handled(plan, definition) == {"t0": "12:00:00"}

    def test_a_due_time_long_past_its_deadline_is_told(self) -> None:
        definition = a_definition(HOURLY, handled="11:00", startingDeadlineSeconds=600)
        plan = decide(snapshot(definition), at("12:30"))
        assert fired(plan) == []
        assert skipped(plan, definition) == ["t0 12:00:00 DeadlineExceeded"]

    def test_the_window_tells_the_reasons_apart(self) -> None:
        definition = a_definition("*/10 * * * *", handled="10:00", startingDeadlineSeconds=1800)
        assert fired(decide(snapshot(definition), at("12:05"))) == ["12:00:00"]
        plan = decide(snapshot(definition, a_run("12:00", created="12:05")), at("12:05:00.3"))
        assert skipped(plan, definition) == [
            "t0 11:40:00-11:50:00 x2 CatchUp",
            "t0 10:10:00-11:30:00 x9 DeadlineExceeded",
        ]

    def test_a_missed_due_time_within_the_deadline_is_run(self) -> None:
        definition = a_definition(HOURLY, handled="11:00", startingDeadlineSeconds=3600)
        assert fired(decide(snapshot(definition), at("12:30"))) == ["12:00:00"]


class TestCoalescing:
    """Neighbours in the schedule with the same reason share a line of `skips`."""

    @staticmethod
    def line(due_from: str, due_to: str, count: int, reason: str, trigger: str = "t0") -> dict[str, object]:
        return {"trigger": trigger, "from": stamp(due_from), "to": stamp(due_to), "count": count, "reason": reason}

    @staticmethod
    def forbidden_at_noon(*lines: dict[str, object], crons: tuple[str, ...] = (HOURLY,)) -> list[str]:
        """The lines after one more due time of t0 was forbidden."""
        marks = {"t0": "11:00", "t1": "11:30"}
        definition = a_definition(*crons, handled=marks, status={"skips": list(lines)})
        run = a_run("08:00", "Running")
        return skipped(decide(snapshot(definition, run, a_job(run, active=1)), at("12:00")), definition)

    def test_a_neighbour_with_the_same_reason_joins_the_line(self) -> None:
        assert self.forbidden_at_noon(self.line("10:00", "11:00", 2, "ConcurrencyForbid")) == [
            "t0 10:00:00-12:00:00 x3 ConcurrencyForbid"
        ]

    def test_another_reason_begins_a_line(self) -> None:
        assert self.forbidden_at_noon(self.line("10:00", "11:00", 2, "CatchUp")) == [
            "t0 12:00:00 ConcurrencyForbid",
            "t0 10:00:00-11:00:00 x2 CatchUp",
        ]

    def test_a_due_time_between_that_ran_begins_a_line(self) -> None:
        assert self.forbidden_at_noon(self.line("09:00", "10:00", 2, "ConcurrencyForbid")) == [
            "t0 12:00:00 ConcurrencyForbid",
            "t0 09:00:00-10:00:00 x2 ConcurrencyForbid",
        ]

    def test_what_was_counted_under_other_exclusions_begins_a_line(self) -> None:
        """A line of two that would count three today: one of them was excluded then."""
        assert self.forbidden_at_noon(self.line("09:00", "11:00", 2, "ConcurrencyForbid")) == [
            "t0 12:00:00 ConcurrencyForbid",
            "t0 09:00:00-11:00:00 x2 ConcurrencyForbid",
        ]

    def test_as_many_due_times_of_other_exclusions_are_not_the_same_ones(self) -> None:
        """Of ten to twelve two were excluded, as today; but ten, where the line begins, is not excluded today."""
        recorded = self.line("10:00", "12:00", 2, "Excluded")
        windows = [{"cron": "0 11-13 * * *", "durationSeconds": 60}]
        definition = a_definition(
            HOURLY, since="08:00", handled="12:00", status={"skips": [recorded]}, exclude={"windows": windows}
        )
        assert skipped(decide(snapshot(definition), at("13:00:01")), definition) == [
            "t0 13:00:00 Excluded",
            "t0 10:00:00-12:00:00 x2 Excluded",
        ]

    def test_an_edit_or_a_resume_begins_a_line(self) -> None:
        before = self.line("10:00", "11:00", 2, "ConcurrencyForbid")
        definition = a_definition(HOURLY, since="11:30", handled="11:30", status={"skips": [before]})
        run = a_run("08:00", "Running")
        assert skipped(decide(snapshot(definition, run, a_job(run, active=1)), at("12:00")), definition) == [
            "t0 12:00:00 ConcurrencyForbid",
            "t0 10:00:00-11:00:00 x2 ConcurrencyForbid",
        ]

    def test_a_run_of_another_trigger_does_not_cut_a_summary_in_two(self) -> None:
        status = {"suspendedSince": stamp("09:30")}
        definition = a_definition(HOURLY, "15 10 * * *", handled="09:30", status=status)
        plan = decide(snapshot(definition, a_run("10:15", "Succeeded", ended="10:16")), at("12:30"))
        assert skipped(plan, definition) == ["t0 10:00:00-12:00:00 x3 Suspended"]

    def test_the_line_of_another_trigger_does_not_come_between(self) -> None:
        lines = (
            self.line("11:30", "11:30", 1, "ConcurrencyForbid", "t1"),
            self.line("10:00", "11:00", 2, "ConcurrencyForbid"),
        )
        assert self.forbidden_at_noon(*lines, crons=(HOURLY, "30 11 * * *")) == [
            "t0 10:00:00-12:00:00 x3 ConcurrencyForbid",
            "t1 11:30:00 ConcurrencyForbid",
        ]

    def test_the_newest_twenty_lines_are_kept(self) -> None:
        lines = [
            self.line(f"2026-02-{day:02} 00:00", f"2026-02-{day:02} 00:00", 1, "CatchUp") for day in range(20, 0, -1)
        ]
        kept = self.forbidden_at_noon(*lines)
        assert len(kept) == 20
        assert kept[0] == "t0 12:00:00 ConcurrencyForbid"
        assert kept[-1] == "t0 2026-02-02 00:00:00 CatchUp"

    def test_an_hour_of_every_minute_behind_a_long_run_is_one_line(self) -> None:
        definition = a_definition(EVERY_MINUTE, handled="11:00")
        run = a_run("11:00", "Running")
        lines: list[str] = []
        for minute in range(1, 60):
            plan = decide(snapshot(definition, run, a_job(run, active=1)), at(f"11:{minute:02}:00.1"))
            lines = skipped(plan, definition)
            status = as_json(status_after(plan, definition))
            definition = a_definition(EVERY_MINUTE, status=status)
        assert lines == ["t0 11:01:00-11:59:00 x59 ConcurrencyForbid"]
        assert definition.status.counts.skipped == 59
