"""On-event triggers, without a cluster: which events count, which window they join, and what becomes of a window."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.api.event import MOST_OBJECTS, EventType, LabelSelector
from carillon.engine import eventruns
from carillon.engine import plan as plans
from carillon.engine.build import event_variable, job_body
from carillon.engine.decide import decide
from carillon.engine.eventmatch import Own, change_of, is_own, matches, may_be_own, selected
from carillon.engine.eventwindow import OBJECT_BYTES, Change, Windows, receive
from carillon.engine.model import Definition, EventReport, TemplateCheck
from carillon.engine.names import job_names
from carillon.engine.read import read_definition, read_run
from carillon.engine.runstatus import status_body
from tests.unit.engine.builders import (
    DEFINITION_UID,
    NAME,
    NAMESPACE,
    a_definition,
    a_run,
    at,
    conditions_after,
    each,
    history_line,
    raw_definition,
    snapshot,
    stamp,
    status_after,
)

Body = dict[str, Any]
NOON = at("12:00:00")
WATCHED = EventReport(watched={"upload": ""})


def an_event_trigger(**fields: Any) -> Body:
    return {"name": "upload", "event": {"version": "v1", "resource": "configmaps", **fields}}


def a_watcher(*triggers: Body, handled: str | None = "00:00", **rest: Any) -> Definition:
    return a_definition(handled=handled, triggers=list(triggers or [an_event_trigger()]), **rest)


def an_object(name: str = "list", version: int = 100, **metadata: Any) -> Body:
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**metadata, "resourceVersion": str(version)}}


def a_change(name: str = "list", version: int = 100, kind: EventType = EventType.CREATED) -> Change:
    return change_of(kind, an_object(name, version))


def gathered(*changes: Change, debounce: int = 5, every: float = 0.0) -> Windows:
    windows: Windows = ()
    for number, change in enumerate(changes):
        windows = receive(windows, "upload", change, debounce, NOON + timedelta(seconds=number * every))
    return windows


class TestSelection:
    @pytest.mark.parametrize(
        ("selector", "labels", "matched"),
        [
            ({}, {}, True),
            ({"matchLabels": {"a": "b"}}, {"a": "b", "c": "d"}, True),
            ({"matchLabels": {"a": "b"}}, {"a": "c"}, False),
            ({"matchLabels": {"a": "b"}}, {}, False),
            ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["x", "y"]}]}, {"a": "y"}, True),
            ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["x"]}]}, {}, False),
            ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"]}]}, {"a": "x"}, False),
            ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"]}]}, {}, True),
            ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
            ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
            ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {}, True),
            ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
            ({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}, {"a": "b"}, False),
        ],
    )
    def test_labels(self, selector: Body, labels: dict[str, str], matched: bool) -> None:
        """As metav1.LabelSelector is defined."""
        assert matches(LabelSelector.model_validate(selector), labels) is matched

    def test_types(self) -> None:
        wanted = (EventType.CREATED, EventType.DELETED)
        found = [kind for kind in EventType if selected(wanted, LabelSelector(), kind, an_object())]
        assert found == [EventType.CREATED, EventType.DELETED]


def speaks_of(**involved: str) -> Body:
    return {**an_object("list.17f"), "kind": "Event", "involvedObject": involved}


class TestSelfLoops:
    OWN = Own(NAME, {DEFINITION_UID, "uid-run", "uid-job"}, {"sweep-1773144000", "sweep-" + "x" * 57})

    @pytest.mark.parametrize(
        ("raw", "own"),
        [
            (an_object(), False),
            (an_object(labels={"carillon.dev/scheduled-job": NAME}), True),
            (an_object(labels={"carillon.dev/scheduled-job": "another"}), False),
            (an_object(ownerReferences=[{"kind": "Job", "uid": "uid-job"}]), True),
            (an_object(ownerReferences=[{"kind": "JobRun", "uid": "uid-run"}]), True),
            (an_object(ownerReferences=[{"kind": "Job", "uid": "uid-other"}]), False),
            (speaks_of(kind="ScheduledJob", name=NAME, uid=DEFINITION_UID), True),
            (speaks_of(kind="Job", name="sweep-1773144000", uid="uid-job"), True),
            (speaks_of(kind="Job", name="sweep-1773144000", uid="not-known-yet"), True),
            (speaks_of(kind="Job", name="another", uid="uid-another"), False),
            (an_object(ownerReferences=[{"kind": "Job", "name": "sweep-1773144000", "uid": "not-known-yet"}]), True),
            (speaks_of(kind="Pod", name="sweep-1773144000-x7x7x", uid="uid-pod"), True),
            (speaks_of(kind="Pod", name="sweep-" + "x" * 52 + "a1b2c", uid="uid-pod"), True),
            (speaks_of(kind="Pod", name="web-0", uid="uid-web"), False),
            ({**speaks_of(), "involvedObject": None, "regarding": {"uid": "uid-run"}}, True),
        ],
    )
    def test_what_a_run_of_the_job_changed(self, raw: Body, own: bool) -> None:
        assert is_own(raw, self.OWN) is own
        assert may_be_own(raw) or not own

    def test_jobs_are_known_before_they_are_made_and_after_they_were_pruned(self) -> None:
        """Kubernetes' Events of them come when they like."""
        waiting, pruned = a_run(name="sweep-5d0c2e4a11"), a_run(name="sweep-77aa00bb33")
        line = history_line(pruned.name, "11:00")
        definition = a_watcher(status={"history": [line]})
        own = eventruns.own_of(snapshot(definition, waiting), definition)
        for run in (waiting, pruned):
            job = job_body(definition, run, job_names(run.name, run.uid, periodic=False)[0])["metadata"]["name"]
            assert is_own(speaks_of(kind="Job", name=job, uid="not-known"), own)
            assert is_own(speaks_of(kind="Pod", name=f"{job}-x7x7x"[:63], uid="not-known"), own)
            assert is_own(speaks_of(kind="JobRun", name=run.name, uid=run.uid), own)

    def test_a_kubernetes_event_says_what_it_speaks_of(self) -> None:
        assert change_of(EventType.CREATED, speaks_of(kind="Pod", name="web-0")).regarding == "Pod/web-0"


