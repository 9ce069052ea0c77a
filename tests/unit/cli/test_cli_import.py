"""The change-over between CronJob and ScheduledJob: its order, its repetition, and what is said when it breaks off."""

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import yaml

from carillon.api import keys
from carillon.cli.exit_codes import Exit
from carillon.kube.errors import ApiError
from carillon.kube.resources import Resource
from tests.unit.cli.fake import NOW, TEMPLATE, FakeApi, Object

TAKE_OVER = ("import", "cronjob", "nightly", "--take-over")
GIVE_BACK = ("import", "cronjob", "nightly", "--give-back")


@dataclass
class Writable(FakeApi):
    """A cluster of which each write is noted, and one may fail."""

    writes: list[str] = field(default_factory=list)
    fails: str = ""
    interrupted: str = ""
    """Somebody presses Ctrl-C during this write, which may have arrived."""

    async def create(
        self, resource: Resource, namespace: str | None, body: Object, *, dry_run: bool = False, strict: bool = False
    ) -> Object:
        assert strict, "what an older CRD does not know must not be dropped"
        self._note(f"{'dry-run' if dry_run else 'create'} {resource.plural}")
        if not dry_run:
            await self._interrupt(f"create {resource.plural}")
        return await super().create(resource, namespace, body, dry_run=dry_run)

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Object,
        *,
        subresource: str = "",
        dry_run: bool = False,
        strict: bool = False,
    ) -> Object:
        what = f"{resource.plural}/{subresource}" if subresource else resource.plural
        if dry_run:
            self._note(f"dry-run patch {what}")
        else:
            self.now += timedelta(seconds=7)
            change = f"patch {what} " + " ".join(f"{k}={v}" for k, v in body.get("spec", {}).items())
            self._note(change)
            await self._interrupt(change)
        return await super().merge_patch(resource, namespace, name, body, dry_run=dry_run)

    async def _interrupt(self, what: str) -> None:
        if self.interrupted and what.startswith(self.interrupted):
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(5)

    def _note(self, what: str) -> None:
        what = what.strip()
        if self.fails and what.startswith(self.fails):
            raise ApiError(500, "InternalError", "etcd is away")
        self.writes.append(what)

    @property
    def cron_job(self) -> Object:
        return self.objects["cronjobs", "default", "nightly"]

    @property
    def scheduled_job(self) -> Object:
        return self.objects["scheduledjobs", "default", "nightly"]


def cluster(*, suspend: bool = False) -> Writable:
    api = Writable()
    metadata = {"name": "nightly", "namespace": "default", "uid": "cj", "creationTimestamp": "2026-01-01T00:00:00Z"}
    spec = {"schedule": "0 3 * * *", "timeZone": "Etc/UTC", "suspend": suspend, "jobTemplate": TEMPLATE}
    api.add("cronjobs", {"metadata": metadata, "spec": spec})
    return api


def test_manifests_are_on_stdout_and_words_on_stderr() -> None:
    done = cluster().invoke("import", "cronjob", "--all")
    assert done.exit_code == Exit.OK
    assert yaml.safe_load(done.stdout)["kind"] == "ScheduledJob"
    assert "CronJob default/nightly:\n  equal:   schedule: '0 3 * * *' in Etc/UTC" in done.stderr


def test_the_report_alone() -> None:
    done = cluster().invoke("import", "cronjob", "nightly", "-o", "report")
    assert (done.exit_code, done.stdout) == (Exit.OK, "")
    assert "  changes: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["import", "cronjob"], "write the name of a CronJob, or --all"),
        (["import", "cronjob", "nightly", "--all"], "write the name of a CronJob, or --all"),
        (["import", "cronjob", "nightly", "-A"], "nightly and --all-namespaces"),
        ([*TAKE_OVER, "--give-back"], "are opposites"),
    ],
)
def test_usage(arguments: list[str], words: str) -> None:
    done = cluster().invoke(*arguments)
    assert done.exit_code == Exit.USAGE
    assert words in done.stderr


