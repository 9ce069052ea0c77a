"""The slots that the ScheduledJobs of a group share: who holds them elsewhere, and whose run is next (design 3.5).

A group has no object of its own: its members are the definitions that name it, the smallest `max` of them holds, and
its queue is the runs of all of them that wait, in order. Each member decides for its own runs, with what it is told of
the others; so nothing has to be kept in step, and a member that is stuck holds up nobody.
"""

from collections.abc import Iterable
from datetime import datetime

from carillon.api.jobrun import Phase
from carillon.engine.concurrency import Place, Waiting, holders, jobs_of
from carillon.engine.model import Definition, Member
from carillon.engine.start_time import CLOSED, early
from carillon.engine.starting import is_missed, is_patient, refusal


def limit(definition: Definition | None, members: Iterable[Member]) -> int | None:
    """How many runs may be active at a time over the whole group; None: any number."""
    definitions = (definition, *(member.definition for member in members))
    limits = (d.spec.concurrency.limit for d in definitions if d is not None and d.spec is not None)
    return min((found for found in limits if found is not None), default=None)


def held(members: Iterable[Member]) -> dict[str, str]:
    """Who holds a slot, or is about to: by UID of the run, its name for people."""
    found: dict[str, str] = {}
    for member in members:
        found |= member.reserved
        found |= holders(member.runs, member.jobs, member.observations)
    return found


def line(member: Member, now: datetime) -> list[Waiting]:
    """The runs of a member that wait for nothing but a slot."""
    definition, observations = member.definition, member.observations
    if definition is None or definition.spec is None or definition.deleting or definition.unreadable_status:
        return []
    if member.aside or definition.invalid:
        return []
    runs, jobs = member.runs, member.jobs
    refused = (observations.refusals.get(run.uid) for run in runs if not run.finished)
    if any(found is not None and (found.permanent or found.holds(now)) for found in refused):
        return []  # its Jobs are refused: none of its runs overtakes the one whose turn it is
    made = jobs_of(runs, jobs).keys() | member.reserved.keys()
    holding = holders(runs, jobs, observations).keys() | member.reserved.keys()
    catching_up = any(run.uid in holding and is_missed(run, definition) for run in runs)
    found: list[Waiting] = []
    for run in sorted(runs, key=Place.of):
        if run.finished or run.deleting or run.job_made or run.uid in made or run.native_job is not None:
            continue
        if run.owner_uid != definition.uid or run.spec.stop or run.spec.suspend:
            continue
        if refusal(definition, run, now) is not None:
            continue
        # One that waits for its turn is told when a closed time begins: until then its member has to be looked at.
        told = run.status.phase == Phase.SCHEDULED.value or run.status.reason == CLOSED
        if told and early(definition, run, now) is not None:
            continue
        if is_missed(run, definition):
            if catching_up:
                continue  # of what was missed, one at a time
            catching_up = True
        found.append(Waiting(run.uid, run.name, Place.of(run, patient=is_patient(run, definition))))
    return found


def next_in_line(members: Iterable[Member], now: datetime) -> list[Member]:
    """The members whose runs are next and find a free slot."""
    members = list(members)
    maximum = limit(None, members)
    if maximum is None or (free := maximum - len(held(members))) <= 0:
        return []
    waiting = ((found.place, number) for number, member in enumerate(members) for found in line(member, now))
    return [members[number] for _, number in sorted(waiting)[:free]]
