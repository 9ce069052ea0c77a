"""What the commands refuse, in which words and with which exit code; and that a backfill makes nothing twice."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from carillon.cli.cluster import Api, Place, World
from carillon.cli.exit_codes import Exit
from carillon.cli.main import app
from carillon.kube.errors import ApiError, NotConfigured, Unreachable
from carillon.kube.kubeconfig import default_namespace
from tests.unit.cli.fake import NOW, FakeApi, cron, definition, fleet, shop

BACKFILL = ("backfill", "dump", "--from", "2026-11-19T00:00:00Z", "--to", "2026-11-21T00:00:00Z")


def fails(done: Result, code: Exit, *words: str) -> None:
    assert done.exit_code == code, done.output
    assert done.stdout == "" or code is Exit.REFUSED
    for word in words:
        assert word in done.stderr, done.stderr


USAGE = [
    (["next", "--cron", "0 3 * *"], "found 4 fields"),
    (["next", "--cron", "0 3 * * *", "--time-zone", "Europe/Pariss"], 'write "Europe/Paris"'),
    (["next", "--cron", ""], "--cron: found nothing; write an expression"),
    (["next", "--cron", "0 3 * * *", "--time-zone", ""], "--time-zone: found nothing; write a name"),
    (["next", "--cron", "0 3 30 2 *"], "a day that never comes"),
    (["next", "--cron", "0 3 * * *", "--from", "tomorrow"], "--from: found 'tomorrow'"),
    (["next", "--cron", "0 3 * * *", "--from", "2026-11-22T18:00:00"], "add Z for UTC"),
    (["next", "--cron", "0 3 * * *", "--from", "0001-01-01T00:00:00Z"], "write one from 1970 to 8999"),
    (["next", "--cron", "0 3 * * *", "--from", "0001-01-01T00:00:00Z", "-o", "json"], "found the year 0001"),
    (["explain", "dump", "--at", "0001-01-01T00:00:00+01:00"], "found the year 0001"),
    (["explain", "dump", "--at", "9999-12-31T23:59:59Z"], "found the year 9999"),
    (["explain", "dump", "--at", "0001-01-01 00:00"], "found the year 0001"),
    (["explain", "dump", "--at", "9999-12-31 23:59"], "found the year 9999"),
    (["next", "dump", "--time-zone", "UTC"], "go with --cron"),
    (["next", "dump", "--cron", "0 3 * * *"], "give one of them"),
    (["next", "dump", "-A"], "name its namespace"),
    (["next", "-A", "-n", "shop"], "leave one of them out"),
    (["next", "-f", "/nonexistent.yaml"], "/nonexistent.yaml"),
    (["explain", "dump", "--at", "half past two"], "--at: found 'half past two'"),
    (["explain", "dump", "--at", "25:00"], "--at: found '25:00'"),
    (["explain", "two-zones", "--at", "10:00"], "several time zones; write an instant as in 2026-"),
    (["load", "--days", "3"], "write 1 or 7"),
    (["backfill", "dump", "--from", "2026-11-21T00:00:00Z", "--to", "2026-11-20T00:00:00Z"], "exchange them"),
    (["backfill", "dump", "--from", "2026-11-21T00:00:00Z", "--to", "2027-01-01T00:00:00Z"], "still to come"),
    ([*BACKFILL, "--id", "Not/This"], "lower-case letters"),
]


@pytest.mark.parametrize(("arguments", "words"), USAGE, ids=[" ".join(row[0]) for row in USAGE])
def test_what_is_not_understood_is_said_with_its_cure(arguments: list[str], words: str) -> None:
    api = shop()
    zones = [cron("a", "0 3 * * *", "Europe/Paris"), cron("b", "0 3 * * *", "Asia/Tokyo")]
    api.add("scheduledjobs", definition("two-zones", *zones))
    fails(api.invoke(*arguments), Exit.USAGE, "carillon: ", words)


FORBIDDEN = [
    ("list", "scheduledjobs", ["next"], "you may not list scheduledjobs in namespace default: ask for the role "),
    ("get", "scheduledjobs", ["next", "dump"], "you may not get scheduledjobs in namespace default: ask for the role"),
    ("list", "jobruns", ["explain", "dump", "--at", "10:00"], "list jobruns in namespace default: ask for the role"),
    ("list", "scheduledjobs", ["load"], "list scheduledjobs in the whole cluster: ask for the role carillon-view in"),
    ("create", "jobruns", [*BACKFILL, "--yes"], "you may not create jobruns in namespace default: ask for the role "),
]


@pytest.mark.parametrize(("verb", "plural", "arguments", "words"), FORBIDDEN)
def test_rbac_in_words(verb: str, plural: str, arguments: list[str], words: str) -> None:
    api = shop()
    api.forbidden.add((verb, plural))
    role = "carillon-run" if verb == "create" else "carillon-view"
    fails(api.invoke(*arguments), Exit.REFUSED, words, role, "(you are carol)")
    assert api.closed


def test_what_an_admission_policy_says_is_said() -> None:
    api = shop()

    def refuse(body: dict[str, Any]) -> None:
        raise ApiError(403, "Forbidden", f"jobruns {body['metadata']['name']} is forbidden: exceeded quota: runs")

    api.before_create = refuse
    fails(api.invoke(*BACKFILL, "--yes"), Exit.REFUSED, "exceeded quota: runs")


def test_nothing_to_connect_to() -> None:
    async def connect(place: Place) -> Api:
        raise NotConfigured(f"{place.kubeconfig}: no such file; name a kubeconfig")

    done = CliRunner().invoke(app, ["load", "--kubeconfig", "/none"], obj=World(connect=connect, now=lambda: NOW))
    fails(done, Exit.UNREACHABLE, "/none: no such file")


NO_KUBECONFIG = [
    ("", "config: the file is empty"),
    ("a: [", "config: not a kubeconfig, which is one YAML document: "),
    ("clusters: []\n---\nclusters: []\n", "which is one YAML document: "),
    ("- 1\n", "which is a map of clusters, users and contexts"),
    ("contexts: 5\n", "contexts has to be a list of maps with a name each"),
    ("clusters: [here]\n", "clusters has to be a list of maps with a name each"),
    ("current-context: a\ncontexts: [{name: a, context: 5}]\n", "config: "),
    ("current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\nclusters: [{name: c}]\n", "config: "),
]


@pytest.mark.parametrize("arguments", [["next"], ["explain", "x", "--at", "10:00"], ["load"]])
@pytest.mark.parametrize(("text", "words"), NO_KUBECONFIG)
def test_a_file_that_is_no_kubeconfig(text: str, words: str, arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    done = CliRunner().invoke(app, arguments, obj=World(now=lambda: NOW), env={"KUBECONFIG": str(path)})
    fails(done, Exit.UNREACHABLE, words, "name a kubeconfig")


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "config"
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": "bm90aGluZw=="}
    context = {"name": "a", "context": {"cluster": "c", "user": "u"}}
    users = [{"name": "u", "user": {"token": "t"}}]
    config = {"current-context": "a", "contexts": [context], "clusters": [{"name": "c", "cluster": cluster}]}
    path.write_text(yaml.safe_dump({**config, "users": users}))
    done = CliRunner().invoke(app, ["next", "--kubeconfig", str(path)], obj=World(now=lambda: NOW))
    fails(done, Exit.UNREACHABLE, "name a kubeconfig")


def test_no_kubeconfig_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "config"
    done = CliRunner().invoke(app, ["next", "--kubeconfig", str(path)], obj=World(now=lambda: NOW))
    fails(done, Exit.UNREACHABLE, f"carillon: {path}: no such file; name a kubeconfig")
    assert caplog.records == []


def test_an_api_server_that_does_not_answer() -> None:
    class Silent(FakeApi):
        async def list(self, *arguments: Any, **options: Any) -> Any:
            raise Unreachable("list scheduledjobs: connection refused")

    fails(Silent().invoke("next"), Exit.UNREACHABLE, "connection refused")


def test_a_cluster_without_carillon() -> None:
    class Bare(FakeApi):
        async def list(self, *arguments: Any, **options: Any) -> Any:
            raise ApiError(404, "", "404 page not found")

    fails(Bare().invoke("next"), Exit.FAILED, "is Carillon installed")


def test_an_empty_namespace() -> None:
    fails(FakeApi().invoke("next", "-n", "empty"), Exit.FAILED, "no ScheduledJobs in namespace empty")


def test_an_invalid_definition_says_why() -> None:
    api = FakeApi()
    api.add("scheduledjobs", definition("bad", cron("t", "0 25 * * *")))
    fails(api.invoke("next", "bad"), Exit.FAILED, "default/bad: spec.triggers[0].cron: found hour '25'")
    fails(api.invoke("explain", "bad", "--at", "10:00"), Exit.FAILED, "found hour '25'")
    fails(api.invoke(*(part.replace("dump", "bad") for part in BACKFILL)), Exit.FAILED, "found hour '25'")


def test_what_the_cluster_refuses_is_remarked() -> None:
    refusal = {
        "type": "NativeBackend",
        "status": "False",
        "reason": "NameTaken",
        "message": "CronJob default/taken exists",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-11-22T12:00:00Z",
    }
    api = shop()
    taken = definition("taken", cron("t", "0 3 * * *"), backend="CronJob", status={"conditions": [refusal]})
    api.add("scheduledjobs", taken)
    assert "Nothing fires it: CronJob default/taken exists." in api.invoke("next", "taken").stdout
    listed = api.invoke("next", columns=120).stdout
    assert "default/taken left out: nothing fires it: CronJob default/taken exists." in listed
    done = api.invoke("next", "-o", "json")
    assert "default/taken" not in json.loads(done.stdout)
    assert "carillon: default/taken left out: nothing fires it: CronJob default/taken exists\n" in done.stderr
    assert listed.count("taken") == 2
    assert "CronJob default/taken exists" in api.invoke("explain", "taken", "--at", "2026-11-23T03:00:00Z").stdout


def test_a_missing_calendar_is_named() -> None:
    api = FakeApi()
    api.add("scheduledjobs", definition("closed", cron("t", "0 3 * * *"), exclude={"calendars": ["office"]}))
    fails(api.invoke("next", "closed"), Exit.FAILED, "there is no Calendar office in namespace default")


def test_json_leaves_disabled_jobs_out_of_a_list_and_says_so() -> None:
    done = shop().invoke("next", "-o", "json")
    assert "default/paused" not in json.loads(done.stdout)
    assert done.stderr == "carillon: 1 disabled job left out\n"


def test_json_of_a_disabled_job_says_that_it_is() -> None:
    done = shop().invoke("next", "paused", "--count", "1", "-o", "json")
    assert json.loads(done.stdout) == ["2026-11-22T18:05:00Z"]
    assert done.stderr == "carillon: default/paused: the job is disabled: nothing fires until spec.suspend is false\n"


def test_json_of_a_file_shows_disabled_jobs_and_says_that_they_are() -> None:
    text = yaml.safe_dump_all([job("one", suspend=True), job("two")])
    done = FakeApi().invoke("next", "-f", "-", "-n", "files", "--count", "1", "-o", "json", stdin=text)
    assert list(json.loads(done.stdout)) == ["files/one", "files/two"]
    assert "carillon: files/one: the job is disabled" in done.stderr


# Files ---------------------------------------------------------------------------------------------------------------


def job(name: str, **spec: Any) -> dict[str, Any]:
    triggers = [{"name": "t", "cron": "0 3 * * *"}]
    template: dict[str, Any] = {"spec": {"template": {"spec": {"containers": []}}}}
    return {
        "kind": "ScheduledJob",
        "metadata": {"name": name},
        "spec": {"triggers": triggers, "jobTemplate": template} | spec,
    }


HOLIDAYS = {"kind": "Calendar", "metadata": {"name": "fr"}, "spec": {"holidays": [{"country": "FR"}]}}


def test_a_file_with_one_definition_is_an_array(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump_all([{"kind": "Namespace", "metadata": {"name": "x"}}, job("one")]))
    done = FakeApi().invoke("next", "-f", str(path), "--count", "1", "-o", "json")
    assert json.loads(done.stdout) == ["2026-11-23T03:00:00Z"]


def test_several_definitions_of_stdin_with_their_calendar() -> None:
    closed = job("two", exclude={"calendars": ["fr"]})
    text = yaml.safe_dump_all([job("one"), {"kind": "List", "items": [closed, HOLIDAYS]}])
    options = ("--from", "2026-12-24T12:00:00Z", "--count", "1", "-o", "json")
    done = FakeApi().invoke("next", "-f", "-", "-n", "files", *options, stdin=text)
    assert json.loads(done.stdout) == {
        "files/one": ["2026-12-25T03:00:00Z"],
        "files/two": ["2026-12-26T03:00:00Z"],
    }


def test_two_triggers_of_one_instant_start_with_the_earliest() -> None:
    late = {"name": "late", "cron": "0 3 * * *", "jitterSeconds": 3000}
    options = ("next", "-f", "-", "--count", "1")
    alone = FakeApi().invoke(*options, stdin=yaml.safe_dump(job("one", triggers=[late])))
    assert "starts at" in alone.stdout
    prompt = {"name": "prompt", "cron": "0 3 * * *"}
    both = FakeApi().invoke(*options, stdin=yaml.safe_dump(job("one", triggers=[late, prompt])))
    assert "late, prompt" in both.stdout
    assert "starts at" not in both.stdout


def test_a_calendar_that_is_not_in_the_file_is_looked_for_in_the_cluster() -> None:
    text = yaml.safe_dump(job("two", exclude={"calendars": ["fr-office"]}))
    options = ("--from", "2026-12-24T12:00:00Z", "--count", "1", "-o", "json")
    assert json.loads(shop().invoke("next", "-f", "-", *options, stdin=text).stdout) == ["2026-12-26T03:00:00Z"]
    missing = FakeApi().invoke("next", "-f", "-", *options, stdin=text)
    fails(missing, Exit.USAGE, "there is no Calendar fr-office")


def test_dates_in_a_file_are_read_as_kubernetes_reads_them() -> None:
    text = """
      kind: ScheduledJob
      metadata: {name: dated}
      spec:
        triggers: [{name: once, at: 2026-12-24T18:00:00Z}, {name: daily, cron: 0 3 * * *}]
        exclude: {dates: [2026-12-24]}
        jobTemplate: {spec: {template: {spec: {containers: []}}}}
    """
    options = ("--from", "2026-12-23T12:00:00Z", "--count", "1", "-o", "json")
    assert json.loads(FakeApi().invoke("next", "-f", "-", *options, stdin=text).stdout) == ["2026-12-25T03:00:00Z"]


def test_what_a_server_wrote_into_a_file_is_passed_over() -> None:
    text = yaml.safe_dump(job("one")).replace("metadata:", "metadata:\n  creationTimestamp: foo\n  uid: [1]")
    done = FakeApi().invoke("next", "-f", "-", "--count", "1", "-o", "json", stdin=text)
    assert json.loads(done.stdout) == ["2026-11-23T03:00:00Z"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("[]", "spec"),
        ("{exclude: [], jobTemplate: {}}", "spec.exclude"),
        (
            "{triggers: [{name: t, cron: 0 3 * * *, at: x}], jobTemplate: {}}",
            "exactly one of cron, interval, at and event",
        ),
    ],
)
def test_a_definition_in_a_file_that_is_wrong(spec: str, words: str) -> None:
    text = f"kind: ScheduledJob\nmetadata: {{name: wrong}}\nspec: {spec}\n"
    fails(FakeApi().invoke("next", "-f", "-", stdin=text), Exit.USAGE, "default/wrong: ", words)


def test_every_counts_from_where_one_asks() -> None:
    options = ("--from", "2026-11-22T18:00:00Z", "--count", "2", "-o", "json")
    done = FakeApi().invoke("next", "--cron", "@every 1h30m", *options)
    assert json.loads(done.stdout) == ["2026-11-22T19:30:00Z", "2026-11-22T21:00:00Z"]


MISNAMED = [
    (
        "apiVersion: other.dev/v1\nkind: ScheduledJob\nmetadata: {name: x}\n",
        "found one of apiVersion other.dev/v1, write",
    ),
    ("apiVersion: carillon.dev.evil/v1\nkind: ScheduledJob\nmetadata: {name: x}\n", "no ScheduledJob in it"),
    ("kind: ScheduledJob\nmetadata: {name: 5}\n", "ScheduledJob: metadata.name: found 5; write a name"),
    ("kind: ScheduledJob\nmetadata: {generateName: x-}\n", "ScheduledJob: metadata.name: required"),
    ("kind: ScheduledJob\nmetadata: x\n", "ScheduledJob: metadata: found no map"),
    ("kind: ScheduledJob\n", "ScheduledJob: metadata: found no map"),
    ("kind: ScheduledJob\nmetadata: {name: x, namespace: [y]}\n", 'metadata.namespace: found ["y"]'),
    ("kind: List\nitems: 5\n", "no ScheduledJob in it"),
    ("kind: [ScheduledJob]\nmetadata: {name: x}\n", "no ScheduledJob in it"),
]


@pytest.mark.parametrize(("text", "words"), MISNAMED)
def test_what_is_wrong_with_the_objects_of_a_file(text: str, words: str) -> None:
    fails(FakeApi().invoke("next", "-f", "-", stdin=text), Exit.USAGE, "-f -: ", words)


@pytest.mark.parametrize("options", [[], ["-o", "json"]])
def test_two_definitions_of_one_name_are_refused(options: list[str]) -> None:
    text = yaml.safe_dump_all([job("one"), job("two"), job("one")])
    done = FakeApi().invoke("next", "-f", "-", "-n", "files", *options, stdin=text)
    fails(done, Exit.USAGE, "-f -: ScheduledJob files/one is there more than once")


@pytest.mark.parametrize(
    "text", ["", "a: [", "kind: ConfigMap\nmetadata: {name: x}\n", "kind: ScheduledJob\nmetadata: {name: 5}\n", "- 1\n"]
)
def test_a_file_without_a_definition(text: str) -> None:
    fails(FakeApi().invoke("next", "-f", "-", stdin=text), Exit.USAGE, "-f -: ")


# Backfill ------------------------------------------------------------------------------------------------------------


def test_a_dry_run_makes_nothing_and_says_how_to() -> None:
    api = shop()
    done = api.invoke(*BACKFILL)
    assert done.exit_code == Exit.OK
    assert api.created == []
    assert "--yes makes 2 runs" in done.stderr


def test_a_backfill_makes_the_runs_oldest_first() -> None:
    api = shop()
    done = api.invoke(*BACKFILL, "--yes", "-o", "json")
    made = json.loads(done.stdout)
    assert [body["spec"]["scheduledTime"] for body in api.created] == ["2026-11-19T01:30:00Z", "2026-11-20T01:30:00Z"]
    assert [run["result"] for run in made["runs"]] == ["created", "created"]
    assert api.created[0]["metadata"]["name"] == f"dump-backfill-{made['id']}-1795051800"
    assert api.created[0]["spec"]["trigger"] == {"type": "Backfill", "name": "nightly"}


def test_a_repeat_makes_nothing_twice() -> None:
    api = shop()
    api.invoke(*BACKFILL, "--yes")
    again = api.invoke(*BACKFILL, "--yes")
    assert len(api.created) == 2
    assert "Made 0 runs; 2 runs there already." in again.stdout


def test_another_id_makes_other_runs() -> None:
    api = shop()
    api.invoke(*BACKFILL, "--yes")
    api.invoke(*BACKFILL, "--yes", "--id", "again")
    assert len(api.created) == 4
    assert api.created[2]["metadata"]["name"].startswith("dump-backfill-again-")


def racing(api: FakeApi, **spec: Any) -> None:
    """Have somebody else make each run a moment before us."""

    def first(body: dict[str, Any]) -> None:
        api.before_create = None
        api.add("jobruns", {**body, "spec": {**body["spec"], **spec}})

    api.before_create = first


def test_a_run_that_appears_meanwhile_is_counted_as_there() -> None:
    api = shop()
    racing(api)
    assert "Made 1 run; 1 run there already." in api.invoke(*BACKFILL, "--yes").stdout


def test_a_foreign_run_of_that_name_is_told() -> None:
    api = shop()
    racing(api, trigger={"type": "Manual"})
    done = api.invoke(*BACKFILL, "--yes")
    assert done.exit_code == Exit.FAILED
    assert "is not of this backfill: give another --id" in done.stderr


def test_nothing_was_due() -> None:
    done = shop().invoke("backfill", "dump", "--from", "2026-11-20T02:00:00Z", "--to", "2026-11-20T03:00:00Z", "--yes")
    assert (done.exit_code, "Nothing was due" in done.stdout) == (Exit.OK, True)


# The frame -----------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    async def connect(place: Place) -> Api:
        return shop()

    world = World(connect=connect, now=lambda: NOW)
    done = CliRunner().invoke(app, ["explain", "dump", "--at", "2026-11-20T01:30:00Z"], obj=world)
    assert "(timeoutSeconds ends one that hangs)" in done.stdout
    assert "\x1b" not in done.stdout
    assert all(line == line.rstrip() for line in done.stdout.splitlines())


@pytest.mark.parametrize("columns", [10, 13, 14, 20, 30, 42, 43, 72, 73])
@pytest.mark.parametrize("days", ["1", "7"])
def test_load_fits_the_screen(days: str, columns: int) -> None:
    lines = fleet().invoke("load", "--days", days, columns=columns).stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert sum("█" in line for line in lines) == {"1": 2, "7": 8}[days]  # with the legend's


def test_a_narrow_screen_cuts_no_title() -> None:
    lines = shop().invoke("next", columns=30).stdout.splitlines()
    assert lines[0].endswith("TRIGGER")


def test_help_groups_the_commands() -> None:
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100", "TERM": "dumb"}).output
    order = ["Look ahead, and back", "next", "explain", "load", "Run jobs", "backfill", "In the cluster", "operator"]
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    assert "--install-completion" in text


KUBECONFIG = """
current-context: b
contexts:
  - {name: a, context: {cluster: c, namespace: alpha}}
  - {name: b, context: {cluster: c, namespace: beta}}
  - {name: bare, context: {cluster: c}}
"""


@pytest.mark.parametrize(
    ("context", "namespace"), [(None, "beta"), ("a", "alpha"), ("bare", "default"), ("x", "default")]
)
def test_the_namespace_is_the_contexts(context: str | None, namespace: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    assert default_namespace(str(path), context) == namespace


def test_kubeconfigs_are_merged_as_kubectl_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("current-context: a\n")
    second.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", f"{first}:{second}")
    assert default_namespace(None, None) == "alpha"
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    assert default_namespace(None, None) == "default"


def test_only_names_are_imported_until_a_command_connects() -> None:
    import subprocess
    import sys

    code = "import sys, carillon.cli.main; print([m for m in ('aiohttp', 'kubernetes', 'kopf') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    assert done.stdout.strip() == "[]"


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "operator")}


def test_the_fake_answers_like_a_client() -> None:
    api: Api = shop()
    items, version = asyncio.run(_list(api))
    assert (len(items), version) == (5, "1")


async def _list(api: Api) -> tuple[list[dict[str, Any]], str]:
    from carillon.kube.resources import SCHEDULED_JOBS

    return await api.list(SCHEDULED_JOBS, "default")
