"""One key at a time: decide, carry out, decide again until there is nothing to do."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from carillon.controller.agenda import Agenda
from carillon.controller.execute import Executor
from carillon.controller.metrics import Metrics
from carillon.controller.store import Store
from carillon.controller.workqueue import WorkQueue
from carillon.engine import plan as plans
from carillon.engine.decide import TEMPLATE_RECHECK, decide
from carillon.engine.model import Key
from carillon.kube.errors import ApiError, Unreachable, WritesRefused

ROUNDS = 30
"""A key that is not settled after as many rounds is put off: a decision that never ends must not hold a worker."""
BACK_OFF_SECONDS = (0.2, 30.0)

log = structlog.get_logger(__name__)


class Reconciler:
    """Brings one definition, its runs and its Jobs to where the decision wants them."""

    def __init__(
        self,
        *,
        store: Store,
        agenda: Agenda,
        queue: WorkQueue,
        executor: Executor,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._agenda = agenda
        self._queue = queue
        self._executor = executor
        self._metrics = metrics
        self._clock = clock
        self._failures: dict[Key, int] = {}

    async def reconcile(self, key: Key) -> None:
        """Settle one key; what fails is tried again later, and holds up nobody else."""
        try:
            settled = await self._settle(key)
        except WritesRefused:
            log.debug("a write was refused: this process does not lead", key=str(key))
        except Unreachable as error:
            self._put_off(key, str(error))
        except ApiError as error:
            if error.not_found or (error.forbidden and "being terminated" in error.message):
                # The namespace or the object goes; the watches will say so.
                log.info("gone meanwhile", key=str(key), why=error.message)
            self._put_off(key, str(error))
        except Exception:
            # One object never stops the others: park it, say so, and try again later.
            log.exception("parked", key=str(key))
            self._metrics.parked.inc()
            self._put_off(key, "an error in the operator")
        else:
            if settled:
                self._failures.pop(key, None)

    async def _settle(self, key: Key) -> bool:
        self._expire_notes(key)
        for _ in range(ROUNDS):
            plan = decide(self._store.snapshot(key), self._clock())
            self._agenda.set(key, plan.wake_at)
            if not plan.actions:
                return True
            if not plan.creates and self._queue.urgent_waiting:
                # Somebody else's due time has come: creates go before records.
                self._queue.add(key)
                return True
            await self._carry_out_all(key, plan)
        log.warning("not settled", key=str(key), rounds=ROUNDS)
        self._put_off(key, "not settled")
        return False

    async def _carry_out_all(self, key: Key, plan: plans.Plan) -> None:
        """Creates first, then what has to be known, then the records: each with a decision of its own."""
        refused: ApiError | None = None
        for create in plan.creates:
            try:
                await self._carry_out(key, create)
            except ApiError as error:
                refused = error
        if plan.creates and refused is None:
            return
        # What was refused is still overdue, and the records say so.
        rest = [action for action in plan.actions if not isinstance(action, plans.Create)]
        for action in plan.look_ups or rest:
            if not await self._carry_out(key, action):
                break
        if refused is not None:
            raise refused

    async def _carry_out(self, key: Key, action: plans.Action) -> bool:
        """Carry out one action; False when the plan is out of date and has to be made anew."""
        try:
            await self._executor.execute(key, action)
        except ApiError as error:
            if not (error.conflict or (error.not_found and isinstance(action, plans.Write))):
                raise
            await self._executor.refresh(key, action)
            return False
        return True

    def _expire_notes(self, key: Key) -> None:
        """Drop what may have changed since it was looked up."""
        notes = self._store.notes_of(key)
        if notes is None:
            return
        notes.definition_absent = False
        for uid in [uid for uid, report in notes.pods.items() if report.remaining]:
            del notes.pods[uid]
        checked = notes.template_checked_at
        refused = notes.template_check is not None and notes.template_check.error
        if refused and checked is not None and self._clock() - checked >= TEMPLATE_RECHECK:
            notes.template_check = None

    def _put_off(self, key: Key, why: str) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        shortest, longest = BACK_OFF_SECONDS
        seconds = min(longest, shortest * 2 ** (failures - 1)) * random.uniform(0.75, 1.25)
        log.warning("put off", key=str(key), seconds=round(seconds, 1), failures=failures, why=why)
        self._agenda.bring_forward(key, self._clock() + timedelta(seconds=seconds))