@pytest.mark.parametrize("suspend", [False, True])
def test_the_one_that_has_the_due_times_stops_first(suspend: bool) -> None:
    api = cluster(suspend=suspend)
    assert api.invoke(*TAKE_OVER).exit_code == Exit.OK
    assert api.writes == ["dry-run scheduledjobs", "patch cronjobs suspend=True", "create scheduledjobs"]
    assert api.scheduled_job["spec"].get("suspend", False) is suspend, "unsuspended if the CronJob was not"
    api.writes.clear()
    assert api.invoke(*GIVE_BACK).exit_code == Exit.OK
    assert api.writes == [
        "dry-run patch cronjobs/status",
        "dry-run patch cronjobs",
        "patch scheduledjobs suspend=True",
        "patch cronjobs/status",
        f"patch cronjobs suspend={suspend}",
    ]
    assert keys.TAKEN_OVER_ANNOTATION not in api.cron_job["metadata"]["annotations"]
    api.writes.clear()
    assert api.invoke(*TAKE_OVER).exit_code == Exit.OK, "and once more, with the ScheduledJob that is there"
    assert api.writes == [
        "dry-run scheduledjobs",
        "patch cronjobs suspend=True",
        f"patch scheduledjobs suspend={suspend}",
    ]


def test_what_carillon_may_have_run_is_not_run_again() -> None:
    """The CronJob counts from when the ScheduledJob was suspended, not from when that was begun."""
    api = cluster()
    api.invoke(*TAKE_OVER)
    api.now = NOW
    api.invoke(*GIVE_BACK)
    assert api.cron_job["status"]["lastScheduleTime"] == "2026-11-22T18:00:27Z"


@pytest.mark.parametrize("broken", ["patch cronjobs", "create scheduledjobs"])
def test_taking_over_can_be_repeated_when_it_broke_off(broken: str) -> None:
    api = cluster()
    api.fails = broken
    done = api.invoke(*TAKE_OVER)
    assert done.exit_code == Exit.FAILED
    assert "etcd is away" in done.stderr
    if broken == "create scheduledjobs":
        assert "nothing runs now" in done.stderr
        assert "carillon import cronjob nightly -n default --give-back" in done.stderr
    api.fails = ""
    assert api.invoke(*TAKE_OVER).exit_code == Exit.OK
    assert api.cron_job["spec"]["suspend"] is True
    assert not api.scheduled_job["spec"].get("suspend")


@pytest.mark.parametrize("broken", ["patch scheduledjobs", "patch cronjobs/status", "patch cronjobs suspend"])
def test_giving_back_can_be_repeated_when_it_broke_off(broken: str) -> None:
    api = cluster()
    api.invoke(*TAKE_OVER)
    api.fails = broken
    done = api.invoke(*GIVE_BACK)
    assert done.exit_code == Exit.FAILED
    assert "etcd is away" in done.stderr
    running = [not api.cron_job["spec"]["suspend"], not api.scheduled_job["spec"].get("suspend")]
    assert running.count(True) == (1 if broken == "patch scheduledjobs" else 0), "never both"
    api.fails = ""
    assert api.invoke(*GIVE_BACK).exit_code == Exit.OK
    assert (api.cron_job["spec"]["suspend"], api.scheduled_job["spec"]["suspend"]) == (False, True)


def test_a_scheduled_job_of_unknown_origin_that_runs_keeps_the_cronjob_suspended() -> None:
    api = cluster()
    api.invoke(*TAKE_OVER)
    del api.scheduled_job["metadata"]["annotations"]
    api.writes.clear()
    done = api.invoke(*GIVE_BACK)
    assert (done.exit_code, api.writes) == (Exit.FAILED, [])
    assert "ScheduledJob nightly runs, and does not say that it was made from it" in done.stderr
    assert """kubectl -n default patch sj nightly --type merge -p '{"spec": {"suspend": true}}'""" in done.stderr
    api.scheduled_job["spec"]["suspend"] = True
    assert api.invoke(*GIVE_BACK).exit_code == Exit.OK
    assert api.cron_job["spec"]["suspend"] is False


@pytest.mark.parametrize("when", ["taken over", "given back"])
def test_a_scheduled_job_from_before_has_to_be_the_same(when: str) -> None:
    api = cluster()
    api.invoke(*TAKE_OVER)
    if when == "given back":
        api.invoke(*GIVE_BACK)
    api.cron_job["spec"] = {**api.cron_job["spec"], "schedule": "0 4 * * *", "concurrencyPolicy": "Replace"}
    api.writes.clear()
    done = api.invoke(*TAKE_OVER)
    assert (done.exit_code, api.writes) == (Exit.FAILED, ["dry-run scheduledjobs"])
    assert "differs in spec.triggers[0].cron, spec.concurrency.policy. Make it the same, or delete it" in done.stderr


@pytest.mark.parametrize("when", ["taken over", "given back"])
def test_what_a_person_disabled_stays_disabled(when: str) -> None:
    api = cluster()
    api.invoke(*TAKE_OVER)
    api.scheduled_job["spec"]["suspend"] = True
    if when == "given back":
        api.invoke(*GIVE_BACK)
    done = api.invoke(*TAKE_OVER)
    assert done.exit_code == Exit.OK
    assert api.scheduled_job["spec"]["suspend"] is True
    assert "ScheduledJob nightly is disabled, which somebody has done: nothing runs now" in done.stderr


