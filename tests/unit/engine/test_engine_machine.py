"""Whatever happens, in whatever order, design 3 holds: the ledger checks it at every write, and once more at rest."""

from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from carillon.api.base import rfc3339
from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS, Resource
from tests.unit.engine.builders import triggers
from tests.unit.engine.simulator import Fault, Simulation

CRONS = ("* * * * *", "*/2 * * * *", "*/5 * * * *", "30 12 * * *", "*/20 * * * * *", "@every 45s")
SECONDS = (0.3, 1, 7, 19.9, 60, 61, 125, 600)
NAMES = ("t0", "t1")
WINDOWS = (
    {"cron": "*/7 * * * *", "durationSeconds": 130},
    {"cron": "2 12 * * *", "durationSeconds": 240},
)
EXCLUSIONS: tuple[dict[str, Any], ...] = (
    {},
    {"windows": [WINDOWS[0]]},
    {"windows": [*WINDOWS]},
    {"dates": ["2026-03-11"]},
)

trigger_lists = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(CRONS), max_size=2)
jitters = st.sampled_from((None, None, 5, 45))


def with_jitter(named: dict[str, str], jitter: int | None) -> list[dict[str, Any]]:
    return [{**trigger, **({"jitterSeconds": jitter} if jitter else {})} for trigger in triggers(**named)]


