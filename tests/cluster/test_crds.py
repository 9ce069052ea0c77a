"""What the API server makes of the CRDs: what it refuses and in which words, what it accepts, and what people see."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Cluster
from tests.e2e.api import Api as Requests
from tests.e2e.api import ApiError
from tests.expressions import FOUND, NOT_FOUND, NOT_OF_THE_SHAPE, UNREAD

Manifest = dict[str, Any]

POD = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}
DAILY = {"name": "daily", "cron": "0 3 * * *"}
EVE = "2026-12-24T18:00:00Z"


def job_template(**pod: Any) -> Manifest:
    """A Job template whose pod has these fields, or lacks those that are None."""
    fields = {**POD, **pod}
    return {"spec": {"template": {"spec": {key: value for key, value in fields.items() if value is not None}}}}


def scheduled_job(*, name: str = "nightly", **spec: Any) -> Manifest:
    return {
        "apiVersion": "carillon.dev/v1alpha1",
        "kind": "ScheduledJob",
        "metadata": {"name": name},
        "spec": {"jobTemplate": job_template(), **spec},
    }


def triggered(*triggers: Manifest) -> Manifest:
    return scheduled_job(triggers=list(triggers))


def parameter(**fields: Any) -> Manifest:
    """A ScheduledJob with one parameter."""
    return scheduled_job(parameters=[{"name": "p", **fields}])


def job_run(**spec: Any) -> Manifest:
    return {
        "apiVersion": "carillon.dev/v1alpha1",
        "kind": "JobRun",
        "metadata": {"name": "nightly-1"},
        "spec": {"scheduledJob": "nightly", **spec},
    }


def without(manifest: Manifest, field: str) -> Manifest:
    return {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if key != field}}


def container(**fields: Any) -> list[Manifest]:
    return [{"name": "main", "image": "busybox", **fields}]


def watching(**fields: Any) -> Manifest:
    return {"name": "w", "event": {"version": "v1", "resource": "configmaps", **fields}}


EVENT: Manifest = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "namespace": "default",
    "count": 1,
    "firstTime": "2026-12-24T18:00:00Z",
    "lastTime": "2026-12-24T18:00:00Z",
    "objects": [{"type": "Created", "name": "a", "uid": "b"}],
}


class Api:
    """One namespace, and the words of the API server about what is applied there."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def kubectl(self, *arguments: str, input: Manifest | None = None) -> str:
        text = None if input is None else json.dumps(input)
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, input=text).stdout

    def apply(self, manifest: Manifest, *options: str) -> Manifest:
        applied: Manifest = json.loads(self.kubectl("apply", *options, "-o", "json", "-f", "-", input=manifest))
        return applied

    def refusal(self, manifest: Manifest, *options: str) -> str:
        done = self.cluster.kubectl(
            "--namespace", self.namespace, "apply", *options, "-f", "-", input=json.dumps(manifest), check=False
        )
        assert done.returncode, f"accepted: {done.stdout}"
        return done.stderr


@pytest.fixture
def api(crds: Cluster, namespace: str) -> Api:
    return Api(crds, namespace)


