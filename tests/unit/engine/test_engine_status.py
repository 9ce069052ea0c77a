"""The definition's status: columns, conditions, counts, history. What `kubectl get` and GitOps tools see: design 2."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.api.keys import HISTORY_CLEARED_ANNOTATION
from carillon.api.scheduledjob import ScheduledJobStatus
from carillon.engine import names
from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.history import Current, dated, record, unrecorded
from carillon.engine.model import Definition, Job, PodReport, Refusal, Run, TemplateCheck
from carillon.engine.read import read_definition
from tests.unit.engine.builders import (
    DEFINITION_UID,
    HOURLY,
    NAME,
    Body,
    a_definition,
    a_job,
    a_run,
    as_json,
    at,
    condition,
    conditions_after,
    each,
    events,
    history_line,
    invalid_spec,
    raw_definition,
    runs_of,
    skipped,
    snapshot,
    stamp,
    status_after,
)


def hourly(*, cleared: str | None = None, **rest: Any) -> Definition:
    definition = a_definition(HOURLY, **({"handled": "12:00"} | rest))
    return definition if cleared is None else replace(definition, history_cleared=at(cleared))


def status(definition: Definition, *things: Run | Job, now: str = "12:10", **seen: Any) -> ScheduledJobStatus:
    return status_after(decide(snapshot(definition, *things, **seen), at(now)), definition)


def at_work(due: str = "12:00") -> tuple[Run, Job]:
    run = a_run(due, "Running")
    return run, a_job(run, active=1)


class TestAtRest:
    def test_what_was_written_once_is_not_written_again(self) -> None:
        definition = hourly()
        things = [a_run("12:00", "Succeeded", ended="12:01")]
        first = decide(snapshot(definition, *things), at("12:02"))
        settled = hourly(status=as_json(status_after(first, definition)))
        second = decide(snapshot(settled, *things), at("12:59:59.9"))
        assert second.actions == ()
        assert second.wake_at == at("13:00")

    @pytest.mark.parametrize("spec", [{}, {"suspend": True}, {"concurrency": {"policy": "Replace"}}])
    @pytest.mark.parametrize("crons", [(), (HOURLY,), ("@every 2h", "0 3 29 2 *")])
    def test_whatever_the_definition(self, crons: tuple[str, ...], spec: Body) -> None:
        definition = a_definition(*crons, created="11:30", **spec)
        plan = decide(snapshot(definition, template_check=TemplateCheck(1, "")), at("11:40"))
        settled = a_definition(*crons, created="11:30", status=as_json(status_after(plan, definition)), **spec)
        assert decide(snapshot(settled), at("11:50")).actions == ()

    def test_an_invalid_definition_rests_too(self) -> None:
        definition = a_definition("61 * * * *")
        first = status_after(decide(snapshot(definition), at("11:40")), definition)
        settled = a_definition("61 * * * *", status=as_json(first))
        assert decide(snapshot(settled), at("11:50")).actions == ()

    def test_all_that_changed_is_one_write(self) -> None:
        run = a_run("12:00", "Running")
        plan = decide(snapshot(hourly(handled="11:00"), run, a_job(run, succeeded="12:05")), at("12:05:01"))
        assert len(each(plan, plans.WriteDefinitionStatus)) == 1

    def test_the_write_names_the_version_that_was_read(self) -> None:
        (write,) = each(decide(snapshot(a_definition(HOURLY)), at("00:30")), plans.WriteDefinitionStatus)
        assert write.resource_version == "10"

    def test_records_go_before_the_status_that_speaks_of_them(self) -> None:
        run = a_run("12:00", "Running")
        actions = decide(snapshot(hourly(), run, a_job(run, succeeded="12:05")), at("12:05:01")).actions
        kinds = [type(action) for action in actions]
        assert kinds.index(plans.WriteRunStatus) < kinds.index(plans.WriteDefinitionStatus)


class TestStatusColumn:
    """The first that holds of Invalid, Running, Queued, Disabled, Overdue, the last outcome, Waiting."""

    RAN = a_run("12:00", "Failed", ended="12:01")
    QUEUED = a_run(
        name=names.auto_start_runs(NAME, DEFINITION_UID)[0], phase="Queued", trigger="autoStart", created="12:05"
    )

    def shown(self, *things: Run | Job, invalid: bool = False, **rest: Any) -> str:
        cron = "61 * * * *" if invalid else HOURLY
        definition = a_definition(cron, **({"handled": "12:00"} | rest))
        return status(definition, *things).display.status

    def test_invalid(self) -> None:
        assert self.shown(*at_work(), self.RAN, invalid=True, suspend=True) == "Invalid"

    def test_a_refused_template_is_invalid_too(self) -> None:
        refused = status(hourly(), *at_work(), template_check=TemplateCheck(1, "spec.jobTemplate: no"))
        assert refused.display.status == "Invalid"

    def test_running(self) -> None:
        assert self.shown(*at_work(), self.QUEUED, suspend=True) == "Running"

    def test_queued(self) -> None:
        active = a_run("11:00", "Failed", ended="12:09")
        pods = a_job(active, failed="12:09", terminating=1)
        assert self.shown(active, pods, self.QUEUED) == "Queued"

    def test_disabled(self) -> None:
        assert self.shown(self.RAN, suspend=True) == "Disabled"

    def test_overdue(self) -> None:
        assert self.shown(a_run("11:00", "Failed", ended="11:01"), handled="11:00") == "Overdue"

    @pytest.mark.parametrize("outcome", ["Succeeded", "Failed", "Stopped"])
    def test_the_last_outcome(self, outcome: str) -> None:
        assert self.shown(a_run("12:00", outcome, ended="12:01")) == outcome

    def test_waiting(self) -> None:
        assert self.shown() == "Waiting"

    def test_a_skipped_run_is_no_outcome(self) -> None:
        assert self.shown(a_run(phase="Skipped", ended="12:01")) == "Waiting"


class TestOtherColumns:
    def test_label_owner_and_schedule_as_people_wrote_them(self) -> None:
        named = [{"name": "a", "cron": "0 3 * * *", "timeZone": "Europe/Paris"}, {"name": "b", "cron": "@daily"}]
        display = status(a_definition(label="Sweep", owner="alice", triggers=named)).display
        assert (display.label, display.owner) == ("Sweep", "alice")
        assert display.schedule == "0 3 * * * Europe/Paris, @daily"

    def test_the_name_stands_in_for_the_label(self) -> None:
        assert status(a_definition()).display.label == NAME

    @pytest.mark.parametrize(
        ("spec", "owner"),
        [({}, ""), ({"class": "System"}, "system"), ({"class": "System", "owner": "ops"}, "ops")],
    )
    def test_system_owns_a_system_job_that_nobody_owns(self, spec: Body, owner: str) -> None:
        assert status(a_definition(**spec)).display.owner == owner

    @pytest.mark.parametrize(("crons", "trigger"), [((), "Manual"), ((HOURLY,), "Periodic")])
    def test_the_trigger(self, crons: tuple[str, ...], trigger: str) -> None:
        assert status(a_definition(*crons)).display.trigger == trigger

    def test_last_execution_and_next(self) -> None:
        display = status(hourly(), a_run("12:00", "Running", started="12:00:01")).display
        assert (display.last_execution, display.next) == ("2026-03-10 12:00:01Z", "2026-03-10 13:00Z")

    def test_they_are_empty_where_there_is_none(self) -> None:
        display = status(a_definition()).display
        assert (display.last_execution, display.next) == ("", "")

    def test_a_long_list_of_triggers_fits_the_column(self) -> None:
        named = [
            {"name": f"t{i}", "cron": "0 0 1 1 *", "timeZone": "America/Argentina/Buenos_Aires"} for i in range(16)
        ]
        assert len(status(a_definition(triggers=named)).display.schedule) == 300


class TestNextExecutions:
    def test_the_next_five_of_all_triggers_each_instant_once(self) -> None:
        definition = a_definition("0 * * * *", "0 */2 * * *", "30 14 * * *", handled="12:00")
        assert [f"{due:%H:%M}" for due in status(definition).next_executions] == [
            "13:00",
            "14:00",
            "14:30",
            "15:00",
            "16:00",
        ]

    def test_none_while_nothing_will_fire(self) -> None:
        assert status(hourly(suspend=True)).next_executions == ()
        assert status(a_definition(HOURLY, "61 * * * *")).next_executions == ()

    def test_as_many_as_there_are(self) -> None:
        once = [{"name": "once", "at": "2026-03-10T18:00:00Z"}]
        assert status(a_definition(triggers=once)).next_executions == (at("18:00"),)


class TestConditions:
    def test_a_new_definition_is_checked_once(self) -> None:
        plan = decide(snapshot(a_definition(HOURLY)), at("00:10"))
        (check,) = each(plan, plans.CheckTemplate)
        assert check.generation == 1

    def test_an_accepted_one_is_ready(self) -> None:
        definition = a_definition(HOURLY)
        plan = decide(snapshot(definition, template_check=TemplateCheck(1, "")), at("00:10"))
        assert conditions_after(plan, definition)["Ready"] == ("True", "Accepted")
        assert each(plan, plans.CheckTemplate) == []

    def test_an_accepted_one_is_not_checked_again(self) -> None:
        assert each(decide(snapshot(hourly()), at("12:10")), plans.CheckTemplate) == []

    def test_a_new_generation_is(self) -> None:
        plan = decide(snapshot(hourly(generation=2, observed=1)), at("12:10"))
        assert each(plan, plans.CheckTemplate)[0].generation == 2

    def test_a_refused_template_stalls_it_and_is_tried_again_later(self) -> None:
        definition = a_definition()
        plan = decide(snapshot(definition, template_check=TemplateCheck(1, "spec.jobTemplate: no")), at("12:10:00.5"))
        after = conditions_after(plan, definition)
        assert (after["Ready"], after["Stalled"]) == (
            ("False", "JobTemplateRefused"),
            ("True", "JobTemplateRefused"),
        )
        assert plan.wake_at == at("12:15:00")

    def test_an_invalid_one_says_what_and_where(self) -> None:
        definition = a_definition("61 * * * *")
        plan = decide(snapshot(definition), at("12:10"))
        ready = next(c for c in status_after(plan, definition).conditions if c.type == "Ready")
        assert (ready.status, ready.reason) == ("False", "InvalidSpec")
        assert "spec.triggers[0].cron" in ready.message
        assert conditions_after(plan, definition)["Stalled"] == ("True", "InvalidSpec")

    def test_a_mended_one_is_not_stalled(self) -> None:
        definition = hourly(generation=2, status={"conditions": invalid_spec(1)})
        after = status(definition, template_check=TemplateCheck(2, ""))
        assert {c.type for c in after.conditions} == {"Ready", "OnTime"}

    @pytest.mark.parametrize(("phase", "expected"), [("Succeeded", "True"), ("Failed", "False"), ("Stopped", "False")])
    def test_the_outcome_of_the_last_run(self, phase: str, expected: str) -> None:
        after = status(hourly(), a_run("12:00", phase, ended="12:01", reason="Why", message="words"))
        last = next(c for c in after.conditions if c.type == "LastRunSucceeded")
        assert (last.status, last.reason) == (expected, "Why")
        assert last.message.endswith(": words")

    def test_an_outcome_never_makes_a_definition_unready(self) -> None:
        plan = decide(snapshot(hourly(), a_run("12:00", "Failed", ended="12:01")), at("12:10"))
        assert conditions_after(plan, hourly())["Ready"] == ("True", "Accepted")

    def test_it_stays_while_the_next_one_runs(self) -> None:
        told = [condition("LastRunSucceeded", "False", "OOMKilled", "x"), *hourly().status.model_dump()["conditions"]]
        definition = hourly(status={"conditions": told})
        plan = decide(snapshot(definition, *at_work()), at("12:10"))
        assert conditions_after(plan, definition)["LastRunSucceeded"] == ("False", "OOMKilled")

    @pytest.mark.parametrize(("now", "on_time"), [("13:00:59", "True"), ("13:01:00", "False")])
    def test_a_due_run_that_has_not_started_in_a_minute_is_not_on_time(self, now: str, on_time: str) -> None:
        after = status(hourly(), now=now)
        condition_ = next(c for c in after.conditions if c.type == "OnTime")
        assert condition_.status == on_time
        if on_time == "False":
            assert condition_.message == "due at 2026-03-10 13:00:00Z and not started"

    def test_a_skip_is_on_time(self) -> None:
        definition = hourly()
        plan = decide(snapshot(definition, *at_work()), at("13:05"))
        assert skipped(plan, definition) == ["t0 13:00:00 ConcurrencyForbid"]
        assert conditions_after(plan, definition)["OnTime"][0] == "True"

    def test_the_observed_generation_is_kept_current_though_suspended(self) -> None:
        after = status(hourly(suspend=True, generation=7, observed=6), template_check=TemplateCheck(7, ""))
        assert after.observed_generation == 7
        assert {c.observed_generation for c in after.conditions} == {7}

    def test_the_transition_time_moves_only_with_the_status(self) -> None:
        ran = a_run("12:00", "Failed", ended="12:01", reason="A", message="one")
        first = status(hourly(), ran, now="12:01")
        again = a_run("13:00", "Failed", ended="13:01", reason="B", message="two")
        second = status(hourly(handled="13:00", status=as_json(first)), ran, again, now="13:01")
        changed = {c.type: c for c in second.conditions}["LastRunSucceeded"]
        assert (changed.reason, changed.last_transition_time) == ("B", at("12:01"))

    def test_words_of_any_length_fit(self) -> None:
        after = status(a_definition(HOURLY), template_check=TemplateCheck(1, "x" * 4000))
        assert max(len(c.message) for c in after.conditions) == 1024


class TestHistory:
    def test_a_finished_run_gets_a_line(self) -> None:
        run = a_run("12:00", "Running", started="12:00:01")
        pods = {run.status.steps[0].job_uid: PodReport(0, exit_code=3, message="disk full")}
        (line,) = status(hourly(), run, a_job(run, failed="12:05"), pods=pods).history
        assert (line.run, line.uid, line.trigger, line.phase) == (run.name, run.uid, "t0", "Failed")
        assert (line.exit_code, line.message) == (3, "disk full")
        assert (line.scheduled_time, line.start_time, line.completion_time) == (
            at("12:00"),
            at("12:00:01"),
            at("12:05"),
        )

    def test_a_manual_run_says_so(self) -> None:
        assert status(hourly(), a_run(phase="Succeeded", ended="12:05")).history[0].trigger == "Manual"

    def test_the_newest_comes_first(self) -> None:
        runs = [a_run(due, "Succeeded", ended=f"{due}:30") for due in ("11:00", "09:00", "10:00")]
        after = status(hourly(), *runs)
        assert [line.scheduled_time for line in after.history] == [at("11:00"), at("10:00"), at("09:00")]

    def test_twenty_lines_are_kept_and_what_left_is_remembered_by_its_time(self) -> None:
        lines = [history_line(f"r{minute}", f"11:{minute:02}") for minute in range(29, 9, -1)]
        run = a_run("12:00", "Succeeded", ended="12:01")
        after = status(hourly(status={"history": lines}), run)
        assert runs_of(after.history) == [run.name, *(f"r{minute}" for minute in range(29, 10, -1))]
        assert after.recorded_through == at("11:10")

    def test_a_run_in_history_is_not_counted_again(self) -> None:
        run = a_run("12:00", "Succeeded", ended="12:01")
        recorded = {"history": [history_line(run.name, "12:01")], "counts": {"succeeded": 1}}
        after = status(hourly(status=recorded), run)
        assert after.counts.succeeded == 1
        assert len(after.history) == 1

    def test_a_run_that_left_history_is_not_counted_again(self) -> None:
        run = a_run("11:00", "Succeeded", ended="11:01")
        after = status(hourly(status={"recordedThrough": "2026-03-10T11:01:00Z", "counts": {"succeeded": 9}}), run)
        assert after.counts.succeeded == 9
        assert after.history == ()

    def test_a_run_that_finishes_late_is_dated_after_what_is_recorded(self) -> None:
        """Its pod took its time to end; by its Job it had finished before others that are in the books."""
        run = a_run("11:00", "Running")
        definition = hourly(status={"recordedThrough": "2026-03-10T11:30:00Z"})
        after = status(definition, run, a_job(run, succeeded="11:05"))
        assert after.counts.succeeded == 1
        assert after.history[0].completion_time == at("11:30:01")

    def test_thirty_that_finish_in_one_second_are_counted_once_each(self) -> None:
        """Twenty fit at once; the others wait for a second in which nothing can join them unseen."""
        runs = [a_run(name=f"r{i:02}", phase="Skipped", ended="12:10:00") for i in range(30)]
        first = decide(snapshot(hourly(), *runs), at("12:10:00.4"))
        after = status_after(first, hourly())
        assert after.counts.skipped == 20
        assert after.recorded_through is None
        assert first.wake_at == at("12:10:01")
        late = a_run(name="r99", phase="Skipped", ended="12:10:00")
        second = status(hourly(status=as_json(after)), *runs, late, now="12:10:01")
        assert second.counts.skipped == 31
        assert second.recorded_through == at("12:10:00")

    def test_a_clock_that_was_set_back_stops_no_record_and_no_wake(self) -> None:
        """Twenty lines lie in the future; to wait for them would be to record nothing until then."""
        lines = [history_line(f"r{minute}", f"14:{minute:02}") for minute in range(29, 9, -1)]
        definition = hourly(status={"history": lines, "recordedThrough": stamp("14:09")})
        run = a_run("12:00", "Running")
        plan = decide(snapshot(definition, run, a_job(run, succeeded="12:04")), at("12:04:01"))
        after = status_after(plan, definition)
        assert runs_of(after.history)[0] == run.name
        assert after.history[0].completion_time == at("14:09:01"), "after what is counted already"
        assert after.counts.succeeded == 1
        assert after.recorded_through == at("14:10")
        assert plan.wake_at == at("13:00")

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.tuples(st.integers(-7200, 7200), st.integers(0, 30)), max_size=12))
    def test_whatever_the_clock_does_each_run_is_counted_once(self, turns: list[tuple[int, int]]) -> None:
        """Each turn sets the clock, and lets some runs finish; then seconds pass until all is counted."""
        now, kept = at("12:00"), ScheduledJobStatus()
        runs: list[Run] = []
        counted: list[str] = []
        for jump, count in turns:
            now += timedelta(seconds=jump)
            for _ in range(count):
                run = a_run(name=f"r{len(runs)}", phase="Running")
                ended = run.status.model_copy(update={"phase": "Succeeded", "completion_time": now})
                runs.append(replace(run, status=dated(run, ended, kept.recorded_through)))
            for waited in range(5):
                currents = [Current(run, run.status) for run in runs]
                taken, history, through = record(kept, unrecorded(kept, currents), now)
                counted += [current.run.name for current in taken]
                kept = kept.model_copy(update={"history": history, "recorded_through": through})
                if not unrecorded(kept, currents):
                    break
                assert waited < 4, "it waits for a clock that may not come"
                now += timedelta(seconds=1)
        assert sorted(counted) == sorted(run.name for run in runs)

    def test_cleared_lines_go_and_stay_counted(self) -> None:
        lines = [history_line("new", "11:40"), history_line("edge", "11:30"), history_line("old", "11:00")]
        run = a_run("11:00", "Succeeded", ended="11:00:30")
        before = {"history": lines, "counts": {"succeeded": 3}}
        after = status(hourly(status=before, cleared="11:30"), run)
        assert runs_of(after.history) == ["new"]
        assert after.recorded_through == at("11:30")
        assert after.counts.succeeded == 4, "the run that had no line yet is counted with the write that clears"
        again = status(hourly(status=as_json(after), cleared="11:30"), run)
        assert again == after

    def test_what_ends_after_a_clear_gets_its_line(self) -> None:
        cleared = hourly(status={"recordedThrough": "2026-03-10T11:30:00Z"}, cleared="11:30")
        run = a_run("11:00", "Running")
        after = status(cleared, run, a_job(run, succeeded="11:05"))
        assert [line.completion_time for line in after.history] == [at("11:30:01")]

    def test_nothing_is_cleared_of_the_present_second_in_which_more_may_end(self) -> None:
        definition = hourly(status={"history": [history_line("just", "12:10:00")]}, cleared="12:10:00")
        assert runs_of(status(definition, now="12:10:00").history) == ["just"]
        assert runs_of(status(definition, now="12:10:01").history) == []

    def test_while_runs_wait_for_their_line_nothing_is_cleared(self) -> None:
        runs = [a_run(name=f"r{i:02}", phase="Skipped", ended="12:10:00") for i in range(30)]
        definition = hourly(status={"history": [history_line("old", "11:00")]}, cleared="12:00")
        first = status(definition, *runs, now="12:10:00")
        assert "old" in runs_of(first.history)
        second = status(hourly(status=as_json(first), cleared="12:00"), *runs, now="12:10:01")
        assert second.counts.skipped == 30
        assert "old" not in runs_of(second.history)

    @pytest.mark.parametrize("text", ["", "yesterday", "2026-03-10T11:30:00", "2026-03-10"])
    def test_an_annotation_that_names_no_instant_clears_nothing(self, text: str) -> None:
        raw = raw_definition(HOURLY, status={"history": [history_line("old", "11:00")]})
        raw["metadata"]["annotations"] = {HISTORY_CLEARED_ANNOTATION: text}
        assert runs_of(status(read_definition(raw)).history) == ["old"]

    def test_the_message_of_a_line_is_short(self) -> None:
        after = status(hourly(), a_run("12:00", "Failed", ended="12:01", message="x" * 4000))
        assert len(after.history[0].message) == 256


class TestCounts:
    def test_each_outcome_is_counted(self) -> None:
        runs = [
            a_run(f"0{i}:00", phase, ended=f"0{i}:01") for i, phase in enumerate(("Succeeded", "Failed", "Stopped"))
        ]
        counts = status(hourly(), *runs, a_run(phase="Skipped", ended="12:01")).counts
        assert (counts.succeeded, counts.failed, counts.stopped, counts.skipped) == (1, 1, 1, 1)

    def test_skipped_due_times_are_counted_with_the_refused_runs(self) -> None:
        definition = hourly(handled="09:00", status={"counts": {"skipped": 5}})
        active = at_work("09:00")
        assert status(definition, *active, now="12:00").counts.skipped == 8

    def test_active_is_who_holds_a_slot(self) -> None:
        assert status(hourly(), *at_work()).counts.active == 1
        run = a_run("12:00", "Running")
        assert status(hourly(), run, a_job(run, succeeded="12:05")).counts.active == 0


class TestLast:
    def test_last_execution_is_the_run_that_started_last(self) -> None:
        early, late = a_run("11:00", "Running", started="12:05"), a_run("12:00", "Succeeded", ended="12:01")
        after = status(hourly(), early, late)
        assert after.last_execution is not None
        assert after.last_execution.run == early.name

    def test_it_outlives_the_run(self) -> None:
        after = status(hourly(status={"lastExecution": history_line("gone", "11:00", "Failed")}))
        assert after.last_execution is not None
        assert after.last_execution.run == "gone"
        assert after.display.status == "Failed"

    def test_an_older_run_that_is_still_there_does_not_take_its_place(self) -> None:
        definition = hourly(status={"lastExecution": history_line("gone", "11:30")})
        after = status(definition, a_run("11:00", "Failed", ended="11:01"))
        assert after.last_execution is not None
        assert after.last_execution.run == "gone"

    def test_a_run_that_waits_is_not_it(self) -> None:
        assert status(hourly(), a_run("12:00", "Queued", reason="JobRefused")).last_execution is None

    def test_the_times_of_the_last_success_failure_and_due_time(self) -> None:
        runs = (
            a_run("10:00", "Succeeded", ended="10:01"),
            a_run("11:00", "Failed", ended="11:01"),
            a_run("12:00", "Running"),
        )
        after = status(hourly(), *runs, a_job(runs[2], active=1))
        assert (after.last_successful_time, after.last_failed_time, after.last_schedule_time) == (
            at("10:01"),
            at("11:01"),
            at("12:00"),
        )

    def test_active_lists_what_is_not_finished(self) -> None:
        run, job = at_work()
        (line,) = status(hourly(), run, job, a_run("11:00", "Failed", ended="11:01")).active
        assert (line.name, line.phase) == (run.name, "Running")

    def test_active_lists_no_more_than_fifty(self) -> None:
        definition = hourly(concurrency={"policy": "Allow"})
        runs = [a_run(f"11:{i:02}", "Running") for i in range(60)]
        assert len(status(definition, *runs, *(a_job(run, active=1) for run in runs)).active) == 50


class TestEvents:
    """Told after the write that they speak of."""

    def test_a_start(self) -> None:
        run = a_run("12:00")
        plan = decide(snapshot(hourly(), run, a_job(run)), at("12:00:01"))
        assert events(plan, "JobRun") == [f"Normal Started: made Job {run.name}"]
        assert events(plan) == [f"Normal Started: {run.name}: made Job {run.name}"]

    def test_a_success(self) -> None:
        run, _ = at_work()
        plan = decide(snapshot(hourly(), run, a_job(run, succeeded="12:05")), at("12:05"))
        assert events(plan, "JobRun") == ["Normal Succeeded: Completed"]

    def test_a_failure_with_its_exit_code_and_words(self) -> None:
        run, _ = at_work()
        seen = {"pods": {run.status.steps[0].job_uid: PodReport(0, exit_code=3, message="disk\nfull")}}
        plan = decide(snapshot(hourly(), run, a_job(run, failed="12:05"), **seen), at("12:05"))
        assert events(plan, "JobRun") == ["Warning Failed: BackoffLimitExceeded: exit code 3: disk; full"]

    def test_a_skip(self) -> None:
        definition = hourly()
        plan = decide(snapshot(definition, *at_work()), at("13:00"))
        assert events(plan) == ["Warning Skipped: trigger t0: due at 2026-03-10T13:00:00Z not run: ConcurrencyForbid"]

    def test_a_stretch_of_skips(self) -> None:
        definition = hourly(handled="09:00", status={"suspendedSince": "2026-03-10T09:30:00Z"})
        plan = decide(snapshot(definition), at("12:10"))
        assert events(plan) == [
            "Warning Skipped: trigger t0: 3 due times from 2026-03-10T10:00:00Z to 2026-03-10T12:00:00Z "
            "not run: Suspended",
            "Normal Enabled: due times count from now on",
        ]

    def test_disabled(self) -> None:
        assert events(decide(snapshot(hourly(suspend=True)), at("12:10"))) == [
            "Normal Disabled: nothing fires: disabled"
        ]

    def test_disabled_with_a_reason_and_an_end(self) -> None:
        told = {"suspendUntil": "2026-03-12T08:00:00Z", "suspendReason": "the disk is replaced", "suspendedBy": "alice"}
        plan = decide(snapshot(definition := hourly(suspend=True, **told)), at("12:10"))
        words = "disabled by alice until 2026-03-12T08:00:00Z: the disk is replaced"
        assert events(plan) == [f"Normal Disabled: nothing fires: {words}"]
        [condition] = [c for c in status_after(plan, definition).conditions if c.type == "Disabled"]
        assert (condition.status, condition.reason, condition.message) == ("True", "Suspended", words)

    def test_invalid(self) -> None:
        (told,) = events(decide(snapshot(a_definition("61 * * * *")), at("12:10")))
        assert told.startswith("Warning InvalidSpec: spec.triggers[0].cron")

    def test_overdue(self) -> None:
        assert "Warning Overdue: due at 2026-03-10 13:00:00Z and not started" in events(
            decide(snapshot(hourly()), at("13:05"))
        )

    def test_each_comes_after_its_write(self) -> None:
        run, _ = at_work()
        actions = decide(snapshot(hourly(), run, a_job(run, succeeded="12:05")), at("12:05")).actions
        told = [i for i, action in enumerate(actions) if isinstance(action, plans.Emit)]
        written = [i for i, action in enumerate(actions) if isinstance(action, plans.WriteRunStatus)]
        assert min(told) > min(written)

    def test_nothing_new_is_nothing_told(self) -> None:
        run = a_run("12:00", "Queued", reason="JobRefused", message="exceeded quota")
        again = {run.uid: Refusal("exceeded quota, still", permanent=False, retry_at=at("12:00:20"))}
        assert events(decide(snapshot(hourly(), run, refusals=again), at("12:00:15")), "JobRun") == []
