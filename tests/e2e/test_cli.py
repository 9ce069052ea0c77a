"""The command line against a real API server, as a person types it."""

import json
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import REPOSITORY
from tests.e2e.api import Api, Manifest
from tests.e2e.objects import at, concurrency, every, in_seconds, instant, now, rfc3339, scheduled_job
from tests.e2e.together import together

HOURLY = [{"name": "hourly", "cron": "0 * * * *"}]
REFUSED = 4


def carillon(api: Api, *arguments: str, kubeconfig: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    environment = {**api.cluster.environment, "PYTHONPATH": str(REPOSITORY / "operator"), "COLUMNS": "100"}
    if kubeconfig is not None:
        environment["KUBECONFIG"] = str(kubeconfig)
    command = [sys.executable, "-m", "carillon", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=120, stdin=subprocess.DEVNULL
    )


def answer(api: Api, *arguments: str) -> Any:
    """What a command says as JSON."""
    done = carillon(api, *arguments, "--output", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@together
def test_next_says_what_the_status_says(api: Api, namespace: str) -> None:
    closed = {"spec": {"holidays": [{"country": "FR"}]}, "kind": "Calendar", "apiVersion": "carillon.dev/v1alpha1"}
    calendar = yaml.safe_dump({**closed, "metadata": {"name": "fr", "namespace": namespace}})
    api.cluster.kubectl("create", "--filename", "-", input=calendar)
    daily = [{"name": "daily", "cron": "0 12 * * *", "timeZone": "Europe/Paris"}]
    job = scheduled_job("planned", triggers=daily, exclude={"calendars": ["fr"]})
    api.create("scheduledjobs", namespace, job)
    api.until_ready(namespace, "planned")
    seen = api.get("scheduledjobs", namespace, "planned")
    found = answer(api, "next", "planned", "--namespace", namespace, "--count", "5")
    assert found == seen["status"]["nextExecutions"]
    table = carillon(api, "next", "--namespace", namespace, "--count", "1").stdout
    assert "planned" in table
    assert "12:00 C" in table


@together
def test_explain_a_run_and_a_skip(api: Api, namespace: str) -> None:
    due = in_seconds(3)
    api.create("scheduledjobs", namespace, scheduled_job("once", triggers=at(due)))
    api.create(
        "scheduledjobs",
        namespace,
        scheduled_job("slow", "sleep 20", triggers=every(5), concurrency=concurrency("Forbid")),
    )
    ran = api.until_all("jobruns", namespace, _finished("once"), "the run of once to finish", seconds=60)
    assert ran
    told = answer(api, "explain", "once", "--namespace", namespace, "--at", rfc3339(due))
    (story,) = told["due"]
    assert story["verdict"] == "Ran"
    assert "succeeded" in story["message"]
    skipped = api.until("scheduledjobs", namespace, "slow", _has_skips, "a line of skips", seconds=60)
    line = next(line for line in skipped["status"]["skips"] if line["reason"] == "ConcurrencyForbid")
    text = carillon(api, "explain", "slow", "--namespace", namespace, "--at", line["from"]).stdout
    assert "another run of the job was still active" in text
    assert "concurrency.policy: Forbid" in text


@together
def test_a_backfill_runs_in_order_and_once(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("hours", "sleep 1", triggers=HOURLY))
    api.until_ready(namespace, "hours")
    end = now().replace(minute=0, second=0, microsecond=0)
    times = ("--from", rfc3339(end - timedelta(hours=2)), "--to", rfc3339(end))
    dry = carillon(api, "backfill", "hours", "--namespace", namespace, *times)
    assert dry.returncode == 0, dry.stderr
    assert "--yes makes 3 runs" in dry.stderr
    assert not api.select("jobruns", namespace)
    made = answer(api, "backfill", "hours", "--namespace", namespace, *times, "--yes")
    assert [run["result"] for run in made["runs"]] == ["created"] * 3
    runs = api.until_all("jobruns", namespace, _finished("hours", 3), "three runs to finish", seconds=90)
    assert [run["status"]["phase"] for run in runs] == ["Succeeded"] * 3
    by_due = sorted(runs, key=lambda run: str(run["spec"]["scheduledTime"]))
    starts = [instant(run["status"]["startTime"]) for run in by_due]
    ends = [instant(run["status"]["completionTime"]) for run in by_due]
    assert starts == sorted(starts)
    assert all(ended <= began for ended, began in zip(ends, starts[1:], strict=False))
    again = answer(api, "backfill", "hours", "--namespace", namespace, *times, "--yes")
    assert [run["result"] for run in again["runs"]] == ["present"] * 3
    story = answer(api, "explain", "hours", "--namespace", namespace, "--at", rfc3339(end - timedelta(hours=1)))
    assert story["due"][0]["verdict"] == "Backfilled"


@together
def test_load_counts_the_cluster(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("hours", triggers=HOURLY))
    found = answer(api, "load", "--namespace", namespace)
    assert found["total"] == 24
    everywhere = carillon(api, "load", "--days", "7")
    assert everywhere.returncode == 0, everywhere.stderr
    assert "Peak: " in everywhere.stdout


@together
def test_who_may_not_look_is_told_whom_to_ask(api: Api, namespace: str) -> None:
    api.until("serviceaccounts", namespace, "default", lambda _: True, "the service account")
    token = api.cluster.kubectl("create", "token", "default", "--namespace", namespace).stdout.strip()
    config = yaml.safe_load(api.cluster.kubectl("config", "view", "--raw", "--minify", "--flatten").stdout)
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    config["contexts"][0]["context"]["namespace"] = namespace
    done = _with_config(api, config, "next")
    assert done.returncode == REFUSED, done.stdout + done.stderr
    user = f"system:serviceaccount:{namespace}:default"
    assert f"you may not list scheduledjobs in namespace {namespace}: ask for the role carillon-view" in done.stderr
    assert user in done.stderr


def _with_config(api: Api, config: Manifest, *arguments: str) -> "subprocess.CompletedProcess[str]":
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(config, file)
        file.flush()
        return carillon(api, *arguments, kubeconfig=Path(file.name))


def _finished(job: str, count: int = 1) -> Any:
    def holds(runs: Any) -> bool:
        ours = [run for run in runs if run["spec"]["scheduledJob"] == job]
        return sum(run.get("status", {}).get("phase") in ("Succeeded", "Failed") for run in ours) >= count

    return holds


def _has_skips(job: Manifest) -> bool:
    return any(line["reason"] == "ConcurrencyForbid" for line in job.get("status", {}).get("skips", ()))


# What people see and do -----------------------------------------------------------------------------------------------


def people(api: Api, namespace: str, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run a command in the namespace, and check how it ends."""
    done = carillon(api, *arguments, "--namespace", namespace)
    assert done.returncode == code, f"{arguments}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done


@together
def test_what_there_is_and_what_became_of_it(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("good", "echo all is well", owner="alice@example.com"))
    failing = scheduled_job("bad", "echo the disk is full >&2; exit 3", triggers=HOURLY, owner="bob@example.com")
    api.create("scheduledjobs", namespace, failing)
    api.until_ready(namespace, "good")
    api.until_ready(namespace, "bad")
    people(api, namespace, "run", "good", "bad")
    api.until_all("jobruns", namespace, _all_finished(2), "both to finish", seconds=60)
    api.until("scheduledjobs", namespace, "bad", _shows("Failed"), "the column to say Failed")
    api.until("scheduledjobs", namespace, "good", _shows("Succeeded"), "the column to say Succeeded")
    listed = people(api, namespace, "list").stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["NAME", "bad", "good"]
    assert "Failed" in listed
    only = people(api, namespace, "list", "--status", "failed", "--owner", "bob@example.com", "-o", "name").stdout
    assert only == "scheduledjob.carillon.dev/bad\n"
    sheet = people(api, namespace, "describe", "bad").stdout
    assert "hourly: at minute 0 of every hour (UTC): 0 * * * *" in sheet
    assert "the disk is full" in sheet
    (line,) = answer(api, "history", "bad", "--namespace", namespace)
    assert (line["phase"], line["exitCode"], line["message"]) == ("Failed", 3, "the disk is full")
    wrong = people(api, namespace, "errors", code=1)
    assert "the disk is full" in wrong.stdout
    assert "good" not in wrong.stdout
    assert people(api, namespace, "logs", "good").stdout == "all is well\n"
    described = people(api, namespace, "describe", line["run"]).stdout
    assert "exit code     3" in described


@together
def test_when_the_pods_are_gone_the_record_has_the_last_words(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("bad", "echo out of paper >&2; exit 1"))
    people(api, namespace, "run", "bad", "--wait", "--quiet", code=1)
    api.request("DELETE", api.path("pods", namespace), None, gracePeriodSeconds="0")
    api.until_all("pods", namespace, lambda pods: not pods, "the pods to be gone")
    done = people(api, namespace, "logs", "bad")
    assert done.stdout == "out of paper\n"
    assert "its recorded last words" in done.stderr


@together
def test_run_wait_stands_in_a_script(api: Api, namespace: str) -> None:
    task = scheduled_job("task", "echo one; sleep 2; echo two; exit 7")
    api.create("scheduledjobs", namespace, task)
    api.create("scheduledjobs", namespace, scheduled_job("fine", "echo done"))
    api.create("scheduledjobs", namespace, scheduled_job("slow", "sleep 30"))
    failed = people(api, namespace, "run", "task", "--wait", code=7)
    assert failed.stdout == "one\ntwo\n", "the logs, and nothing else"
    assert "failed with exit code 7" in failed.stderr
    assert people(api, namespace, "run", "fine", "--wait").stdout == "done\n"
    assert people(api, namespace, "run", "task", "--wait", "--no-task-code", code=6).stdout == "one\ntwo\n"
    late = people(api, namespace, "run", "slow", "--name", "slow-one", "--wait", "--timeout", "1s", code=5)
    assert "goes on: carillon logs slow-one --follow" in late.stderr
    assert api.get("jobruns", namespace, "slow-one")["spec"]["scheduledJob"] == "slow"
    refused = people(api, namespace, "run", "slow", "--wait", code=REFUSED)
    assert "ConcurrencyForbid" in refused.stderr or "still active" in refused.stderr
    taken = people(api, namespace, "run", "slow", "--name", "slow-one", code=1)
    assert "give another --name" in taken.stderr
    assert "did you mean slow?" in people(api, namespace, "run", "slwo", code=1).stderr


@together
def test_disable_and_enable_one_and_many(api: Api, namespace: str) -> None:
    for name in ("a", "b", "c"):
        job = scheduled_job(name, triggers=HOURLY, owner="ops" if name != "c" else "dev")
        api.create("scheduledjobs", namespace, job)
        api.until_ready(namespace, name)
    dry = people(api, namespace, "disable", "--owner", "ops", "--dry-run")
    assert dry.stdout.count("disabled (dry run)") == 2
    assert people(api, namespace, "disable", "--owner", "ops").stdout.count("disabled\n") == 2
    for name in ("a", "b"):
        api.until("scheduledjobs", namespace, name, _shows("Disabled"), "it to be shown as disabled")
    refused = people(api, namespace, "run", "a", code=REFUSED)
    assert "is disabled" in refused.stderr
    assert people(api, namespace, "run", "a", "--force", "--wait", "--quiet").returncode == 0
    again = people(api, namespace, "enable", "--all")
    assert "3 ScheduledJobs: 2 enabled, 1 already enabled." in again.stderr
    for name in ("a", "b"):
        assert not api.get("scheduledjobs", namespace, name)["spec"].get("suspend")


@together
def test_clear_takes_the_finished_and_leaves_the_active(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("jobs"))
    api.create("scheduledjobs", namespace, scheduled_job("long", "sleep 60"))
    for _ in range(3):
        people(api, namespace, "run", "jobs", "--wait", "--quiet")
    people(api, namespace, "run", "long", "--name", "long-one")
    api.until("jobruns", namespace, "long-one", lambda run: _phase(run) == "Running", "it to run")
    api.until("scheduledjobs", namespace, "jobs", _lines(3), "three lines of history")
    done = people(api, namespace, "clear", "--all", "--yes")
    assert done.stdout.count(" deleted\n") == 3
    assert "3 lines of status.history cleared" in done.stderr
    assert "1 run not finished, and left alone." in done.stderr
    assert [run["metadata"]["name"] for run in api.select("jobruns", namespace)] == ["long-one"]
    cleared = api.until("scheduledjobs", namespace, "jobs", _lines(0), "the history to be empty")
    assert cleared["status"]["counts"]["succeeded"] == 3, "what is cleared stays counted"
    people(api, namespace, "run", "jobs", "--wait", "--quiet")
    api.until("scheduledjobs", namespace, "jobs", _lines(1), "the line of a run after the clear")
    assert "nothing to clear" in people(api, namespace, "clear", "long").stderr


@together
def test_many_at_once_are_counted_and_asked_for(api: Api, namespace: str) -> None:
    for number in range(12):
        body = scheduled_job(f"job-{number:02}", triggers=HOURLY)
        body["metadata"]["labels"] = {"team": "even" if number % 2 == 0 else "odd"}
        api.create("scheduledjobs", namespace, body)
    unasked = people(api, namespace, "disable", "--all", code=REFUSED)
    assert "12 ScheduledJobs: more than 10 take --yes" in unasked.stderr
    assert not any(job["spec"].get("suspend") for job in api.select("scheduledjobs", namespace))
    assert "6 disabled" in people(api, namespace, "disable", "-l", "team=even").stderr
    everything = people(api, namespace, "disable", "--all", "--yes", "-o", "json")
    results = [each["result"] for each in json.loads(everything.stdout)]
    assert sorted(results) == ["already disabled"] * 6 + ["disabled"] * 6


@together
def test_rights_in_words_for_whom_one_acts_as(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("job"))
    done = people(api, namespace, "list", "--as", "mallory", code=REFUSED)
    words = f"you may not list scheduledjobs in namespace {namespace}: ask for the role carillon-view (you are mallory)"
    assert words in done.stderr
    grant = ("create", "--namespace", namespace)
    api.cluster.kubectl(*grant, "role", "look", "--verb=get,list,watch", "--resource=scheduledjobs,jobruns")
    api.cluster.kubectl(*grant, "rolebinding", "look", "--role=look", "--group=lookers")
    mine = ("--as", "mallory", "--as-group", "lookers")
    assert "job" in people(api, namespace, "list", *mine).stdout
    for command, verb, kind, role in (
        ("run", "create", "jobruns", "carillon-run"),
        ("disable", "patch", "scheduledjobs", "carillon-edit"),
    ):
        refused = people(api, namespace, command, "job", *mine, code=REFUSED)
        assert f"you may not {verb} {kind} in namespace {namespace}: ask for the role {role}" in refused.stderr


@together
def test_a_list_that_goes_on(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("job"))
    api.until_ready(namespace, "job")
    environment = {**api.cluster.environment, "PYTHONPATH": str(REPOSITORY / "operator"), "COLUMNS": "120"}
    command = [sys.executable, "-m", "carillon", "list", "--watch", "--namespace", namespace]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as watching:
        assert watching.stdout is not None
        try:
            assert watching.stdout.readline().split()[0] == "NAME"
            assert "Waiting" in watching.stdout.readline()
            people(api, namespace, "run", "job")
            seen = ""
            while "Succeeded" not in seen:
                seen = watching.stdout.readline()
                assert seen, "the list ended"
        finally:
            watching.terminate()


def _phase(run: Manifest) -> str:
    return str(run.get("status", {}).get("phase", ""))


def _all_finished(count: int) -> Any:
    return lambda runs: sum(_phase(run) in ("Succeeded", "Failed") for run in runs) >= count


def _shows(word: str) -> Any:
    return lambda job: job.get("status", {}).get("display", {}).get("status") == word


def _lines(count: int) -> Any:
    return lambda job: len(job.get("status", {}).get("history", ())) == count


@together
def test_a_run_is_told_values_and_run_again_with_them(api: Api, namespace: str) -> None:
    job = scheduled_job(
        "told", "echo $PARAM_DAYS days", parameters=[{"name": "days", "type": "Integer", "minimum": "1"}]
    )
    api.create("scheduledjobs", namespace, job)
    api.until_ready(namespace, "told")
    first = people(api, namespace, "run", "told", "--name", "told-first", "-p", "days=7", "--wait")
    assert first.stdout == "7 days\n"
    assert api.get("jobruns", namespace, "told-first")["spec"]["requestedBy"], "who asked is on the run"
    wrong = people(api, namespace, "run", "told", "-p", "days=0", "--wait", code=REFUSED)
    assert "spec.parameters.days" in wrong.stderr
    assert people(api, namespace, "rerun", "told-first", "--wait").stdout == "7 days\n"
    runs = api.select("jobruns", namespace)
    again = [run for run in runs if run["metadata"].get("annotations", {}).get("carillon.dev/rerun-of") == "told-first"]
    assert [run["spec"]["parameters"] for run in again] == [{"days": "7"}]


@together
def test_stop_pause_and_resume(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("long", "sleep 600", concurrency=concurrency("Allow")))
    for name in ("long-1", "long-2"):
        people(api, namespace, "run", "long", "--name", name)
        api.until_phase(namespace, name, "Running")
    assert "paused" in people(api, namespace, "pause", "long-1").stdout
    api.until_phase(namespace, "long-1", "Paused", seconds=60)
    assert "resumed" in people(api, namespace, "resume", "long-1").stdout
    api.until_phase(namespace, "long-1", "Running")
    assert people(api, namespace, "stop", "long").stdout.count("stopping") == 2
    for name in ("long-1", "long-2"):
        assert api.until_finished(namespace, name, seconds=90)["phase"] == "Stopped"
    assert "cannot be stopped any more" in people(api, namespace, "stop", "long-1", code=1).stderr


@together
def test_disabled_with_a_reason_and_until_a_time(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("moved", triggers=HOURLY))
    api.until_ready(namespace, "moved")
    until = rfc3339(now() + timedelta(seconds=45))
    people(api, namespace, "disable", "moved", "--reason", "the supplier moves house", "--until", until)
    api.until("scheduledjobs", namespace, "moved", _shows("Disabled"), "it to be shown as disabled")
    refused = people(api, namespace, "run", "moved", code=REFUSED)
    assert "the supplier moves house" in refused.stderr
    api.until("scheduledjobs", namespace, "moved", _shows("Waiting"), "the end of it to come", seconds=90)