class TestWindows:
    def test_without_debounce_each_event_has_its_window(self) -> None:
        first, second = gathered(a_change("a"), a_change("b"), debounce=0)
        assert (first.count, second.count) == (1, 1)
        assert first.closes_at == NOON

    def test_what_comes_while_a_run_is_to_be_made_gathers_in_the_next(self) -> None:
        first, second = gathered(*(a_change(f"o{number}") for number in range(10)), debounce=0)
        assert (first.count, second.count) == (1, 9)

    def test_the_first_event_opens_a_window(self) -> None:
        (window,) = gathered(a_change("a"), a_change("b"), a_change("c"), debounce=5, every=2)
        assert (window.closes_at, window.count) == (at("12:00:05"), 3)
        assert (window.opened, window.last) == (NOON, at("12:00:04"))

    def test_what_comes_after_it_has_closed_opens_another(self) -> None:
        first, second = gathered(a_change("a"), a_change("b"), debounce=5, every=5)
        assert (first.count, second.opened) == (1, at("12:00:05"))

    def test_an_object_that_changes_again_keeps_its_line(self) -> None:
        (window,) = gathered(a_change("a", 1), a_change("b", 2), a_change("a", 3), a_change("a", 4, EventType.UPDATED))
        lines = [(line.name, line.type.value, line.resource_version) for line in window.objects]
        assert lines == [("a", "Created", "3"), ("b", "Created", "2"), ("a", "Updated", "4")]
        assert window.count == 4

    @given(
        st.lists(st.tuples(st.integers(0, 300), st.text(max_size=300), st.floats(0, 3)), min_size=1, max_size=120),
        st.sampled_from([0, 1, 60]),
    )
    def test_two_bounded_windows_that_count_everything(
        self, events: list[tuple[int, str, float]], debounce: int
    ) -> None:
        """However many come, and however slowly the runs are made."""
        windows: Windows = ()
        now = NOON
        for number, name, pause in events:
            now += timedelta(seconds=pause)
            change = Change(EventType.UPDATED, "v1", "ConfigMap", NAMESPACE, name, f"uid-{number}", "1")
            windows = receive(windows, "upload", change, debounce, now)
            assert len(windows) <= 2
        assert sum(window.count for window in windows) == len(events)
        for window in windows:
            assert len(window.objects) <= MOST_OBJECTS
            lines = (line.model_dump_json(by_alias=True, exclude_defaults=True) for line in window.objects)
            sizes = [len(line.encode()) for line in lines]
            assert sum(sizes) <= max(OBJECT_BYTES, sizes[0])
            assert window.opened <= window.last


