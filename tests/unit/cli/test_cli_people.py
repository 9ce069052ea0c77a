"""What commands of people do to the cluster, what they refuse, and how they end."""

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from carillon.cli.cluster import Cluster
from carillon.cli.exit_codes import Exit
from carillon.cli.moments import duration_of
from carillon.cli.problems import Problem
from carillon.cli.tail import Tail
from carillon.kube.errors import ApiError, Unreachable
from tests.unit.cli.fake import FakeApi, Object, fleet
from tests.unit.cli.office import office, pod, run

FILES = ("-n", "files")
DUMP = "nightly-database-dump"
MADE = "check-dns-x7k2p"
CLEARED = "carillon.dev/history-cleared-through"


def goes(*phases: str | Object) -> FakeApi:
    """The office, where a run of check-dns goes through phases."""
    api = office()
    steps = [phase if isinstance(phase, dict) else run(MADE, "check-dns", phase) for phase in phases]
    api.happens["jobruns"] = steps
    return api


FAILED = run(
    MADE,
    "check-dns",
    "Failed",
    reason="BackoffLimitExceeded",
    message="no answer from 10.0.0.10",
    startTime="2026-11-22T18:00:20Z",
    completionTime="2026-11-22T18:00:32Z",
    steps=[{"name": "main", "exitCode": 3}],
)
SKIPPED = run(MADE, "check-dns", "Skipped", reason="ConcurrencyForbid", message="another run is still active")
DELETED = {**FAILED, "metadata": {**FAILED["metadata"], "deletionTimestamp": "2026-11-22T18:00:20Z"}}
ENDS: list[tuple[Object | str, list[str], int, str]] = [
    ("Succeeded", [], Exit.OK, f"{MADE} succeeded"),
    (FAILED, [], 3, f"{MADE} failed with exit code 3 after 12 s (BackoffLimitExceeded):\nno answer from 10.0.0.10"),
    (FAILED, ["--no-task-code"], Exit.TASK, "failed with exit code 3"),
    (run(MADE, "check-dns", "Failed", reason="PodsRefused", message="quota"), [], Exit.TASK, "(PodsRefused):\nquota"),
    ("Stopped", [], Exit.TASK, f"{MADE} was stopped"),
    (SKIPPED, [], Exit.REFUSED, "was not run (ConcurrencyForbid): another run is still active"),
    (DELETED, [], Exit.FAILED, f"JobRun {MADE} was deleted"),
]


@pytest.mark.parametrize(("end", "options", "code", "words"), ENDS, ids=[str(row[2]) + row[3][:30] for row in ENDS])
def test_run_wait_ends_as_the_run_does(end: Object | str, options: list[str], code: int, words: str) -> None:
    done = goes("Running", end).invoke("run", "check-dns", "--wait", *options, *FILES)
    assert done.exit_code == code, done.output
    assert words in done.stderr
    assert done.stdout == "", "only logs are for stdout"


def test_run_wait_prints_the_logs_and_how_it_goes() -> None:
    going = run(MADE, "check-dns", "Running", progress={"percent": 40, "message": "half way"})
    api = goes(going, FAILED)
    api.add("pods", pod(f"{MADE}-q", MADE, code=3))
    api.logs[f"{MADE}-q", "main"] = ["one", "", "two"]
    done = api.invoke("run", "check-dns", "--wait", *FILES)
    assert done.stdout == "one\n\ntwo\n"
    assert "40 % half way" in done.stderr
    assert "no answer" not in done.stderr, "its log was printed already"
    assert done.exit_code == 3


def test_run_wait_quietly_prints_the_object_alone() -> None:
    done = goes(FAILED).invoke("run", "check-dns", "--wait", "--quiet", "-o", "json", *FILES)
    assert json.loads(done.stdout)["status"]["phase"] == "Failed"
    assert done.stderr.startswith(f"carillon: {MADE} failed")