def test_giving_back_once_more_is_no_failure() -> None:
    api = cluster()
    api.invoke(*TAKE_OVER)
    api.invoke(*GIVE_BACK)
    api.writes.clear()
    done = api.invoke(*GIVE_BACK)
    assert (done.exit_code, api.writes) == (Exit.OK, [])
    assert "it has been given back already; ScheduledJob nightly is disabled" in done.stderr


def test_what_was_never_taken_over_is_not_given_back() -> None:
    api = cluster()
    done = api.invoke(*GIVE_BACK)
    assert (done.exit_code, api.writes) == (Exit.FAILED, [])
    assert "not given back: it was not taken over" in done.stderr


def test_all_gives_back_those_that_were_taken_over() -> None:
    api = cluster()
    other = api.cron_job["metadata"] | {"name": "other", "uid": "other"}
    api.add("cronjobs", {**api.cron_job, "metadata": other})
    everything = ("import", "cronjob", "--all", "--give-back")
    assert api.invoke(*everything).stderr == "no CronJobs that were taken over\n"
    api.invoke(*TAKE_OVER)
    done = api.invoke(*everything)
    assert done.exit_code == Exit.OK
    assert "default/nightly: given back" in done.stderr
    assert "other" not in done.stderr


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As at a terminal: a shell that runs the tests in the background has them ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("during", "words"),
    [
        ("patch cronjobs suspend=True", "it may be suspended by now, and then nothing runs. Repeat"),
        ("create scheduledjobs", "the ScheduledJob does not run yet: nothing runs now. Repeat"),
        ("patch scheduledjobs", "the ScheduledJob may be disabled by now, and then nothing runs. Repeat"),
        ("patch cronjobs/status", "no ScheduledJob runs in its place: nothing runs now. Repeat"),
        ("patch cronjobs suspend=False", "no ScheduledJob runs in its place: nothing runs now. Repeat"),
    ],
)
def test_ctrl_c_leaves_word_of_what_to_type(during: str, words: str, interruptible: None) -> None:
    api = cluster()
    api.interrupted = during
    done = api.invoke(*TAKE_OVER)
    if done.exit_code == Exit.OK:
        done = api.invoke(*GIVE_BACK)
        assert "undo it: carillon import cronjob nightly -n default --take-over" in done.stderr
    else:
        assert "undo it: carillon import cronjob nightly -n default --give-back" in done.stderr
    assert done.exit_code == 130
    assert words in done.stderr


@pytest.mark.parametrize("refused", ["dry-run patch cronjobs/status", "dry-run patch cronjobs"])
def test_who_may_not_give_back_disables_nothing(refused: str) -> None:
    api = cluster()
    api.invoke(*TAKE_OVER)
    api.fails = refused
    done = api.invoke(*GIVE_BACK)
    assert done.exit_code == Exit.FAILED
    assert "not given back: it takes the right to patch cronjobs and cronjobs/status" in done.stderr
    assert not api.scheduled_job["spec"].get("suspend")


def test_a_scheduled_job_that_is_gone_is_not_spoken_of() -> None:
    api = cluster()
    api.invoke(*TAKE_OVER)
    del api.objects["scheduledjobs", "default", "nightly"]
    done = api.invoke(*GIVE_BACK)
    assert (done.exit_code, done.stderr) == (Exit.OK, "CronJob default/nightly: given back\n")


def test_what_the_api_server_would_refuse_leaves_the_cronjob_alone() -> None:
    api = cluster()
    api.fails = "dry-run"
    done = api.invoke(*TAKE_OVER)
    assert done.exit_code == Exit.FAILED
    assert "the ScheduledJob would be refused: etcd is away" in done.stderr
    assert not api.writes


def test_who_may_not_see_cronjobs_is_told_of_the_built_in_role() -> None:
    api = cluster()
    api.forbidden = {("get", "cronjobs")}
    done = api.invoke("import", "cronjob", "nightly")
    assert done.exit_code == Exit.REFUSED
    assert "you may not get cronjobs in namespace default: ask for the built-in role view" in done.stderr


def test_ours_are_not_among_all() -> None:
    api = cluster()
    api.cron_job["metadata"]["labels"] = {keys.NATIVE_LABEL: "uid"}
    done = api.invoke("import", "cronjob", "--all")
    assert (done.exit_code, done.stdout, done.stderr) == (Exit.OK, "", "no CronJobs\n")