class TestRuns:
    def test_a_window_that_has_closed_makes_a_run_with_what_happened(self) -> None:
        windows = {"upload": gathered(a_change("a", 7), a_change("b", 8), debounce=5)}
        plan = decide(snapshot(a_watcher(), event_windows=windows, event_report=WATCHED), at("12:00:05"))
        (create,) = each(plan, plans.CreateRun)
        assert create.body["spec"]["trigger"] == {
            "type": "Event",
            "name": "upload",
            "event": {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "namespace": NAMESPACE,
                "count": 2,
                "firstTime": stamp("12:00:00"),
                "lastTime": stamp("12:00:00"),
                "objects": [
                    {"type": "Created", "name": "a", "uid": "uid-a", "resourceVersion": "7"},
                    {"type": "Created", "name": "b", "uid": "uid-b", "resourceVersion": "8"},
                ],
            },
        }
        assert create.body["metadata"]["labels"]["carillon.dev/trigger"] == "Event"

    def test_before_that_it_is_waited_for(self) -> None:
        windows = {"upload": gathered(a_change(), debounce=5)}
        plan = decide(snapshot(a_watcher(), event_windows=windows, event_report=WATCHED), at("12:00:04.9"))
        assert each(plan, plans.CreateRun) == []
        assert plan.wake_at == at("12:00:05")

    def test_its_name_is_that_of_the_first_event(self) -> None:
        """So that a lost answer makes no second run, whatever has joined meanwhile."""
        definition = a_watcher()
        few, many = gathered(a_change("a")), gathered(a_change("a"), a_change("b"))
        assert eventruns.run_names(definition, few[0]) == eventruns.run_names(definition, many[0])
        others = [a_change("a", 101), a_change("b"), a_change("a", kind=EventType.DELETED)]
        names = {eventruns.run_names(definition, windows[0])[0] for windows in (few, *map(gathered, others))}
        assert len(names) == 4
        assert max(len(name) for name in names) <= len(NAME) + 11

    def test_a_name_that_somebody_else_holds_has_a_spare(self) -> None:
        definition, windows = a_watcher(), gathered(a_change(), debounce=0)
        name, spare, *_ = eventruns.run_names(definition, windows[0])
        plan = decide(
            snapshot(definition, event_windows={"upload": windows}, event_report=WATCHED, taken_runs=frozenset({name})),
            NOON,
        )
        assert [create.name for create in each(plan, plans.CreateRun)] == [spare]

    @pytest.mark.parametrize(
        ("definition", "runs", "reason"),
        [
            (a_watcher(suspend=True), [], "Disabled"),
            (a_watcher(an_event_trigger(filter="object.")), [], "Invalid"),
            (a_watcher(), [a_run("11:00", "Running")], "ConcurrencyForbid"),
            (a_definition(handled="00:00"), [], "Invalid"),
        ],
        ids=["disabled", "invalid", "forbid", "trigger taken away"],
    )
    def test_a_window_without_a_run_is_passed_over(self, definition: Definition, runs: list[Any], reason: str) -> None:
        windows = {"upload": gathered(a_change("a", 7), debounce=0)}
        plan = decide(snapshot(definition, *runs, event_windows=windows, event_report=WATCHED), at("12:00:05"))
        assert each(plan, plans.CreateRun) == []
        assert each(plan, plans.PassOverEvents) == [plans.PassOverEvents("upload", "uid-a", "7", reason)]

    def test_under_allow_runs_overlap(self) -> None:
        windows = {"upload": gathered(a_change(), debounce=0)}
        definition = a_watcher(concurrency={"policy": "Allow"})
        plan = decide(
            snapshot(definition, a_run("11:00", "Running"), event_windows=windows, event_report=WATCHED), NOON
        )
        assert len(each(plan, plans.CreateRun)) == 1

    @pytest.mark.parametrize(("limit", "made", "reasons"), [(1, 1, ["QueueFull"]), (2, 2, [])])
    def test_under_queue_they_wait_while_there_is_room(self, limit: int, made: int, reasons: list[str]) -> None:
        more = {"name": "more", "event": {"version": "v1", "resource": "secrets"}}
        definition = a_watcher(an_event_trigger(), more, concurrency={"policy": "Queue", "queueLimit": limit})
        windows = {
            "upload": gathered(a_change(), debounce=0),
            "more": receive((), "more", a_change("b"), 0, NOON),
        }
        plan = decide(
            snapshot(definition, a_run("11:00", "Running"), event_windows=windows, event_report=WATCHED), NOON
        )
        assert len(each(plan, plans.CreateRun)) == made
        assert [action.reason for action in each(plan, plans.PassOverEvents)] == reasons

    def test_two_triggers_at_once_make_one_run_under_forbid(self) -> None:
        more = {"name": "more", "event": {"version": "v1", "resource": "secrets"}}
        definition = a_watcher(an_event_trigger(), more)
        window = gathered(a_change(), debounce=0)
        windows = {"upload": window, "more": receive((), "more", a_change("b"), 0, NOON)}
        plan = decide(snapshot(definition, event_windows=windows), NOON)
        assert len(each(plan, plans.CreateRun)) == 1
        assert [action.reason for action in each(plan, plans.PassOverEvents)] == ["ConcurrencyForbid"]

    def test_the_containers_are_told(self) -> None:
        run = event_run({"name": "a$(PATH)", "uid": "u", "type": "Deleted"})
        body = job_body(a_watcher(), run, "job")
        (variable,) = (
            each["value"]
            for each in body["spec"]["template"]["spec"]["containers"][0]["env"]
            if each["name"] == "CARILLON_EVENT"
        )
        assert json.loads(variable.replace("$$", "$"))["objects"][0]["name"] == "a$(PATH)"
        assert "a$$(PATH)" in variable, "Kubernetes would expand $(PATH)"

    def test_what_they_are_told_fits_into_the_environment(self) -> None:
        windows = gathered(*(a_change(f"{number:03}-" + "n" * 60) for number in range(200)), debounce=60)
        assert len(event_variable(windows[0].record())) < 8_192
        assert windows[0].record().count == 200