def test_run_wait_gives_up_in_time_and_the_run_goes_on() -> None:
    done = goes("Running").invoke("run", "check-dns", "--wait", "--timeout", "1s", *FILES)
    assert done.exit_code == Exit.TIMEOUT
    assert f"{MADE} is Running after 1 s, and goes on: carillon logs {MADE} --follow" in done.stderr


def test_who_may_not_read_logs_waits_all_the_same() -> None:
    api = goes("Running", "Succeeded")
    api.forbidden.add(("list", "pods"))
    done = api.invoke("run", "check-dns", "--wait", *FILES)
    assert done.exit_code == Exit.OK
    assert "the logs are not followed: you may not list pods" in done.stderr
    assert "the built-in role view" in done.stderr


def test_a_pod_that_cannot_start_says_why() -> None:
    api = goes("Running", "Failed")
    api.add("pods", pod(f"{MADE}-q", MADE, waiting="ImagePullBackOff"))
    done = api.invoke("run", "check-dns", "--wait", *FILES)
    assert 'has not started: ImagePullBackOff: Back-off pulling image "bsybox"' in done.stderr


def test_a_run_whose_answer_was_lost_is_made_once() -> None:
    api = office()
    lost = iter([True, False])

    class Losing(FakeApi):
        async def create(self, *arguments: Any, **options: Any) -> Object:
            made = await super().create(*arguments, **options)
            if arguments[0].plural == "jobruns" and next(lost):
                raise Unreachable("create jobruns: connection reset")
            return made

    losing = Losing(objects=api.objects)
    done = losing.invoke("run", "check-dns", *FILES)
    assert done.stdout == f"jobrun.carillon.dev/{MADE} created\n"
    assert len(losing.created) == 1


def test_a_name_that_is_taken_is_not_ours() -> None:
    done = office().invoke("run", "compress-folder", "--name", "compress-folder-k4d9w", *FILES)
    assert done.exit_code == Exit.FAILED
    assert "exists in namespace files: give another --name" in done.stderr


def test_a_rerun_has_the_parameters_and_says_of_what() -> None:
    api = office()
    api.invoke("rerun", "compress-folder-k4d9w", *FILES)
    (made,) = api.created
    assert made["spec"] == {
        "scheduledJob": "compress-folder",
        "parameters": {"folder": "reports"},
        "requestedBy": "carol",
    }
    assert made["metadata"]["annotations"] == {"carillon.dev/rerun-of": "compress-folder-k4d9w"}


CHANGES: list[tuple[list[str], str, Object, bool]] = [
    (["stop", "compress-folder"], "compress-folder-k4d9w", {"stop": True}, True),
    (["pause", "jr/compress-folder-k4d9w"], "compress-folder-k4d9w", {"suspend": True}, True),
    (
        ["disable", "check-dns"],
        "check-dns",
        {"suspend": True, "suspendReason": None, "suspendUntil": None, "suspendedBy": "carol"},
        False,
    ),
    (
        ["disable", "check-dns", "--reason", "noise", "--until", "2026-12-01T00:00:00Z"],
        "check-dns",
        {
            "suspend": True,
            "suspendReason": "noise",
            "suspendUntil": "2026-12-01T00:00:00Z",
            "suspendedBy": "carol",
        },
        True,
    ),
    (
        ["enable", "resync"],
        "resync",
        {"suspend": False, "suspendReason": None, "suspendedBy": None, "suspendUntil": None},
        False,
    ),
]


@pytest.mark.parametrize(("command", "name", "spec", "strict"), CHANGES, ids=[" ".join(row[0]) for row in CHANGES])
def test_what_is_written(command: list[str], name: str, spec: Object, strict: bool) -> None:
    """Strict where the command means nothing without its field: an older API server would drop it and say yes."""
    api = office()
    assert api.invoke(*command, *FILES).exit_code == Exit.OK
    ((_, changed, patch, was_strict),) = api.patched
    assert (changed, patch["spec"], was_strict) == (name, spec, strict)
    assert patch["metadata"]["uid"] == f"uid-{name}", "this very object, and no other of its name"


