"""Several definitions that share slots, and several tasks of one operator that decide for them at the same time.

The ledger holds design 3.5 against whatever happens: never more than `max` active in a group or a definition, starts in
the order of the queue, and at rest no slot free while somebody waits for one.
"""

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS, Resource
from tests.unit.engine.builders import a_template, triggers
from tests.unit.engine.simulator import Fault, Simulation

NAMES = ("check", "dump", "sweep")
CRONS = ((), ("* * * * *",), ("*/2 * * * *",), ("*/20 * * * * *",))
SECONDS = (0.3, 1, 7, 19.9, 60, 125, 600)
names = st.sampled_from(NAMES)


@st.composite
def concurrencies(draw: st.DrawFn) -> dict[str, Any]:
    """Every policy, with what goes with it; members of two groups, and loners."""
    policy = draw(st.sampled_from(("Queue", "Queue", "Queue", "Forbid", "Replace", "Allow")))
    found: dict[str, Any] = {"policy": policy}
    if policy != "Allow" and (maximum := draw(st.sampled_from((None, 1, 2)))):
        found["max"] = maximum
    if policy in ("Queue", "Forbid") and (group := draw(st.sampled_from((None, "a", "a", "b")))):
        found["group"] = group
    if policy == "Queue" and (limit := draw(st.sampled_from((None, 1, 2)))):
        found["queueLimit"] = limit
    return found


class Members(RuleBasedStateMachine):
    """Members of groups, people, the clock and bad luck."""

    lagging = False

    @initialize(
        data=st.data(),
        workers=st.integers(1, 3),
        seed=st.integers(0, 1000),
        job_seconds=st.sampled_from((None, 3, 20, 40, 60)),
    )
    def begin(self, *, data: st.DataObject, workers: int, seed: int, job_seconds: int | None) -> None:
        self.sim = Simulation(lagging=self.lagging, job_seconds=job_seconds, workers=workers, seed=seed)
        self.manual = 0
        self.specs: dict[str, dict[str, Any]] = {}
        for name in NAMES:
            template = a_template()
            stuck = data.draw(st.sampled_from((False, False, True)))
            if stuck:
                template["spec"]["template"]["spec"]["containers"][0]["image"] = "missing"
            self.specs[name] = {
                "triggers": triggers(*data.draw(st.sampled_from(CRONS))),
                "concurrency": data.draw(concurrencies()),
                "startingDeadlineSeconds": data.draw(st.sampled_from((None, None, 90))),
                "catchUp": {"policy": data.draw(st.sampled_from(("Latest", "All"))), "limit": 3},
                "jobTemplate": template,
                "pendingTimeoutSeconds": 30,
            }
            self.sim.apply(name=name, **self.specs[name])

    @rule(seconds=st.sampled_from(SECONDS))
    def time_passes(self, seconds: float) -> None:
        self.sim.advance(seconds)

    @rule(name=names, count=st.integers(1, 4))
    def somebody_runs_it_now(self, name: str, count: int) -> None:
        for _ in range(count):
            self.manual += 1
            self.sim.cluster.create(JOB_RUNS, self.sim.manual_run(f"manual-{self.manual:03}", name=name))
        self.sim.work()

    @precondition(lambda self: self.sim.jobs())
    @rule(data=st.data(), exit_code=st.sampled_from((0, 3)))
    def a_job_ends(self, data: st.DataObject, exit_code: int) -> None:
        self.sim.finish(data.draw(st.sampled_from(self.sim.jobs())), exit_code=exit_code)

    @rule(name=names, value=st.booleans())
    def somebody_suspends_or_resumes(self, name: str, value: bool) -> None:
        self.sim.edit(name, suspend=value)

    @precondition(lambda self: not self.lagging)
    @rule(name=names, concurrency=concurrencies())
    def somebody_edits_the_concurrency(self, name: str, concurrency: dict[str, Any]) -> None:
        self.specs[name]["concurrency"] = concurrency
        self.sim.edit(name, concurrency=concurrency)

    @rule(name=names)
    def one_is_deleted_and_made_anew(self, name: str) -> None:
        self.sim.cluster.delete(SCHEDULED_JOBS, name)
        self.sim.apply(name=name, **self.specs[name])

    @rule(data=st.data())
    def somebody_deletes_a_job(self, data: st.DataObject) -> None:
        if found := self.sim.recorded_jobs():
            self.sim.delete(JOBS, data.draw(st.sampled_from(found)))

    @rule()
    def the_operator_dies(self) -> None:
        self.sim.crash()

    @rule()
    def the_operator_starts(self) -> None:
        self.sim.restart()

    @rule(fault=st.sampled_from(Fault), after=st.integers(1, 6))
    def a_write_will_fail(self, fault: Fault, after: int) -> None:
        self.sim.writes.faults[self.sim.writes.count + after] = fault

    @invariant()
    def the_clock_goes_on(self) -> None:
        if hasattr(self, "sim"):
            self.sim.advance(0.1)
            if self.sim.process is not None and not (self.lagging or self.sim.writes.faults):
                self.a_free_slot_is_taken()

    def a_free_slot_is_taken(self) -> None:
        """Within the seconds after which pods that linger are looked at again."""
        for _ in range(3):
            if not (idle := self.sim.ledger.idle_slots()):
                return
            self.sim.advance(2.1)
        raise AssertionError(idle)

    def teardown(self) -> None:
        if hasattr(self, "sim"):
            self.sim.writes.faults.clear()
            self.sim.settle()


class SlowWatches(Members):
    """The same, and the watches tell late, each kind by itself."""

    lagging = True

    @rule(resource=st.sampled_from((SCHEDULED_JOBS, JOB_RUNS, JOBS)), most=st.integers(1, 5))
    def a_watch_tells(self, resource: Resource, most: int) -> None:
        if self.sim.process is not None:
            self.sim.process.deliver(resource, most)
            self.sim.work()


EXAMPLES = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestMembers, TestSlowWatches = Members.TestCase, SlowWatches.TestCase
TestMembers.settings = TestSlowWatches.settings = EXAMPLES