def event_run(*objects: Body) -> Any:
    event = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": NAMESPACE,
        "count": len(objects),
        "firstTime": stamp("12:00"),
        "lastTime": stamp("12:00"),
        "objects": list(objects),
    }
    spec = {"scheduledJob": NAME, "trigger": {"type": "Event", "name": "upload", "event": event}}
    metadata = {"name": "r", "namespace": NAMESPACE, "uid": "uid-r", "resourceVersion": "1"}
    return read_run({"metadata": {**metadata, "creationTimestamp": stamp("12:00")}, "spec": spec})


def counted(trigger: str, reason: str, count: int) -> Body:
    return {"trigger": trigger, "reason": reason, "count": count, "lastTime": stamp("12:00")}


class TestStatus:
    def test_a_new_definition_is_ready_once_everything_is_watched(self) -> None:
        definition = a_watcher(handled=None)
        checked = {"template_check": TemplateCheck(definition.generation, "")}
        early = decide(snapshot(definition, **checked), NOON)
        assert conditions_after(early, definition)["Ready"] == ("Unknown", "Checking")
        late = decide(snapshot(definition, **checked, event_report=WATCHED), NOON)
        assert conditions_after(late, definition)["Ready"] == ("True", "Accepted")

    def test_a_new_leader_takes_nothing_back_that_was_accepted(self) -> None:
        definition = a_watcher()
        assert conditions_after(decide(snapshot(definition), NOON), definition)["Ready"] == ("True", "Accepted")

    def test_what_cannot_be_watched_is_said(self) -> None:
        definition = a_watcher()
        report = EventReport(watched={"upload": "spec.triggers[0].event.resource: found configmaps, …"})
        plan = decide(snapshot(definition, event_report=report), NOON)
        assert conditions_after(plan, definition)["Ready"] == ("False", "EventSourceRefused")
        status = status_after(plan, definition)
        assert status.display.status == "Invalid"
        assert "spec.triggers[0].event.resource" in next(c.message for c in status.conditions if c.type == "Ready")

    def test_a_filter_that_cannot_be_evaluated_is_said(self) -> None:
        definition = a_watcher(an_event_trigger(filter="object.x == 1"))
        fine = decide(snapshot(definition, event_report=WATCHED), NOON)
        assert conditions_after(fine, definition)["EventFilters"] == ("True", "Evaluated")
        report = EventReport(watched={"upload": ""}, troubles={"upload": ("FilterTimeout", "took too long")})
        plan = decide(snapshot(definition, event_report=report), NOON)
        conditions = {c.type: c for c in status_after(plan, definition).conditions}
        assert conditions["EventFilters"].reason == "FilterTimeout"
        assert conditions["EventFilters"].message == "spec.triggers[0].event.filter: took too long"
        assert conditions["Ready"].status == "True"

    def test_counts_are_totals_of_triggers_that_are_there(self) -> None:
        """Totals: a write that was made and whose answer was lost counts nothing twice."""
        recorded = [counted("upload", "Filtered", 3), counted("gone", "Filtered", 9), counted("upload", "Disabled", 1)]
        definition = a_watcher(status={"events": recorded})
        newer = status_after(decide(snapshot(definition), NOON), definition).events
        assert [(line.reason, line.count) for line in newer] == [("Disabled", 1), ("Filtered", 3)]
        lines = a_watcher(status={"events": [counted("upload", "Filtered", 5)]}).status.events
        report = EventReport(watched={"upload": ""}, counts=lines)
        for _ in range(2):
            plan = decide(snapshot(definition, event_report=report), NOON)
            found = status_after(plan, definition).events
            assert [(line.reason, line.count) for line in found] == [("Disabled", 1), ("Filtered", 5)]
            definition = read_definition(
                raw_definition(triggers=[an_event_trigger()], status=status_body(status_after(plan, definition)))
            )

    @pytest.mark.parametrize(
        ("triggers", "column", "schedule"),
        [
            ([], "Manual", ""),
            ([an_event_trigger()], "Event", "configmaps Created"),
            (
                [{"name": "t", "cron": "@daily"}, an_event_trigger(types=["Updated", "Deleted"])],
                "Periodic, Event",
                "@daily, configmaps Updated/Deleted",
            ),
        ],
    )
    def test_columns(self, triggers: list[Body], column: str, schedule: str) -> None:
        definition = a_definition(triggers=triggers, handled="00:00")
        display = status_after(decide(snapshot(definition, event_report=WATCHED), NOON), definition).display
        assert (display.trigger, display.schedule) == (column, schedule)

    def test_watermarks_are_those_of_the_other_triggers(self) -> None:
        definition = a_definition(triggers=[an_event_trigger(), {"name": "t", "cron": "@daily"}])
        status = status_after(decide(snapshot(definition), NOON), definition)
        assert [mark.name for mark in status.triggers] == ["t"]
        assert len(status.next_executions) == 5