def test_a_run_that_was_written_ahead_is_meant_by_its_own_name_only() -> None:
    api = office()
    spec = {"trigger": {"type": "Periodic", "name": "t0"}, "scheduledTime": "2026-11-22T18:00:30Z"}
    api.add("jobruns", run("compress-folder-1795370430", "compress-folder", spec=spec))
    assert api.invoke("stop", "compress-folder", *FILES).exit_code == Exit.OK
    assert [name for _, name, *_ in api.patched] == ["compress-folder-k4d9w"]
    assert api.invoke("stop", "jr/compress-folder-1795370430", *FILES).exit_code == Exit.OK
    assert [name for _, name, *_ in api.patched][1:] == ["compress-folder-1795370430"]


def test_a_suspension_that_is_over_counts_as_enabled() -> None:
    api = office()
    api.objects["scheduledjobs", "files", "resync"]["spec"]["suspendUntil"] = "2026-11-22T18:00:00Z"
    assert api.invoke("run", "resync", *FILES).exit_code == Exit.OK
    assert "no more: it was until 2026-11-22T18:00:00Z" in api.invoke("describe", "resync", *FILES).stdout


def test_one_failure_does_not_stop_the_others() -> None:
    class Stubborn(FakeApi):
        async def merge_patch(self, resource: Any, namespace: Any, name: str, body: Object, **options: Any) -> Object:
            if name == "compress-folder":
                raise ApiError(422, "Invalid", "spec.suspend: no")
            return await super().merge_patch(resource, namespace, name, body, **options)

    done = Stubborn(objects=office().objects).invoke("disable", "--all", *FILES)
    assert done.stdout.count(" disabled\n") == 5, "with the one that was so already"
    assert "carillon: ScheduledJob files/compress-folder: patch ScheduledJob compress-folder" in done.stderr
    assert "6 ScheduledJobs: 4 disabled, 1 failed, 1 already disabled." in done.stderr
    assert done.exit_code == Exit.REFUSED


@pytest.mark.parametrize(("typed", "code", "changed"), [("y\n", Exit.OK, 60), ("n\n", Exit.REFUSED, 0)])
def test_many_are_asked_for_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, typed: str, code: Exit, changed: int
) -> None:
    monkeypatch.setattr("carillon.cli.bulk.somebody_can_answer", lambda: True)
    api = fleet()
    done = api.invoke("disable", "--all", "-n", "backups", stdin=typed)
    assert done.exit_code == code
    assert len(api.patched) == changed
    assert "60 ScheduledJobs: backups/backup-00, backups/backup-01," in done.stderr
    assert "Disable 60 ScheduledJobs?" in done.stderr


def test_a_server_that_is_away_is_not_asked_for_each() -> None:
    class Away(FakeApi):
        async def merge_patch(self, *arguments: Any, **options: Any) -> Object:
            raise Unreachable("patch scheduledjobs: connection refused")

    done = Away(objects=fleet().objects).invoke("disable", "--all", "--yes", "-n", "backups")
    assert "60 ScheduledJobs: 8 failed, 52 not tried." in done.stderr
    assert done.exit_code == Exit.UNREACHABLE


def test_a_cluster_that_is_older_is_told_in_a_line() -> None:
    class Older(FakeApi):
        async def merge_patch(self, *arguments: Any, **options: Any) -> Object:
            words = 'strict decoding error: unknown field "spec.stop", unknown field "spec.stop"'
            raise ApiError(422, "Invalid", f'"" is invalid: patch: Invalid value: "{"x" * 9000}": {words}')

    done = Older(objects=office().objects).invoke("stop", "compress-folder", *FILES)
    assert done.exit_code == Exit.REFUSED
    assert "the cluster does not know spec.stop: its Carillon is older than this command" in done.stderr
    assert "xxx" not in done.stderr


# Clear All -----------------------------------------------------------------------------------------------------------


