"""What became of one due time, or will, and why: from the definition, its run, its skips and its watermarks. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from carillon.api.jobrun import Phase
from carillon.api.scheduledjob import Backend, ConcurrencyPolicy, Skip, TriggerStatus
from carillon.engine.disabling import why_disabled
from carillon.engine.due import MISSED_AFTER
from carillon.engine.model import Definition, Run
from carillon.engine.native import refused
from carillon.engine.outlook import Outlook
from carillon.engine.reasons import why_skipped
from carillon.engine.runstory import RunStory, run_of
from carillon.engine.skips import SKIP_LINES, SkipReason, schedule_of, still_counts
from carillon.engine.triggers import SECOND, names
from carillon.engine.words import clock, counted, span

_REFUSED = "the CronJob that would fire it is refused"
_MEND_REFUSED = "mend what is named, or use backend: Operator"


class Verdict(StrEnum):
    """What became of a due time, or will."""

    RAN = "Ran"
    BACKFILLED = "Backfilled"
    ACTIVE = "Active"
    REFUSED = "Refused"
    """A run exists, and was skipped."""
    SKIPPED = "Skipped"
    EXCLUDED = "Excluded"
    BEFORE_CREATION = "BeforeCreation"
    NOT_COUNTED = "NotCounted"
    SUSPENDED = "Suspended"
    INVALID = "Invalid"
    STARTING = "Starting"
    UNHANDLED = "Unhandled"
    FORGOTTEN = "Forgotten"
    MISSING = "Missing"
    NATIVE = "Native"
    """The native controller fires the job, and keeps no record of what it leaves out."""
    WILL_RUN = "WillRun"


@dataclass(frozen=True, slots=True)
class Story:
    """What became of one due time."""

    instant: datetime
    triggers: tuple[Outlook, ...]
    verdict: Verdict
    headline: str
    policy: str
    """The field that decided, as it stands in the definition."""
    cure: str
    """What to change, if something is to be changed."""
    excluded: str
    run: RunStory | None
    skip: Skip | None
    counted: str
    """Since when the trigger counts, and why."""
    notes: tuple[str, ...]


def story_of(
    definition: Definition, runs: Sequence[Run], triggers: Sequence[Outlook], instant: datetime, now: datetime
) -> Story:
    """Tell the story of a due time.

    Args:
        definition: one whose specification was understood.
        runs: its JobRuns.
        triggers: all its triggers.
        instant: a time that one of them names at least.
        now: the time of asking.
    """
    return _Case(definition, runs, triggers, instant, now).story()


class _Case:
    """One due time, and everything that the records say of it."""

    def __init__(
        self,
        definition: Definition,
        runs: Sequence[Run],
        triggers: Sequence[Outlook],
        instant: datetime,
        now: datetime,
    ) -> None:
        assert definition.spec is not None
        self.definition = definition
        self.spec = definition.spec
        self.instant = instant
        self.now = now
        self.triggers = tuple(trigger for trigger in triggers if trigger.names(instant))
        self.zone = self.triggers[0].zone
        marks = {mark.name: mark for mark in definition.status.triggers}
        self.marks = [
            mark
            for trigger in self.triggers
            if (mark := marks.get(trigger.name)) is not None and mark.spec_hash == trigger.planned.spec_hash
        ]
        self.excluded = self._exclusion()
        self.run = run_of(definition, runs, instant)
        certain, self.possible = self._skip_lines()
        self.skip = certain[0] if certain else None

    def story(self) -> Story:
        verdict, headline, policy, cure = self._verdict()
        return Story(
            instant=self.instant,
            triggers=self.triggers,
            verdict=verdict,
            headline=headline,
            policy=policy,
            cure=cure,
            excluded=self.excluded,
            run=self.run,
            skip=self.skip,
            counted=self._counted(),
            notes=tuple(dict.fromkeys(note for t in self.triggers for note in t.clock_notes(self.instant))),
        )

    def _exclusion(self) -> str:
        reasons = [trigger.closed(self.instant) for trigger in self.triggers]
        # One run for one instant: it is left out only if every trigger that names it leaves it out.
        return reasons[0] if all(reasons) else ""

    def _skip_lines(self) -> tuple[list[Skip], list[Skip]]:
        """The lines of skips that count the instant for certain, and those that may.

        A line counts one kind of due times only: among the excluded ones, open ones may have run. Which is which
        today's exclusions tell only where they come to the same count; else they have been changed since.
        """
        by_name = {trigger.name: trigger.planned for trigger in self.triggers}
        certain, possible = [], []
        for line in self.definition.status.skips:
            if line.trigger not in by_name or not line.from_ <= self.instant <= line.to:
                continue
            planned = by_name[line.trigger]
            # While the job was disabled, or could not be scheduled, nothing was due that is not in the line.
            whole = line.reason in (SkipReason.SUSPENDED, SkipReason.INVALID)
            whole = whole or line.count == planned.schedule.count(line.from_ - SECOND, line.to)
            if whole or self.instant in (line.from_, line.to):
                certain.append(line)
            elif not still_counts(planned, line):
                possible.append(line)
            elif names(schedule_of(planned, line.reason), self.instant):
                certain.append(line)
        # What was excluded for one trigger may have been due for another, and then that decided.
        certain.sort(key=lambda line: line.reason == SkipReason.EXCLUDED)
        return certain, possible

    def _verdict(self) -> tuple[Verdict, str, str, str]:
        if self.run is not None and not (self.instant > self.now and self.run.waits):
            return self._ran(self.run)
        if self.instant > self.now:
            return self._will()
        if self.skip is not None:
            return self._skipped(self.skip)
        return self._passed()

    # A run exists --------------------------------------------------------------------------------------------------

    def _ran(self, run: RunStory) -> tuple[Verdict, str, str, str]:
        due = min(trigger.start(self.instant) for trigger in self.triggers)
        late = "" if run.started is None else _lateness(run.started - due, jittered=due != self.instant)
        how = f"{run.reason}: {_last_line(run.message)}".strip(": ") if run.reason or run.message else ""
        if run.backfilled:
            verdict, headline, policy, cure = self._passed() if self.skip is None else self._skipped(self.skip)
            state = run.phase.lower() if run.ended else f"is {run.phase}"
            after = f" at {clock(run.started, self.zone)}" if run.started else ""
            told = verdict in (Verdict.MISSING, Verdict.FORGOTTEN)
            lead = "" if told else f"{headline.rstrip('.')}. "
            return Verdict.BACKFILLED, f"{lead}A backfill ran it{after}: {run.name} {state}.", policy, ""
        if run.phase == Phase.SKIPPED:
            words, policy, cure = why_skipped(self.spec, run.reason)
            return Verdict.REFUSED, f"It did not run: {words or how}.", policy, cure
        if run.ended is None:
            if run.started is None:
                why = f": {how}" if how else ""
                return Verdict.ACTIVE, f"Its run {run.name} is {run.phase or Phase.SCHEDULED}{why}.", "", ""
            far = f": {run.progress}" if run.progress else ""
            return Verdict.ACTIVE, f"It started {late} and is {run.phase}{far}.", "", ""
        took = "" if run.started is None else f", after {span(run.ended - run.started)}"
        if run.phase == Phase.SUCCEEDED:
            return Verdict.RAN, f"It ran: it started {late} and succeeded{took}.", "", ""
        code = f" with exit code {run.exit_code}" if run.exit_code is not None else ""
        began = f"it started {late} and {run.phase.lower()}" if late else f"it {run.phase.lower()}"
        return Verdict.RAN, f"It ran: {began}{code}{took}{': ' + how if how else ''}.", "", ""

    # It is to come -------------------------------------------------------------------------------------------------

    def _will(self) -> tuple[Verdict, str, str, str]:
        if self.definition.invalid:
            return (
                Verdict.INVALID,
                "Nothing will run: the definition cannot be scheduled.",
                self.definition.invalid,
                "mend the field that is named",
            )
        if (condition := refused(self.definition)) is not None:
            return Verdict.INVALID, f"Nothing will run: {_REFUSED}.", condition.message, _MEND_REFUSED
        if self.excluded:
            return self._left_out("It will not run")
        if self.definition.suspended(self.instant):
            return (
                Verdict.SUSPENDED,
                f"It will not run unless the job is enabled before then{self._disabled()}.",
                "spec.suspend: true",
                "set spec.suspend to false",
            )
        if self.spec.backend is Backend.CRON_JOB:
            return Verdict.WILL_RUN, "The native CronJob controller will fire it.", "backend: CronJob", ""
        start = min(trigger.start(self.instant) for trigger in self.triggers)
        when = "It will run" if start == self.instant else f"It will run at {clock(start, self.zone)}, after its jitter"
        policy = self.spec.concurrency.policy
        busy = {
            ConcurrencyPolicy.FORBID: "unless a run is still active then: concurrency.policy Forbid skips it",
            ConcurrencyPolicy.REPLACE: "and takes the place of a run that is still active then",
            ConcurrencyPolicy.ALLOW: "beside a run that is still active then",
            ConcurrencyPolicy.QUEUE: "or wait for its turn where no slot is free then: concurrency.policy Queue",
        }[policy]
        return Verdict.WILL_RUN, f"{when}, {busy}.", f"concurrency.policy: {policy}", ""

    def _disabled(self) -> str:
        """By whom, until when and why the job is disabled, after a comma."""
        why = why_disabled(self.definition)
        return f"; disabled{why}".rstrip(".") if why else ""

    # It passed without a run ---------------------------------------------------------------------------------------

    def _skipped(self, line: Skip) -> tuple[Verdict, str, str, str]:
        if line.reason == "Excluded":
            return self._left_out("It did not run")
        words, policy, cure = why_skipped(self.spec, line.reason)
        verdict = Verdict.SUSPENDED if line.reason == SkipReason.SUSPENDED else Verdict.SKIPPED
        return verdict, f"It did not run: {words or line.reason}.", policy, cure

    def _left_out(self, what: str) -> tuple[Verdict, str, str, str]:
        was = "it was excluded then, and spec.exclude does not cover it now"
        why = f"it is excluded, by {self.excluded}" if self.excluded else was
        return (
            Verdict.EXCLUDED,
            f"{what}: {why}.",
            "spec.exclude",
            "change spec.exclude or the Calendar that it names; to run the job all the same, create a JobRun",
        )

    def _passed(self) -> tuple[Verdict, str, str, str]:
        created = self.definition.created
        if self.instant <= created:
            return (
                Verdict.BEFORE_CREATION,
                f"It did not run: the definition was created later, {clock(created, self.zone)}.",
                "creating a definition never fires for the past",
                "backfill it, if it has to run after all",
            )
        if self.excluded and not self.possible:
            return self._left_out("It did not run")
        if self.spec.backend is Backend.CRON_JOB:
            condition = refused(self.definition)
            if condition is not None and self.instant > condition.last_transition_time:
                return Verdict.INVALID, f"No run is recorded: {_REFUSED}.", condition.message, _MEND_REFUSED
            return (
                Verdict.NATIVE,
                "No run is recorded. The native CronJob controller fires this job, and keeps no record of what it "
                "leaves out.",
                "backend: CronJob",
                "use backend: Operator, if every due time has to be accounted for",
            )
        since = max((mark.since for mark in self.marks), default=created)
        if self.marks and all(self.instant <= mark.since for mark in self.marks):
            return (
                Verdict.NOT_COUNTED,
                f"No run is recorded, and the trigger counts only since {clock(since, self.zone)}: it was edited or "
                "the job was resumed then.",
                "an edit or a resume never fires for the past",
                "backfill it, if it has to run after all",
            )
        suspended = self.definition.status.suspended_since
        if self.definition.suspended(self.now) and suspended is not None and self.instant > suspended:
            return (
                Verdict.SUSPENDED,
                f"It did not run: the job is disabled, since {clock(suspended, self.zone)}{self._disabled()}.",
                "spec.suspend: true",
                "enable the job; that does not fire for the past, so backfill what has to run after all",
            )
        if self.definition.invalid:
            return (
                Verdict.INVALID,
                "It did not run: the definition cannot be scheduled.",
                self.definition.invalid,
                "mend the field that is named",
            )
        start = max(trigger.start(self.instant) for trigger in self.triggers)
        if self.now - start < MISSED_AFTER:
            ago = span(max(self.now - start, timedelta(0)))
            return Verdict.STARTING, f"It is due for {ago}, and about to start.", "", ""
        if not self.marks or any(mark.handled_through < self.instant for mark in self.marks):
            return (
                Verdict.UNHANDLED,
                "No operator has looked at it yet: neither a run nor a skip is recorded.",
                _watermark(self.marks),
                "see whether an operator is running and leads: kubectl get lease -A, and its log",
            )
        if (edge := self._memory()) is not None and self.instant <= edge:
            return (
                Verdict.FORGOTTEN,
                f"It was dealt with, but the records do not reach back so far: they begin at {clock(edge, self.zone)}.",
                "status.history and status.skips keep 20 lines each, and history says how many JobRuns are kept",
                "raise history.succeeded and history.failed to remember longer",
            )
        if self.possible:
            return self._among(self.possible[0])
        return (
            Verdict.MISSING,
            "Neither a run nor a skip is recorded, and there should be one.",
            _watermark(self.marks),
            "run `carillon task verify`, and report this with its output and the operator's log",
        )

    def _among(self, line: Skip) -> tuple[Verdict, str, str, str]:
        """What can be said where the record has a number, and the exclusions that it was counted with are gone."""
        trigger = next(trigger for trigger in self.triggers if trigger.name == line.trigger)
        due = trigger.schedule.count(line.from_ - SECOND, line.to)
        return (
            Verdict.EXCLUDED if line.reason == SkipReason.EXCLUDED else Verdict.SKIPPED,
            f"It probably did not run: from {clock(line.from_, self.zone)} to {clock(line.to, self.zone)}, "
            f"{line.count} of what today are {counted(due, 'due time')} were skipped ({line.reason}). Which of them is "
            "not known any more: spec.exclude was changed since.",
            "spec.exclude, as it was then",
            "run `carillon task verify`: it tells if there is a due time of the last day without a run or a skip",
        )

    def _memory(self) -> datetime | None:
        """The moment after which the bounded records are complete."""
        status = self.definition.status
        edges = [status.recorded_through] if status.recorded_through is not None else []
        if len(status.skips) >= SKIP_LINES:
            edges.append(status.skips[-1].to)
        return max(edges, default=None)

    def _counted(self) -> str:
        if not self.marks:
            return "no operator has seen the trigger yet, as it is now"
        since = min(mark.since for mark in self.marks)
        if since == self.definition.created:
            return f"since {clock(since, self.zone)}, when the definition was created"
        return f"since {clock(since, self.zone)}, when it was last edited or the job was resumed"


def _watermark(marks: Sequence[TriggerStatus]) -> str:
    if not marks:
        return "status.triggers is empty"
    return f"handledThrough is {clock(min(mark.handled_through for mark in marks))}"


def _lateness(late: timedelta, *, jittered: bool) -> str:
    after = " after its jitter" if jittered else ""
    return f"on time{after}" if late < timedelta(seconds=2) else f"{span(late)} late{after}"


def _last_line(message: str) -> str:
    lines = message.strip().splitlines()
    return lines[-1].rstrip(".") if lines else ""


def skip_line(skip: Skip) -> str:
    """Write a line of status.skips."""
    if skip.count == 1:
        return f"{skip.reason}, this due time alone"
    return f"{skip.reason}, one of {counted(skip.count, 'due time')} from {clock(skip.from_)} to {clock(skip.to)}"