class TestBadInput:
    @pytest.mark.parametrize(
        ("trigger", "words"),
        [
            (an_event_trigger(filter="object."), ["spec.triggers[0].event.filter", "'object.'", "no CEL", "1:8"]),
            (an_event_trigger(filter="(" * 1024), ["spec.triggers[0].event.filter", "no CEL"]),
            (an_event_trigger(types=["Added"]), ["spec.triggers[0].event.types[0]", "Added", "Created"]),
            (an_event_trigger(types=["Created", "Created"]), ["spec.triggers[0].event", "twice"]),
            (an_event_trigger(resource="pods/log"), ["spec.triggers[0].event.resource", "pods/log"]),
            ({**an_event_trigger(), "cron": "@daily"}, ["spec.triggers[0]", "cron and event"]),
            ({**an_event_trigger(), "jitterSeconds": 5}, ["spec.triggers[0]", "jitterSeconds", "remove"]),
            (
                an_event_trigger(labelSelector={"matchExpressions": [{"key": "a", "operator": "In"}]}),
                ["labelSelector.matchExpressions[0]", "no values", "In needs at least one"],
            ),
        ],
    )
    def test_words(self, trigger: Body, words: list[str]) -> None:
        said = read_definition(raw_definition(triggers=[trigger])).invalid
        assert [word for word in words if word not in said] == [], said

    def test_two_at_the_most(self) -> None:
        triggers = [{**an_event_trigger(), "name": f"t{number}"} for number in range(3)]
        assert "found 3 with event; use at most 2" in read_definition(raw_definition(triggers=triggers)).invalid

    def test_a_filter_tells_whether_it_looks_back(self) -> None:
        filters = ["object.a == 'oldObject'", "oldObject == null || object.a != oldObject.a"]
        triggers = [{**an_event_trigger(filter=text), "name": f"t{number}"} for number, text in enumerate(filters)]
        assert [event.looks_back for event in a_definition(triggers=triggers).events] == [False, True]