def test_clear_deletes_what_was_read_and_tells_through_when() -> None:
    api = office()
    done = api.invoke("clear", "nightly-database-dump", *FILES)
    assert done.exit_code == Exit.OK
    assert api.deleted == ["nightly-database-dump-1795311000", "nightly-database-dump-1795138200"]
    ((_, name, patch, _),) = api.patched
    assert name == "nightly-database-dump"
    assert patch["metadata"]["annotations"] == {CLEARED: "2026-11-22T01:31:12Z"}, "the end of the newest that was seen"
    assert "nothing to clear" in api.invoke("clear", "nightly-database-dump", *FILES).stderr


def test_clear_of_what_is_older_leaves_the_newer_lines() -> None:
    api = office()
    assert api.invoke("clear", "nightly-database-dump", "--older-than", "36h", *FILES).exit_code == Exit.OK
    assert api.deleted == ["nightly-database-dump-1795138200"]
    ((_, _, patch, _),) = api.patched
    assert patch["metadata"]["annotations"] == {CLEARED: "2026-11-21T01:42:10Z"}


def test_a_run_that_is_written_to_meanwhile_is_looked_at_again() -> None:
    api = office()
    key = ("jobruns", "files", "nightly-database-dump-1795311000")

    def touch(name: str) -> None:
        if name == key[2]:
            api.objects[key] = {
                **api.objects[key],
                "metadata": {**api.objects[key]["metadata"], "resourceVersion": "9"},
            }

    api.before_delete = touch
    assert api.invoke("clear", "nightly-database-dump", *FILES).exit_code == Exit.OK
    assert key[2] in api.deleted


def test_a_run_that_is_active_by_now_is_left_alone() -> None:
    api = office()
    key = ("jobruns", "files", "nightly-database-dump-1795311000")

    def revive(name: str) -> None:
        raw = api.objects[key]
        if name == key[2]:
            metadata = {**raw["metadata"], "resourceVersion": "9"}
            api.objects[key] = {**raw, "metadata": metadata, "status": {"phase": "Running"}}

    api.before_delete = revive
    done = api.invoke("clear", "nightly-database-dump", *FILES)
    assert key in api.objects
    assert "it is active; nothing was done to it" in done.stderr
    assert done.exit_code == Exit.FAILED


def test_who_may_delete_runs_only_is_told_that_the_lines_stay() -> None:
    api = office()
    api.forbidden.add(("patch", "scheduledjobs"))
    done = api.invoke("clear", "nightly-database-dump", *FILES)
    assert len(api.deleted) == 2
    assert "its status.history keeps its lines: you may not patch scheduledjobs in namespace files" in done.stderr
    assert done.exit_code == Exit.REFUSED


def test_clear_needs_the_role_that_says_so() -> None:
    api = office()
    api.forbidden.add(("delete", "jobruns"))
    done = api.invoke("clear", "nightly-database-dump", *FILES)
    assert (
        "you may not delete jobruns in namespace files: ask for the role carillon-admin (you are carol)" in done.stderr
    )
    assert api.patched == []
    assert done.exit_code == Exit.REFUSED


# The frame -----------------------------------------------------------------------------------------------------------

USAGE = [
    (["list", "--status", "wrong"], "write one of Invalid, Running"),
    (["list", "--watch", "-o", "json"], "a list that goes on is a table"),
    (["get", "pod/x"], "sj/NAME (ScheduledJob) or jr/NAME (JobRun)"),
    (["history", "jr/x"], "write the name of a ScheduledJob"),
    (["rerun", "sj/resync"], "carillon history resync lists them"),
    (["errors", "--since", "yesterday"], "--since: found 'yesterday'; write a duration such as 90s"),
    (["errors", "resync", "--owner", "x"], "not both"),
    (["logs", "resync", "--follow", "--attempt", "2"], "leave one of them out"),
    (["run", "check-dns", "-p", "days"], "-p days: write KEY=VALUE"),
    (["run", "check-dns", "-p", "a=1", "-p", "a=2"], "a is there twice"),
    (["run", "check-dns", "--timeout", "5s"], "--timeout goes with --wait"),
    (["run", "check-dns", "resync", "--wait"], "--wait is for one ScheduledJob, and these are 2"),
    (["disable", "check-dns", "--all"], "write names or say which, not both"),
    (["disable", "check-dns", "--until", "2026-01-01T00:00:00Z"], "is past"),
    (["clear", "--all", "--failed", "--succeeded"], "leave both out"),
    (["list", "--as-group", "ops"], "--as-group goes with --as"),
]


