"""One key at a time: decide, carry out, decide again until there is nothing to do."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from carillon.controller.agenda import Agenda
from carillon.controller.costly import CostlyDecisions
from carillon.controller.execute import Executor
from carillon.controller.metrics import Metrics
from carillon.controller.prepared import Prepared, prepare
from carillon.controller.store import Store
from carillon.controller.workqueue import Urgency, WorkQueue
from carillon.engine import plan as plans
from carillon.engine.ahead import LONGEST
from carillon.engine.calendars import decide_calendar
from carillon.engine.decide import NAMES_RECHECK, TEMPLATE_RECHECK, decide
from carillon.engine.groups import next_in_line
from carillon.engine.model import CalendarKey, Key, WorkKey
from carillon.kube.errors import ApiError, Unreachable, WritesRefused

ROUNDS = 30
"""A key that is not settled after as many rounds is put off: a decision that never ends must not hold a worker."""
UNWATCHED_INTERVAL = timedelta(seconds=5)
"""How often a Job is looked up that no watch tells of."""
BREATH = 50
"""So many keys are added to the queue in a row before the rest of the event loop gets its turn."""
SHORTEST_PAUSE_SECONDS = 0.05
LONGEST_OUTAGE_SECONDS = 5.0
"""The API server is away or refuses: a due time waits no longer than this after it is back."""
LONGEST_RECORDS_WAIT = timedelta(seconds=5)
"""How long the records of a definition wait for what goes first. Where the API server is so slow that the next due time
comes before the last one is fired, there is always something; and what is not recorded is never pruned."""
LONGEST_PARKING_SECONDS = 60.0
"""A defect of ours; it will not mend itself."""
JITTER = 1.25
LONGEST_PAUSE = timedelta(seconds=LONGEST_PARKING_SECONDS * JITTER)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _PutOff:
    """A key that failed: it is left alone until then, unless people change what it is decided from."""

    failures: int
    until: datetime
    edition: int

    def holds(self, now: datetime) -> bool:
        """Whether it is still to be left alone; a moment too far away is of a clock that has been set back since."""
        return now < self.until <= now + LONGEST_PAUSE


class Reconciler:
    """Brings what one key names to where the decision wants it: a definition with its runs and Jobs, or a Calendar."""

    def __init__(
        self,
        *,
        store: Store,
        agenda: Agenda,
        queue: WorkQueue,
        executor: Executor,
        metrics: Metrics,
        clock: Callable[[], datetime],
        make_sure: Callable[[Key], Awaitable[None]],
        costly: CostlyDecisions,
    ) -> None:
        """Take what it works with.

        `make_sure` has a definition known as it is now, and not as it was before this process led.
        """
        self._store = store
        self._agenda = agenda
        self._queue = queue
        self._executor = executor
        self._metrics = metrics
        self._clock = clock
        self._make_sure = make_sure
        self._costly = costly
        self._put_offs: dict[WorkKey, _PutOff] = {}
        self._prepared: dict[Key, Prepared] = {}
        self._unwatched_looked_up: dict[Key, datetime] = {}
        self._unanswered: dict[Key, list[plans.CreateRun | plans.CreateJob | plans.WithdrawRun]] = {}
        self._records_wait_since: dict[Key, datetime] = {}

    async def reconcile(self, key: WorkKey) -> None:
        """Settle one key; what fails is tried again later, and holds up nobody else."""
        put_off = self._put_offs.get(key)
        if put_off is not None and put_off.holds(self._clock()) and put_off.edition == self._store.edition(key):
            # Its events do not shorten the pause; what people change does.
            self._agenda.bring_forward(key, put_off.until)
            return
        try:
            settled = await self._settle(key)
        except WritesRefused:
            # Perhaps for a moment only, in which a renewal was late; a process that leads no more forgets its agenda.
            log.debug("a write was refused: this process does not lead", key=str(key))
            self._agenda.bring_forward(key, self._clock() + timedelta(seconds=1))
            self._release(key)
        except (ApiError, Unreachable) as error:
            least = error.retry_after_seconds if isinstance(error, ApiError) else None
            self._put_off(key, str(error), LONGEST_OUTAGE_SECONDS, least_seconds=least or 0.0)
        except Exception as error:
            # One object never stops the others: park it, say so, and try again later.
            log.exception("parked", key=str(key))
            self._metrics.parked.inc()
            self._put_off(key, f"an error in the operator: {error!r}", LONGEST_PARKING_SECONDS, aside=True)
            if isinstance(key, Key):
                await self._executor.tell_parked(key, error)
        else:
            if settled:
                self._put_offs.pop(key, None)
            if isinstance(key, CalendarKey):
                return
            if settled:
                self._store.set_aside(key, False)
                self._store.tidy(key)
            notes = self._store.notes_of(key)
            if notes is not None and notes.unwatched_jobs:
                self._agenda.bring_forward(key, self._clock() + UNWATCHED_INTERVAL)
            else:
                self._unwatched_looked_up.pop(key, None)
        if isinstance(key, Key):
            with self._costly.measured(key.namespace):
                self._wake_next(key)

    def _wake_next(self, key: Key) -> None:
        """Have those of the group looked at whose turn has come, as the key may have let go of a slot."""
        for member in next_in_line(self._store.group_of(key), self._clock()):
            if member.key != key:
                self._queue.add(member.key, Urgency.DUE)

    def _release(self, key: WorkKey) -> None:
        """Let go of the slots of Jobs that were not made; those of which nobody knows are kept until that is known."""
        if isinstance(key, Key) and not self._unanswered.get(key):
            self._store.reserve(key, {})

    async def _settle(self, key: WorkKey) -> bool:
        if isinstance(key, CalendarKey):
            await self._tell_users(key)
        else:
            await self._make_sure(key)
            await self._learn_what_is_in_doubt(key)
        asked: set[tuple[int, CalendarKey]] = set()
        tried: tuple[plans.First, ...] = ()
        for _ in range(ROUNDS):
            await self._costly.wait(key.namespace)
            if isinstance(key, Key):
                self._queue.answered(key)
                await self._ask_for_missing_calendars(key, asked)
            with self._costly.measured(key.namespace):
                plan = self._decide(key)
            self._agenda.set(key, plan.wake_at)
            if not plan.actions:
                if isinstance(key, Key):
                    self._records_wait_since.pop(key, None)
                self._prepare(key, plan.next_due)
                return True
            if not plan.first and self._queue.gives_way(key):
                # Another due time has come, or is near: creates go before records.
                self._queue.add(key)
                return True
            # What was carried out and is still wanted makes no progress, and keeps no record from being written.
            futile = bool(plan.first) and plan.first == tried
            if futile and not (plan.look_ups or plan.records):
                break
            await self._carry_out_all(Key(key.namespace, key.name), plan, futile=futile)
            ready = plan.ahead_only and self._prepare(key, plan.next_due)
            if ready or (plan.starts_only and self._queue.gives_way(key)):
                # What is left are the records: nothing has to be decided to let them wait.
                self._queue.add(key)
                return True
            tried = plan.first
        log.warning("not settled", key=str(key), actions=[type(a).__name__ for a in plan.actions])
        self._put_off(key, "not settled", LONGEST_PARKING_SECONDS, aside=True)
        return False

    def _decide(self, key: WorkKey) -> plans.Plan:
        now = self._clock()
        if isinstance(key, CalendarKey):
            return decide_calendar(self._store.calendars.snapshot(key), now)
        crowds, prepared = self._agenda.crowds, self._prepared.get(key)
        snapshot = self._store.snapshot(key, together=crowds.together(key))
        if prepared is not None and now >= prepared.due:
            del self._prepared[key]
        plan = prepared.plan if prepared is not None and prepared.holds(snapshot, now) else decide(snapshot, now)
        crowds.expect(key, plan.next_due)
        # Before anything is awaited: the next decision of its group may come before the first answer.
        made = (action for action in plan.first if isinstance(action, plans.CreateJob))
        self._store.reserve(key, {action.run_uid: action.name for action in made})
        return plan

    def _prepare(self, key: WorkKey, due: datetime | None) -> bool:
        """Take the decision of the next due time, where it starts a run that was written ahead; whether it does."""
        if isinstance(key, CalendarKey):
            return False
        known = self._prepared.pop(key, None)
        if due is None or due - self._clock() > LONGEST:
            return False
        snapshot = self._store.snapshot(key)
        if known is None or not known.holds(snapshot, due):
            known = prepare(snapshot, due, self._executor.seal)
        if known is not None:
            self._prepared[key] = known
        return known is not None

    async def _tell_users(self, key: CalendarKey) -> None:
        """Have the definitions that name a Calendar looked at, which may be thousands, when it has changed."""
        for number, user in enumerate(self._store.calendars.untold(key), start=1):
            self._queue.add(user)
            if number % BREATH == 0:
                await asyncio.sleep(0)

    async def _learn_what_is_in_doubt(self, key: Key) -> None:
        self._expire_notes(key)
        while self._unanswered.get(key):
            await self._executor.look_for(key, self._unanswered[key][-1])
            self._unanswered[key].pop()
        self._unanswered.pop(key, None)

    async def _ask_for_missing_calendars(self, key: Key, asked: set[tuple[int, CalendarKey]]) -> None:
        """Ask the API server for each Calendar that a definition names and no watch has told of.

        The watches of kinds are not in step, and a definition may change while its last decision is carried out: a
        Calendar counts as missing only when it was asked for after what names it was known.
        """
        while True:
            edition = self._store.edition(key)
            unasked = [c for c in self._store.missing_calendars(key) if (edition, c) not in asked]
            if not unasked:
                return
            for calendar in unasked:
                await self._executor.read_calendar(calendar)
                asked.add((edition, calendar))

    async def _carry_out_all(self, key: Key, plan: plans.Plan, *, futile: bool = False) -> None:
        """What goes first, then what has to be known, then the records: each with a decision of its own.

        What fails does not keep the records from being written: what was refused is overdue, and they say so. Nor does
        what goes first again and again.
        """
        failed: ApiError | Unreachable | None = None
        begin = plan.look_ups if futile else plan.first or plan.look_ups
        for action in begin:
            try:
                await self._carry_out(key, action)
            except (ApiError, Unreachable) as error:
                failed = error
        if failed is None and begin and not (plan.records and self._waited_long(key)):
            return
        self._records_wait_since.pop(key, None)
        for record in plan.records:
            if not await self._carry_out(key, record):
                break
        if failed is not None:
            raise failed

    def _waited_long(self, key: Key) -> bool:
        now = self._clock()
        waited = now - self._records_wait_since.setdefault(key, now)
        return not timedelta(0) <= waited < LONGEST_RECORDS_WAIT  # the clock may have been set back

    async def _carry_out(self, key: Key, action: plans.Action) -> bool:
        """Carry out one action; False when the plan is out of date and has to be made anew."""
        try:
            await self._executor.execute(key, action)
        except (Unreachable, asyncio.CancelledError):
            if isinstance(action, plans.CreateRun | plans.CreateJob | plans.WithdrawRun):
                self._unanswered.setdefault(key, []).append(action)
            raise
        except ApiError as error:
            if not (error.conflict or (error.not_found and isinstance(action, plans.Write | plans.AdoptRun))):
                raise
            await self._executor.refresh(key, action)
            return False
        return True

    def _expire_notes(self, key: Key) -> None:
        """Drop what may have changed since it was looked up."""
        self._store.forget_cron_job(key, unwatched=True)
        notes = self._store.notes_of(key)
        if notes is None:
            return
        looked = self._unwatched_looked_up.get(key)
        if notes.unwatched_jobs and (looked is None or self._clock() - looked >= UNWATCHED_INTERVAL):
            self._unwatched_looked_up[key] = self._clock()
            self._store.forget_unwatched(key)
        notes.definition_absent = notes.cron_job_absent = False
        for uid in [uid for uid, report in notes.pods.items() if report.remaining]:
            del notes.pods[uid]
        if notes.names_taken_at is not None and self._clock() - notes.names_taken_at >= NAMES_RECHECK:
            notes.taken_runs.clear()
            notes.taken_jobs.clear()
            notes.names_taken_at = None
        checked = notes.template_checked_at
        refused = notes.template_check is not None and notes.template_check.error
        if refused and checked is not None and self._clock() - checked >= TEMPLATE_RECHECK:
            notes.template_check = None

    def _put_off(
        self, key: WorkKey, why: str, longest_seconds: float, *, least_seconds: float = 0.0, aside: bool = False
    ) -> None:
        self._release(key)
        if aside and isinstance(key, Key):
            self._store.set_aside(key, True)
        before = self._put_offs.get(key)
        failures = before.failures + 1 if before is not None else 1
        seconds = min(longest_seconds, SHORTEST_PAUSE_SECONDS * 2 ** min(failures - 1, 16))
        seconds *= random.uniform(2 - JITTER, JITTER)
        # A server that says when to come again is obeyed, and by thousands not at the same moment.
        least_seconds = min(least_seconds, LONGEST_PARKING_SECONDS) * random.uniform(1.0, JITTER)
        seconds = max(seconds, least_seconds)
        until = self._clock() + timedelta(seconds=seconds)
        self._put_offs[key] = _PutOff(failures, until, self._store.edition(key))
        log.warning("put off", key=str(key), seconds=round(seconds, 1), failures=failures, why=why)
        self._agenda.bring_forward(key, until)