class DryRun:
    """Manifests that the API server judges as those of `kubectl apply --dry-run=server`, and does not store."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def apply(self, manifest: Manifest) -> Manifest:
        kind = f"{manifest['kind'].lower()}s"
        return self._requests.request(
            "POST", self._requests.path(kind, "default"), manifest, dryRun="All", fieldValidation="Strict"
        )

    def refusal(self, manifest: Manifest) -> str:
        """What it says when it refuses; empty when it does not."""
        try:
            self.apply(manifest)
        except ApiError as error:
            return error.message
        return ""


@pytest.fixture(scope="module")
def dry(crds: Cluster) -> Iterator[DryRun]:
    with Requests(crds) as requests:
        yield DryRun(requests)


@pytest.mark.parametrize("plural", ["scheduledjobs", "jobruns"])
def test_a_crd_is_established_and_has_no_other_trouble(crds: Cluster, plural: str) -> None:
    crd = json.loads(crds.kubectl("get", "crd", f"{plural}.carillon.dev", "-o", "json").stdout)
    assert {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]} == {
        "Established": "True",
        "NamesAccepted": "True",
    }


CRON_CURE = "write five fields (minute hour day-of-month month day-of-week), for example 0 3 * * *"
KINDS_CURE = "set exactly one of cron, interval, at and event"
AT_CURE = "write an instant with its offset, for example 2026-12-24T18:00:00Z"
POLICY = "spec.jobTemplate.spec.template.spec.restartPolicy"

REFUSED: dict[str, tuple[Manifest, list[str]]] = {
    "typo in our own field": (scheduled_job(trigers=[]), ['unknown field "spec.trigers"']),
    "typo in a trigger": (triggered({**DAILY, "timezone": "UTC"}), ['unknown field "spec.triggers[0].timezone"']),
    "typo in the pod": (
        scheduled_job(jobTemplate=job_template(serviceAcountName="x")),
        ['unknown field "spec.jobTemplate.spec.template.spec.serviceAcountName"'],
    ),
    "typo deep in the pod": (
        scheduled_job(jobTemplate=job_template(containers=container(resources={"limit": {"cpu": "1"}}))),
        ['unknown field "spec.jobTemplate.spec.template.spec.containers[0].resources.limit"'],
    ),
    "metadata that has no effect": (
        scheduled_job(jobTemplate={"metadata": {"namespace": "x"}, **job_template()}),
        ['unknown field "spec.jobTemplate.metadata.namespace"'],
    ),
    "ephemeral containers": (
        scheduled_job(jobTemplate=job_template(ephemeralContainers=[])),
        ['unknown field "spec.jobTemplate.spec.template.spec.ephemeralContainers"'],
    ),
    "two kinds in one trigger": (
        triggered({**DAILY, "at": EVE}),
        ["spec.triggers[0]:", f"found cron and at; {KINDS_CURE}"],
    ),
    "no kind in a trigger": (triggered(DAILY, {"name": "b"}), ["spec.triggers[1]:", f"found none; {KINDS_CURE}"]),
    "a cron and an event in one trigger": (
        triggered({**DAILY, **watching()}),
        ["spec.triggers[0]:", f"found cron and event; {KINDS_CURE}"],
    ),
    "three event triggers": (
        triggered(*({**watching(), "name": name} for name in "abc")),
        ["spec.triggers:", "use at most 2 triggers with event, or another ScheduledJob"],
    ),
    "jitter of an event": (
        triggered({**watching(), "jitterSeconds": 5}),
        ["spec.triggers[0].jitterSeconds:", "jitterSeconds goes with due times, and event has none; remove it"],
    ),
    "unknown type of event": (
        triggered(watching(types=["Added"])),
        ["spec.triggers[0].event.types[0]:", '"Added"', '"Created", "Updated", "Deleted"'],
    ),
    "subresource of an event": (triggered(watching(resource="pods/log")), ["spec.triggers[0].event.resource:"]),
    "label selector without values": (
        triggered(watching(labelSelector={"matchExpressions": [{"key": "a", "operator": "In"}]})),
        ["spec.triggers[0].event.labelSelector.matchExpressions[0].values:", "In and NotIn need values"],
    ),
    "typo in an event": (
        triggered(watching(debounce=5)),
        ['unknown field "spec.triggers[0].event.debounce"'],
    ),
    "timeZone without cron": (
        triggered({"name": "a", "at": EVE, "timeZone": "Europe/Paris"}),
        ["spec.triggers[0].timeZone:", "timeZone goes with cron only; remove it, or use cron"],
    ),
    "daylightSaving without cron": (
        triggered({"name": "a", "interval": f"R/{EVE}/P1D", "daylightSaving": "RunOnce"}),
        ["spec.triggers[0].daylightSaving:", "daylightSaving goes with cron only; remove it, or use cron"],
    ),
    "unknown daylightSaving": (
        triggered({**DAILY, "daylightSaving": "Twice"}),
        ["spec.triggers[0].daylightSaving:", '"Twice"', '"RunOnce", "WallClock"'],
    ),
    "malformed cron": (triggered({"name": "a", "cron": "every day"}), ["spec.triggers[0].cron:", CRON_CURE]),
    "cron of four fields": (triggered({"name": "a", "cron": "0 3 * *"}), ["spec.triggers[0].cron:", CRON_CURE]),
    "unknown cron macro": (triggered({"name": "a", "cron": "@reboot"}), ["spec.triggers[0].cron:", "@daily"]),
    "time zone in cron": (
        triggered({"name": "a", "cron": "CRON_TZ=Europe/Paris 0 3 * * *"}),
        ["spec.triggers[0].cron:", "write the time zone into timeZone, and only the five fields here"],
    ),
    "malformed interval": (
        triggered({"name": "a", "interval": "P1D"}),
        ["spec.triggers[0].interval:", "write R, the first instant and the period, for example R/2026-01-01T03:00:00"],
    ),
    "instant without offset": (
        triggered({"name": "a", "at": "2026-12-24T18:00:00"}),
        ["spec.triggers[0].at:", AT_CURE],
    ),
    "instant in words": (triggered({"name": "a", "at": "tomorrow"}), ["spec.triggers[0].at:", AT_CURE]),
    "trigger without a name": (triggered({"cron": "@daily"}), ["spec.triggers[0].name: Required value"]),
    "trigger with a bad name": (
        triggered({"name": "Every_Day", "cron": "@daily"}),
        ["spec.triggers[0].name:", '"Every_Day"', "should match '^[a-z0-9]"],
    ),
    "two triggers of one name": (triggered(DAILY, DAILY), ["spec.triggers[1]: Duplicate value", '"daily"']),
    "too many triggers": (
        triggered(*({"name": f"t{n}", "cron": "@daily"} for n in range(17))),
        ["spec.triggers: Too many: 17", "at most 16 items"],
    ),
    "name too long": (
        scheduled_job(name="n" * 53),
        ["metadata.name:", "found nnn", "which is too long; use at most 52 characters"],
    ),
    "label too long": (scheduled_job(label="x" * 81), ["spec.label: Too long", "80"]),
    "negative limit": (
        scheduled_job(history={"failed": -1}),
        ["spec.history.failed: Invalid value: -1", "should be greater than or equal to 0"],
    ),
    "limit too high": (
        scheduled_job(history={"succeeded": 101}),
        ["spec.history.succeeded:", "less than or equal to 100"],
    ),
    "timeout of nothing": (scheduled_job(timeoutSeconds=0), ["spec.timeoutSeconds:", "greater than or equal to 1"]),
    "deadline in words": (
        scheduled_job(startingDeadlineSeconds="10m"),
        ["spec.startingDeadlineSeconds:", "must be of type integer"],
    ),
    "unknown class": (scheduled_job(**{"class": "Admin"}), ["spec.class:", '"Admin"', '"System", "User"']),
    "unknown concurrency policy": (
        scheduled_job(concurrency={"policy": "forbid"}),
        ["spec.concurrency.policy:", '"forbid"', '"Allow", "Forbid", "Replace", "Queue"'],
    ),
    "a max without a limit": (
        scheduled_job(concurrency={"policy": "Allow", "max": 2}),
        ["spec.concurrency.max: Forbidden", "max goes with policy Forbid, Replace or Queue; remove it"],
    ),
    "a group of which one would replace another's run": (
        scheduled_job(concurrency={"policy": "Replace", "group": "db"}),
        ["spec.concurrency.group: Forbidden", "group goes with policy Forbid or Queue; remove it"],
    ),
    "a limit of a queue that there is not": (
        scheduled_job(concurrency={"queueLimit": 2}),
        ["spec.concurrency.queueLimit: Forbidden", "queueLimit goes with policy Queue; remove it"],
    ),
    "a queue of no place": (scheduled_job(concurrency={"policy": "Queue", "queueLimit": 0}), ["queueLimit:", "to 1"]),
    "a queue of the CronJob controller's": (
        scheduled_job(backend="CronJob", triggers=[DAILY], concurrency={"policy": "Queue"}),
        ["spec.concurrency: Forbidden", "a CronJob knows the policies Allow, Forbid and Replace"],
    ),
    "a pending timeout of the CronJob controller's": (
        scheduled_job(backend="CronJob", triggers=[DAILY], pendingTimeoutSeconds=60),
        ["spec.pendingTimeoutSeconds: Forbidden", "a CronJob does not know pendingTimeoutSeconds"],
    ),
    "suspend in words": (scheduled_job(suspend="yes"), ["spec.suspend:", "must be of type boolean"]),
    "no job template": (without(scheduled_job(), "jobTemplate"), ["spec.jobTemplate: Required value"]),
    "empty job template": (scheduled_job(jobTemplate={}), ["spec.jobTemplate.spec: Required value"]),
    "no pod": (
        scheduled_job(jobTemplate={"spec": {"template": {}}}),
        ["spec.jobTemplate.spec.template.spec: Required value"],
    ),
    "no containers": (
        scheduled_job(jobTemplate=job_template(containers=[])),
        ["spec.jobTemplate.spec.template.spec.containers:", "should have at least 1 items"],
    ),
    "restartPolicy Always": (
        scheduled_job(jobTemplate=job_template(restartPolicy="Always")),
        [f"{POLICY}:", "found Always; set Never or OnFailure"],
    ),
    "no restartPolicy": (
        scheduled_job(jobTemplate=job_template(restartPolicy=None)),
        [f"{POLICY}:", "found nothing, which means Always; set Never or OnFailure"],
    ),
    "selector": (
        scheduled_job(jobTemplate={"spec": {**job_template()["spec"], "selector": {"matchLabels": {"a": "b"}}}}),
        ["spec.jobTemplate.spec.selector:", "remove it; Kubernetes makes the selector of each Job"],
    ),
    "manualSelector": (
        scheduled_job(jobTemplate={"spec": {**job_template()["spec"], "manualSelector": True}}),
        ["spec.jobTemplate.spec.manualSelector:", "remove it; Kubernetes makes the selector of each Job"],
    ),
    "quantity with a wrong unit": (
        scheduled_job(jobTemplate=job_template(containers=container(resources={"limits": {"memory": "128Mb"}}))),
        ["spec.jobTemplate.spec.template.spec.containers[0].resources.limits.memory:", '"128Mb"'],
    ),
    "two containers of one name": (
        scheduled_job(jobTemplate=job_template(containers=container() * 2)),
        ["spec.jobTemplate.spec.template.spec.containers[1]: Duplicate value"],
    ),
    "run of nothing": (without(job_run(), "scheduledJob"), ["spec.scheduledJob: Required value"]),
    "typo in a run": (job_run(forced=True), ['unknown field "spec.forced"']),
    "unknown trigger type": (
        job_run(trigger={"type": "Periodical"}),
        ["spec.trigger.type:", '"Periodical"', '"Manual", "Periodic"'],
    ),
    "manual run that says what happened": (
        job_run(trigger={"event": EVENT}),
        ["spec.trigger.event:", "leave trigger out for a manual run"],
    ),
    "event run that does not say what happened": (job_run(trigger={"type": "Event"}), ["spec.trigger.event:"]),
    "event run with a due time": (
        job_run(trigger={"type": "Event", "event": EVENT}, scheduledTime=EVE),
        ["spec.scheduledTime:", "remove it"],
    ),
    "periodic run without its due time": (
        job_run(trigger={"type": "Periodic"}),
        [
            "spec.scheduledTime:",
            "set the due time of the Periodic or Backfill run, or leave trigger out for a manual run",
        ],
    ),
    "manual run with a due time": (
        job_run(scheduledTime=EVE),
        [
            "spec.scheduledTime:",
            "remove it; a Manual or Event run starts now, and only Periodic and Backfill runs have a due time",
        ],
    ),
    "parameter with a bad name": (
        parameter(name="Dry_Run"),
        ["spec.parameters[0].name:", '"Dry_Run"', "should match '^[a-z0-9]"],
    ),
    "two parameters of one name": (
        scheduled_job(parameters=[{"name": "p"}, {"name": "p"}]),
        ["spec.parameters[1]: Duplicate value"],
    ),
    "too many parameters": (
        scheduled_job(parameters=[{"name": f"p{n}"} for n in range(33)]),
        ["spec.parameters: Too many: 33", "at most 32 items"],
    ),
    "typo in a parameter": (parameter(minimun="1"), ['unknown field "spec.parameters[0].minimun"']),
    "unknown type": (parameter(type="Int"), ["spec.parameters[0].type:", '"Int"', '"Enum"', '"Integer"']),
    "default that is no string": (parameter(default=30), ["spec.parameters[0].default:", "must be of type string"]),
    "Integer that is none": (
        parameter(type="Integer", default="many"),
        ["spec.parameters[0].default:", "found many; write a whole number such as 30"],
    ),
    "Integer that a shell takes for octal": (
        parameter(type="Integer", default="010"),
        ["spec.parameters[0].default:", "found 010; write a whole number", "without plus and leading zeros"],
    ),
    "Number that is none": (
        parameter(type="Number", default="1,5"),
        ["spec.parameters[0].default:", "found 1,5; write a number such as 0.5"],
    ),
    "Boolean that is none": (
        parameter(type="Boolean", default="yes"),
        ["spec.parameters[0].default:", "found yes; write true or false, in quotes"],
    ),
    "default below the minimum": (
        parameter(type="Integer", default="9", minimum="10"),
        ["spec.parameters[0].default:", "found 9, which lies below the minimum 10; use at least that"],
    ),
    "default above the maximum": (
        parameter(type="Number", default="1e3", maximum="99.5"),
        ["spec.parameters[0].default:", "found 1e3, which lies above the maximum 99.5; use at most that"],
    ),
    "bounds the wrong way round": (
        parameter(type="Integer", minimum="10", maximum="9"),
        ["spec.parameters[0].maximum:", "found 9, which lies below the minimum 10; exchange them"],
    ),
    "bound that is no number": (
        parameter(type="Integer", minimum="0.5"),
        ["spec.parameters[0].minimum:", "found 0.5; write a whole number"],
    ),
    "bounds of a text": (parameter(minimum="1"), ["spec.parameters[0].minimum:", "goes with type Integer and Number"]),
    "pattern of a number": (
        parameter(type="Integer", pattern="^1"),
        ["spec.parameters[0].pattern:", "goes with type String only"],
    ),
    "choices of a text": (parameter(enum=["a"]), ["spec.parameters[0].enum:", "goes with type Enum only"]),
    "Enum without choices": (
        parameter(type="Enum"),
        ["spec.parameters[0].enum:", "write the values to choose from, or use another type"],
    ),
    "one choice twice": (parameter(type="Enum", enum=["a", "a"]), ["spec.parameters[0].enum[1]: Duplicate value"]),
    "default that is no choice": (
        parameter(type="Enum", enum=["a", "b"], default="c"),
        ["spec.parameters[0].default:", "found c; use one of enum"],
    ),
    "default that does not match": (
        parameter(pattern="^[a-z]+$", default="A"),
        ["spec.parameters[0].default:", "found A, which does not match ^[a-z]+$"],
    ),
    "pattern that is none": (parameter(pattern="("), ["spec.parameters[0].pattern:", "missing closing )"]),
    "pattern that engines read differently": (
        parameter(pattern="(?i)a"),
        ["spec.parameters[0].pattern:", "found (?i)a; write it with . [a-z] [^a-z] \\d \\w"],
    ),
    "value that no variable can have": (parameter(default="a\0b"), ["spec.parameters[0].default:", "should match"]),
    "required of runs that nobody tells": (
        scheduled_job(parameters=[{"name": "p", "required": True}], triggers=[DAILY]),
        ["spec.parameters:", "one is required and has no default", "write a default, or set required: false"],
    ),
    "required of autoStart": (
        scheduled_job(parameters=[{"name": "p", "required": True}], autoStart=True),
        ["spec.parameters:", "one is required and has no default"],
    ),
    "value of a run that is no string": (
        job_run(parameters={"days": 7}),
        ["spec.parameters.days:", "must be of type string"],
    ),
    "value of a run that no variable can have": (
        job_run(parameters={"days": "a\0"}),
        ["spec.parameters.days:", "should match"],
    ),
    "value of a run that is too long": (
        job_run(parameters={"days": "x" * 1025}),
        ["spec.parameters.days: Too long", "1024"],
    ),
    "values of a run that are too long together": (
        job_run(parameters={"a": "é" * 800, "b": "x" * 447}),
        ["spec.parameters:", "more than 2048 bytes together; put them into a ConfigMap or a file, and its name here"],
    ),
    "too many values": (
        job_run(parameters={f"p{n}": "" for n in range(33)}),
        ["spec.parameters: Too many: 33", "at most 32 items"],
    ),
    "due time without offset": (
        job_run(trigger={"type": "Periodic"}, scheduledTime="2026-12-24T18:00:00"),
        ["spec.scheduledTime:", "2026-12-24T18:00:00"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_refused_at_apply_with_the_field_and_the_cure(dry: DryRun, case: str) -> None:
    manifest, fragments = REFUSED[case]
    refusal = dry.refusal(manifest)
    for fragment in fragments:
        assert fragment in refusal


def test_each_field_is_blamed_once(dry: DryRun) -> None:
    refusal = dry.refusal(triggered({"name": "a", "cron": "every day"}))
    assert refusal.count("spec.") == 1


OPTIONAL: Manifest = dict.fromkeys(
    (
        *("label", "description", "owner", "class", "suspend", "autoStart", "triggers", "startingDeadlineSeconds"),
        *("concurrency", "timeoutSeconds", "history"),
    )
)

ACCEPTED: dict[str, Manifest] = {
    "a job template is enough": scheduled_job(),
    "a name of 52 characters": scheduled_job(name="n" * 52),
    "every kind of trigger": triggered(
        {**DAILY, "timeZone": "Europe/Paris", "daylightSaving": "WallClock"},
        {"name": "interval", "interval": "R/2026-01-01T03:00:00+01:00/P1D"},
        {"name": "at", "at": "2026-12-24T18:00:00+01:00"},
    ),
    "every field": scheduled_job(
        label="Nightly",
        description="Every night.",
        owner="alice@example.com",
        suspend=True,
        autoStart=True,
        triggers=[DAILY],
        startingDeadlineSeconds=600,
        concurrency={"policy": "Queue", "max": 2, "group": "nightly-db", "queueLimit": 500},
        pendingTimeoutSeconds=900,
        timeoutSeconds=3600,
        history={"succeeded": 0, "failed": 100},
        **{"class": "System"},
    ),
    "null for every field that may be left out": scheduled_job(**OPTIONAL),
    "null for the other kinds": triggered({**DAILY, "interval": None, "at": None, "timeZone": None}),
    "what tools write into a template's metadata": scheduled_job(
        jobTemplate={
            "metadata": {"creationTimestamp": None, "name": "x", "labels": {"a": "b"}, "annotations": {"a": "b"}},
            "spec": {
                "template": {
                    "metadata": {"creationTimestamp": None, "labels": {"a": "b"}, "annotations": {"a": "b"}},
                    "spec": POD,
                }
            },
        }
    ),
    "a sidecar": scheduled_job(
        jobTemplate=job_template(initContainers=[{"name": "side", "image": "busybox", "restartPolicy": "Always"}])
    ),
    "run now": job_run(),
    "run now, by force": job_run(force=True),
    "every kind of parameter": scheduled_job(
        parameters=[
            {"name": "text", "default": "", "pattern": "^[a-z]*$", "description": "What it is called."},
            {"name": "days", "type": "Integer", "default": "30", "minimum": "-1", "maximum": "999999999999999999"},
            {"name": "ratio", "type": "Number", "default": "2.5e-1", "minimum": "0", "maximum": "1"},
            {"name": "dry-run", "type": "Boolean", "default": "false", "required": True},
            {"name": "mode", "type": "Enum", "enum": ["fast", "thorough"], "default": "fast"},
            {"name": "2nd"},
        ],
        triggers=[DAILY],
    ),
    "required of people": parameter(required=True),
    "null for every field of a parameter": parameter(
        **dict.fromkeys(("type", "description", "default", "required", "minimum", "maximum", "enum", "pattern"))
    ),
    "parameters of the native backend": scheduled_job(
        parameters=[{"name": "p", "default": "x"}], triggers=[DAILY], backend="CronJob"
    ),
    "as many and as long parameters as there may be": scheduled_job(
        parameters=[
            {
                "name": f"{n:040}",
                "type": "Enum",
                "enum": [f"{m:0128}" for m in range(32)],
                "default": "0" * 128,
                "description": "x" * 256,
            }
            for n in range(32)
        ]
    ),
    "run now, with arguments": job_run(parameters={"days": "7", "text": "$(HOME)\n'\"", "empty": ""}),
    "as much as a run may be told": job_run(parameters={"a": "é" * 800, "b": "x" * 446}),
    "a rerun": {
        **job_run(parameters={"days": "7"}, requestedBy="alice"),
        "metadata": {"name": "nightly-2", "annotations": {"carillon.dev/rerun-of": "nightly-1"}},
    },
    "null for every field of a run": job_run(scheduledTime=None, trigger=None, force=None),
    "periodic run": job_run(trigger={"type": "Periodic", "name": "daily"}, scheduledTime="2026-12-24T18:00:00+01:00"),
    "autoStart run": job_run(trigger={"type": "Manual", "name": "autoStart"}),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_good_input_is_accepted(dry: DryRun, case: str) -> None:
    dry.apply(ACCEPTED[case])


def refused_fields(dry: DryRun, manifest: Manifest) -> set[str]:
    """The fields that the API server blames; none when it takes the manifest."""
    return set(re.findall(r"spec\.parameters\[[0-9]+\](?:\.[a-z]+)?(?=: )", dry.refusal(manifest)))


def patterns(*pairs: tuple[str, str]) -> Manifest:
    """One definition with a parameter for each pattern, whose default is the value."""
    listed = enumerate(pairs)
    return scheduled_job(parameters=[{"name": f"p{n}", "pattern": p, "default": value} for n, (p, value) in listed])


def test_the_api_server_finds_what_the_operator_finds(dry: DryRun) -> None:
    """So that no default is accepted here and refused there (tests/unit/engine/test_engine_expressions.py)."""
    assert refused_fields(dry, patterns(*FOUND)) == set()
    every_default = {f"spec.parameters[{n}].default" for n in range(len(NOT_FOUND))}
    assert refused_fields(dry, patterns(*NOT_FOUND)) == every_default


def test_the_api_server_refuses_the_patterns_that_the_operator_refuses(dry: DryRun) -> None:
    refused = [*UNREAD, *NOT_OF_THE_SHAPE]
    for some in (refused[:20], refused[20:]):
        listed = [{"name": f"p{n}", "pattern": pattern} for n, pattern in enumerate(some)]
        expected = {f"spec.parameters[{n}].pattern" for n in range(len(some))}
        assert refused_fields(dry, scheduled_job(parameters=listed)) == expected


@pytest.mark.parametrize(
    "crons",
    [
        ["* * * * *", "*/5 0-23/2 1,15 JAN-jun Mon-FRI", "0 0 ? * *", "0\t3   1 * *", "0 0 1 * 7", "30 0 3 1 * *"],
        ["0 0 L * *", "0 0 L-3 * *", "0 0 * * 5L", "0 0 * * SUN#2", "H H(0-7) * * *", "H/15 * * * *"],
        ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@every 1h30m"],
        ["+5 +1-+7/+2 * * *", "*-foo *-foo/2 ?-x *-a-b *-日本", ",,1 0 * * *", "@every +90s"],
        ["0\u00a03\u00a0* * *", "0\v3\v*\v*\v*", "0\u20033\u3000* * *", "@every\u00a090s"],
    ],
)
def test_every_form_of_cron_is_accepted(dry: DryRun, crons: list[str]) -> None:
    dry.apply(triggered(*({"name": f"t{n}", "cron": cron} for n, cron in enumerate(crons))))


WIDE_POD: Manifest = {
    "restartPolicy": "OnFailure",
    "serviceAccountName": "backup",
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "tolerations": [{"key": "batch", "operator": "Exists", "effect": "NoSchedule"}],
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}, {"ip": "10.0.0.1", "hostnames": ["b"]}],
    "imagePullSecrets": [{"name": "registry"}],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "podAffinityTerm": {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": {"matchLabels": {"app": "backup"}},
                    },
                }
            ]
        }
    },
    "initContainers": [{"name": "wait", "image": "busybox", "command": ["true"]}],
    "containers": [
        {
            "name": "main",
            "image": "busybox",
            "args": ["$(A)"],
            "env": [
                {"name": "A", "value": "1"},
                {"name": "A", "value": "2"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "envFrom": [{"configMapRef": {"name": "c", "optional": True}}],
            "ports": [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}],
            "resources": {"requests": {"cpu": "500m", "memory": "1e8"}, "limits": {"cpu": 1, "memory": "1.5Gi"}},
            "livenessProbe": {"httpGet": {"path": "/", "port": "http"}},
            "startupProbe": {"tcpSocket": {"port": 8080}},
            "securityContext": {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False},
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}, {"name": "all", "mountPath": "/all"}],
        }
    ],
    "volumes": [
        {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi", "medium": "Memory"}},
        {"name": "config", "configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
                    {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                ]
            },
        },
        {
            "name": "own",
            "ephemeral": {
                "volumeClaimTemplate": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }
            },
        },
    ],
}


def cron_job(template: Manifest) -> Manifest:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": template},
    }


def wide_template() -> Manifest:
    return {
        "metadata": {"labels": {"app": "backup"}},
        "spec": {
            "backoffLimit": 0,
            "completions": 3,
            "parallelism": 2,
            "completionMode": "Indexed",
            "ttlSecondsAfterFinished": 60,
            "template": {"metadata": {"labels": {"app": "backup"}}, "spec": WIDE_POD},
        },
    }


def test_the_template_of_a_cron_job_can_be_taken_over_as_it_is(dry: DryRun) -> None:
    cron = dry.apply(cron_job(wide_template()))
    for template in (wide_template(), cron["spec"]["jobTemplate"]):
        stored = dry.apply(scheduled_job(jobTemplate=template))["spec"]["jobTemplate"]
        assert stored == without_nulls(template)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def test_defaults_are_filled_in_and_nulls_are_not_kept(api: Api) -> None:
    stored = api.apply(scheduled_job(suspend=None, startingDeadlineSeconds=None, label=None, triggers=[DAILY]))
    assert without(stored, "jobTemplate")["spec"] == {
        "class": "User",
        "suspend": False,
        "autoStart": False,
        "triggers": [DAILY],
        "catchUp": {"policy": "Latest", "limit": 10},
        "backend": "Operator",
        "concurrency": {"policy": "Forbid"},
        "history": {"succeeded": 3, "failed": 3},
    }
    run = api.apply(job_run(scheduledTime=None))
    given = {"force": False, "suspend": False, "stop": False}
    assert run["spec"] == {"scheduledJob": "nightly", "trigger": {"type": "Manual"}, **given}
    retried = api.apply(scheduled_job(retry={"limit": 2, "backoff": {"initialSeconds": 5}}))
    assert retried["spec"]["retry"] == {"limit": 2, "backoff": {"initialSeconds": 5, "factor": 2, "maxSeconds": 600}}


def test_a_partial_object_is_filled_up(dry: DryRun) -> None:
    stored = dry.apply(scheduled_job(history={"failed": 10}, concurrency={}))
    assert stored["spec"]["history"] == {"succeeded": 3, "failed": 10}
    assert stored["spec"]["concurrency"] == {"policy": "Forbid"}


@pytest.mark.parametrize("at_first", [False, True])
def test_auto_start_is_set_at_creation_only(api: Api, at_first: bool) -> None:
    api.apply(scheduled_job(autoStart=at_first))
    refusal = api.refusal(scheduled_job(autoStart=not at_first))
    assert "spec.autoStart can only be set at creation; create a new ScheduledJob or a JobRun instead" in refusal
    api.apply(scheduled_job(autoStart=at_first, suspend=True))


@pytest.mark.parametrize(
    "change",
    [
        {"force": True},
        {"scheduledJob": "other"},
        {"trigger": {"name": "daily"}},
        {"parameters": {"days": "7"}},
        {"requestedBy": "alice"},
    ],
)
def test_a_run_does_not_change(api: Api, change: Manifest) -> None:
    api.apply(job_run())
    refusal, [field] = api.refusal(job_run(**change)), change
    assert f"spec.{field}: Forbidden: found a change; of a JobRun only spec.suspend" in refusal
    assert "create a new JobRun instead" in refusal


def test_a_run_is_paused_resumed_and_stopped_once(api: Api) -> None:
    for suspend in (False, True, False, True):
        assert api.apply(job_run(suspend=suspend))["spec"]["suspend"] is suspend
    assert api.apply(job_run(stop=True))["spec"]["stop"] is True
    for again in ({"stop": False}, {}):
        assert "spec.stop: Forbidden: a stop is not taken back" in api.refusal(job_run(**again))


@pytest.mark.parametrize(
    ("retry", "field"),
    [({}, "spec.retry.limit"), ({"limit": 10}, "spec.retry.limit"), ({"limit": 1, "backoff": {"factor": 0}}, "factor")],
)
def test_retries_are_bounded(dry: DryRun, retry: Manifest, field: str) -> None:
    assert field in dry.refusal(scheduled_job(retry=retry))


@pytest.mark.parametrize("given", [{"retry": {"limit": 1}}, {"suspendUntil": "2026-12-24T18:00:00Z"}])
def test_a_cron_job_has_no_retries_and_no_end_of_its_suspension(dry: DryRun, given: Manifest) -> None:
    refusal = dry.refusal(scheduled_job(backend="CronJob", triggers=[DAILY], **given))
    assert f"a CronJob does not know {next(iter(given))}" in refusal


def test_a_run_stays_under_ten_kilobytes(api: Api) -> None:
    """Told as much as may be, and ended with as long a message as it may have (design 3.12)."""
    run = job_run(parameters={"a": "x" * 1024, "b": "y" * 1022}, requestedBy="z" * 256)
    api.kubectl("create", "-f", "-", input=run)
    ending = {"status": "True", "reason": "Failed", "message": "m" * 1024, "lastTransitionTime": EVE}
    conditions = [{"type": kind, **ending} for kind in ("Finished", "Succeeded")]
    patch_status(api, "jr", "nightly-1", {"phase": "Failed", "message": "m" * 4096, "conditions": conditions})
    stored = json.loads(api.kubectl("get", "jr", "nightly-1", "-o", "json", "--show-managed-fields"))
    assert 8_000 < len(json.dumps(stored, separators=(",", ":"))) < 10_000


def test_the_labels_of_a_run_may_change(api: Api) -> None:
    api.apply(job_run())
    api.kubectl("label", "jobrun", "nightly-1", "keep=yes")


def test_two_appliers_may_own_a_trigger_each(api: Api) -> None:
    api.apply(triggered(DAILY), "--server-side", "--field-manager=one")
    hourly = {"name": "hourly", "cron": "@hourly"}
    second = without(triggered(hourly), "jobTemplate")
    stored = api.apply(second, "--server-side", "--field-manager=two")
    assert stored["spec"]["triggers"] == [DAILY, hourly]


def test_status_is_written_through_its_own_subresource_only(api: Api) -> None:
    stored = api.apply({**scheduled_job(), "status": {"observedGeneration": 7}})
    assert "status" not in stored
    assert patch_status(api, "scheduledjob", "nightly", {"observedGeneration": 1})["observedGeneration"] == 1


def patch_status(api: Api, kind: str, name: str, status: Manifest) -> Manifest:
    patch = json.dumps({"status": status})
    options = ["--subresource=status", "--type=merge", "--patch", patch, "-o", "json"]
    patched: Manifest = json.loads(api.kubectl("patch", kind, name, *options))["status"]
    return patched


def test_the_columns_of_scheduled_jobs(api: Api) -> None:
    api.apply(scheduled_job(triggers=[DAILY]))
    display = {
        "trigger": "Periodic",
        "label": "Nightly dump",
        "owner": "alice",
        "lastExecution": "2026-01-01T03:00:00Z",
        "status": "Succeeded",
        "next": "2099-01-02T03:00:00Z",
        "schedule": "0 3 * * *",
    }
    counts = {"active": 0, "queued": 3, "succeeded": 41, "failed": 2}
    patch_status(api, "sj", "nightly", {"display": display, "counts": counts})
    header, row = api.kubectl("get", "sj").splitlines()
    assert columns(header) == ["NAME", "TRIGGER", "LABEL", "OWNER", "LAST EXECUTION", "STATUS", "NEXT"]
    assert columns(row) == [
        *("nightly", "Periodic", "Nightly dump", "alice"),
        *("2026-01-01T03:00:00Z", "Succeeded", "2099-01-02T03:00:00Z"),
    ]
    header, row = api.kubectl("get", "sj", "-o", "wide").splitlines()
    assert columns(header)[7:] == ["SCHEDULE", "ACTIVE", "QUEUED", "SUCCEEDED", "FAILED"]
    assert columns(row)[7:] == ["0 3 * * *", "0", "3", "41", "2"]


def test_the_columns_of_job_runs(api: Api) -> None:
    api.apply(job_run(trigger={"type": "Periodic"}, scheduledTime="2099-01-01T03:00:00Z", requestedBy="alice"))
    steps = [{"name": "main", "attempt": number, "exitCode": code} for number, code in ((1, 1), (2, 3))]
    progress = {"percent": 40, "message": "half", "updateTime": "2026-01-01T03:00:00.000001Z"}
    status = {
        "phase": "Failed",
        "reason": "ExitCode",
        "message": "no space left",
        "attempts": 2,
        "steps": steps,
        "progress": progress,
    }
    times = {"startTime": "2026-01-01T03:00:00Z", "completionTime": "2026-01-01T03:00:00Z"}
    patch_status(api, "jr", "nightly-1", {**status, **times})
    header, row = api.kubectl("get", "jr").splitlines()
    assert columns(header) == ["NAME", "SCHEDULED JOB", "TRIGGER", "STATUS", "PROGRESS", "REASON", "AGE"]
    assert columns(row)[:6] == ["nightly-1", "nightly", "Periodic", "Failed", "40", "ExitCode"]
    header, row = api.kubectl("get", "jr", "-o", "wide").splitlines()
    assert columns(header)[7:] == [
        "SCHEDULED TIME",
        "REQUESTED BY",
        "STARTED",
        "FINISHED",
        "ATTEMPTS",
        "EXIT CODE",
        "TASK MESSAGE",
        "MESSAGE",
    ]
    cells = columns(row)
    assert cells[7:9] == ["2099-01-01T03:00:00Z", "alice"]
    assert cells[11:] == ["2", "3", "half", "no space left"], "the exit code of the last attempt"
    assert "<invalid>" not in row


def columns(line: str) -> list[str]:
    """The cells of a table line: kubectl puts at least three spaces between them."""
    return [cell.strip() for cell in line.split("   ") if cell.strip()]


def test_definitions_are_among_all_and_both_kinds_in_our_own_category(api: Api) -> None:
    api.apply(scheduled_job())
    api.apply(job_run())
    assert api.kubectl("get", "all", "-o", "name").split() == ["scheduledjob.carillon.dev/nightly"]
    assert sorted(api.kubectl("get", "carillon", "-o", "name").split()) == [
        "jobrun.carillon.dev/nightly-1",
        "scheduledjob.carillon.dev/nightly",
    ]


def test_runs_can_be_selected_by_definition_and_phase(api: Api) -> None:
    server = json.loads(api.kubectl("version", "-o", "json"))["serverVersion"]
    if int(server["minor"].rstrip("+")) < 31:
        pytest.skip("field selectors of custom resources came with Kubernetes 1.31")
    api.apply(job_run())
    patch_status(api, "jr", "nightly-1", {"phase": "Failed"})
    for selector, found in {
        "spec.scheduledJob=nightly,status.phase=Failed": "jobrun.carillon.dev/nightly-1\n",
        "spec.scheduledJob=nightly,status.phase=Running": "",
    }.items():
        assert api.kubectl("get", "jr", "-o", "name", "--field-selector", selector) == found


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("sj", "Create a JobRun to run it now."),
        ("sj.spec", "When the job runs by itself."),
        ("sj.spec.triggers", "exactly one of cron, interval, at and event"),
        ("sj.spec.triggers.cron", 'Example: "0 3 1 * *"'),
        ("sj.spec.triggers.event", "created, updated or deleted in the namespace"),
        ("sj.spec.triggers.event.filter", "object.data.version != oldObject.data.version"),
        ("sj.status.events.reason", "Filtered: the filter was not true"),
        ("jr.spec.trigger.event.objects", "The first objects that changed"),
        ("sj.spec.concurrency.policy", "Forbid (default)"),
        ("sj.spec.jobTemplate.spec", "kubectl explain job.spec"),
        ("sj.status.conditions", "LastRunSucceeded"),
        ("sj.spec.parameters", "spec.parameters of a JobRun"),
        ("sj.spec.parameters.name", "PARAM_<NAME>"),
        ("sj.spec.parameters.pattern", "The part of RE2"),
        ("jr.spec.parameters", 'Example: {days: "7"}'),
        ("jr.spec.requestedBy", "the user who creates it"),
        ("jr.spec.scheduledJob", "in the same namespace"),
        ("jr.status", "the end of what the container said"),
    ],
)
def test_kubectl_explains_the_fields(crds: Cluster, field: str, words: str) -> None:
    assert words in " ".join(crds.kubectl("explain", field).stdout.split())


def test_kubectl_explains_fields_deep_in_the_pod(crds: Cluster) -> None:
    said = crds.kubectl("explain", "sj.spec.jobTemplate.spec.template.spec.containers.securityContext").stdout
    assert "allowPrivilegeEscalation" in said


def test_applying_again_changes_nothing(crds: Cluster) -> None:
    def specs() -> str:
        return crds.kubectl("get", "crd", "-o", "jsonpath={.items[*].spec}").stdout

    before = specs()
    crds.kubectl("apply", "--filename", str(Path(__file__).parents[2] / "crds"))
    # Not what kubectl says, nor the generation: to 1.30, which drops selectableFields, it sends them every time.
    assert specs() == before


def test_each_crd_can_be_changed_from_what_the_server_stored(crds: Cluster) -> None:
    stored = yaml.safe_load(crds.kubectl("get", "crd", "scheduledjobs.carillon.dev", "-o", "yaml").stdout)
    crds.kubectl("replace", "--dry-run=server", "-f", "-", input=json.dumps(stored))