@pytest.mark.parametrize(("arguments", "words"), USAGE, ids=[" ".join(row[0]) for row in USAGE])
def test_what_is_not_understood_is_said_with_its_cure(arguments: list[str], words: str) -> None:
    done = office().invoke(*arguments, *FILES)
    assert done.exit_code == Exit.USAGE, done.output
    assert words in done.stderr
    assert done.stdout == ""


def test_a_name_that_is_both_has_to_say_which() -> None:
    api = office()
    api.add("jobruns", run("resync", "resync", "Failed"))
    done = api.invoke("describe", "resync", *FILES)
    assert "resync is a ScheduledJob and a JobRun: write sj/resync or jr/resync" in done.stderr
    assert "files/resync  Failed" in api.invoke("describe", "jr/resync", *FILES).stdout


def test_somebody_else_may_be_acted_as() -> None:
    api = office()
    api.invoke("list", "--as", "alice", "--as-group", "ops", "--as-group", "dev", *FILES)
    assert api.place is not None
    assert (api.place.user, api.place.groups, api.place.namespace) == ("alice", ("ops", "dev"), "files")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("7d", 604_800), ("2w", 1_209_600)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration_of(text, "--since") == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "1.5h", "5 m", "99999999w", "1h2"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(Problem, match="--since"):
        duration_of(text, "--since")


COMPLETIONS = [
    (
        "carillon describe ni",
        ["nightly-database-dump", "nightly-database-dump-1795138200", "nightly-database-dump-1795311000"],
    ),
    ("carillon run c", ["check-dns", "compress-folder"]),
    ("carillon rerun comp", ["compress-folder-k4d9w"]),
    ("carillon list --status Dis", ["Disabled"]),
    ("carillon list -n fi", ["files"]),
]


@pytest.mark.parametrize(("line", "offers"), COMPLETIONS, ids=[row[0] for row in COMPLETIONS])
def test_names_are_completed_from_the_cluster(line: str, offers: list[str]) -> None:
    api = office()
    api.objects["namespaces", "", "files"] = {"metadata": {"name": "files"}}
    assert api.complete(line, namespace="files") == offers


def test_completion_without_a_cluster_says_nothing() -> None:
    class Away(FakeApi):
        async def list(self, *arguments: Any, **options: Any) -> Any:
            raise Unreachable("no route to host")

    assert Away().complete("carillon run c", namespace="files") == []


# Logs that break off -------------------------------------------------------------------------------------------------


def test_each_line_of_a_log_is_printed_once_though_the_connection_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carillon.cli.tail.RECONNECT_SECONDS", 0)
    first = ["2026-11-22T18:00:01.1Z one", "2026-11-22T18:00:01.12Z two"]
    asked: list[str] = []

    class Breaking(FakeApi):
        async def log_lines(self, *arguments: Any, since: str = "", **options: Any) -> AsyncGenerator[str, None]:
            asked.append(since)
            for line in first if not since else [*first, "2026-11-22T18:00:01.2Z three"]:
                yield line
            if not since:
                raise Unreachable("read pods/log: connection reset")

    printed: list[str] = []

    async def follow() -> None:
        tail = Tail(Cluster(Breaking()), say=pytest.fail, write=printed.append)
        tail.show([pod("p", "r", code=None)])
        tail.show([pod("p", "r")])
        await tail.drain(None)

    asyncio.run(follow())
    assert printed == ["one", "two", "three"]
    assert asked == ["", "2026-11-22T18:00:01Z"]