class People(RuleBasedStateMachine):
    """People, the clock, the kubelet and bad luck."""

    lagging = False

    @initialize(
        named=trigger_lists,
        policy=st.sampled_from(("Forbid", "Allow", "Replace")),
        deadline=st.sampled_from((None, 10, 90)),
        history=st.integers(0, 2),
        auto_start=st.booleans(),
        suspend=st.booleans(),
        job_seconds=st.sampled_from((None, 3, 70)),
        catch_up=st.sampled_from(("Skip", "Latest", "All")),
        exclude=st.sampled_from(EXCLUSIONS),
        jitter=jitters,
        retry=st.sampled_from((None, None, {"limit": 2, "backoff": {"initialSeconds": 5}})),
        timeout=st.sampled_from((None, None, 40)),
        crowd=st.sampled_from((0, 0, 1000, 5000)),
    )
    def begin(
        self,
        *,
        named: dict[str, str],
        policy: str,
        deadline: int | None,
        history: int,
        auto_start: bool,
        suspend: bool,
        job_seconds: int | None,
        catch_up: str,
        exclude: dict[str, Any],
        jitter: int | None,
        retry: dict[str, Any] | None,
        timeout: int | None,
        crowd: int,
    ) -> None:
        self.sim = Simulation(lagging=self.lagging, job_seconds=job_seconds, crowd=crowd)
        self.manual = 0
        self.spec: dict[str, Any] = {
            "triggers": with_jitter(named, jitter),
            "catchUp": {"policy": catch_up, "limit": 3},
            "exclude": exclude,
            "concurrency": {"policy": policy},
            "startingDeadlineSeconds": deadline,
            "history": {"succeeded": history, "failed": history},
            "autoStart": auto_start,
            "retry": retry,
            "timeoutSeconds": timeout,
        }
        self.sim.apply(**self.spec, suspend=suspend)

    @rule(seconds=st.sampled_from(SECONDS))
    def time_passes(self, seconds: float) -> None:
        self.sim.advance(seconds)

    @rule(named=trigger_lists, jitter=jitters)
    def somebody_edits_the_triggers(self, named: dict[str, str], jitter: int | None) -> None:
        self.sim.edit(triggers=with_jitter(named, jitter))

    @rule(exclude=st.sampled_from(EXCLUSIONS))
    def somebody_edits_the_exclusions(self, exclude: dict[str, Any]) -> None:
        self.sim.edit(exclude=exclude)

    @rule(minutes=st.integers(1, 90))
    def somebody_backfills(self, minutes: int) -> None:
        self.manual += 1
        due = rfc3339((self.sim.now - timedelta(minutes=minutes)).replace(second=0))
        trigger = {"type": "Backfill", "name": "t0"}
        self.sim.run_now(f"backfill-{self.manual}", scheduledTime=due, trigger=trigger)

    @rule(value=st.booleans(), seconds=st.sampled_from((None, None, -5, 20, 90)))
    def somebody_disables_or_enables(self, value: bool, seconds: int | None) -> None:
        until = rfc3339(self.sim.now + timedelta(seconds=seconds)) if seconds is not None else None
        self.sim.edit(suspend=value, suspendUntil=until)

    @rule(limit=st.integers(0, 2))
    def somebody_edits_the_retries(self, limit: int) -> None:
        self.sim.edit(retry={"limit": limit, "backoff": {"initialSeconds": 5}})

    @rule(data=st.data(), value=st.booleans())
    def somebody_pauses_or_resumes_a_run(self, data: st.DataObject, value: bool) -> None:
        if runs := self.sim.active_runs():
            self.sim.edit_run(data.draw(st.sampled_from(runs)), suspend=value)

    @rule(data=st.data())
    def somebody_stops_a_run(self, data: st.DataObject) -> None:
        if runs := self.sim.active_runs():
            self.sim.edit_run(data.draw(st.sampled_from(runs)), stop=True)

    @rule(force=st.booleans())
    def somebody_runs_it_now(self, force: bool) -> None:
        self.manual += 1
        self.sim.run_now(f"manual-{self.manual}", force=force)

    @precondition(lambda self: self.sim.working_jobs())
    @rule(data=st.data(), exit_code=st.sampled_from((0, 3)))
    def a_job_ends(self, data: st.DataObject, exit_code: int) -> None:
        self.sim.finish(data.draw(st.sampled_from(self.sim.working_jobs())), exit_code=exit_code)

    @rule(data=st.data())
    def somebody_deletes_a_job(self, data: st.DataObject) -> None:
        """One of which its run knows: before that, a Job that is gone is made once more (design 3.2)."""
        if names := self.sim.recorded_jobs():
            self.sim.delete(JOBS, data.draw(st.sampled_from(names)))

    @rule()
    def it_is_deleted_and_made_anew(self) -> None:
        self.sim.cluster.delete(SCHEDULED_JOBS, "sweep")
        self.sim.apply(**self.spec)

    @rule()
    def the_operator_dies(self) -> None:
        self.sim.crash()

    @rule()
    def the_operator_starts(self) -> None:
        self.sim.restart()

    @rule(fault=st.sampled_from(Fault), after=st.integers(1, 6))
    def a_write_will_fail(self, fault: Fault, after: int) -> None:
        self.sim.writes.faults[self.sim.writes.count + after] = fault

    @rule(data=st.data())
    def somebody_deletes_a_run(self, data: st.DataObject) -> None:
        """One that is recorded, or any while an operator looks: what it sees last, it records (design 3.2)."""
        watched = self.sim.process is not None and not self.lagging and not self.sim.writes.faults
        runs = [*self.sim.phases()] if watched else self.sim.clearable()
        if runs:
            self.sim.delete(JOB_RUNS, data.draw(st.sampled_from(runs)))

    @invariant()
    def the_clock_goes_on(self) -> None:
        if hasattr(self, "sim"):
            self.sim.advance(0.1)

    def teardown(self) -> None:
        if hasattr(self, "sim"):
            self.sim.writes.faults.clear()
            self.sim.settle()
            assert [found for found in self.sim.verify() if found.startswith("ScheduledJob")] == []


class SlowWatches(People):
    """The same, and the watches tell late, each kind by itself: what was written ourselves is known by its answer."""

    lagging = True

    @rule(resource=st.sampled_from((SCHEDULED_JOBS, JOB_RUNS, JOBS)), most=st.integers(1, 5))
    def a_watch_tells(self, resource: Resource, most: int) -> None:
        if self.sim.process is not None:
            self.sim.process.deliver(resource, most)
            self.sim.work()


EXAMPLES = settings(max_examples=100, stateful_step_count=25, deadline=None)
TestPeople, TestSlowWatches = People.TestCase, SlowWatches.TestCase
TestPeople.settings = TestSlowWatches.settings = EXAMPLES
