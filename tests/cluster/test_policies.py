"""Who may do what to a job, on a real API server: the chart's roles and admission policies together.

The table is the permission model of the design (3.9, 3.11). People act as impersonated users, the operator as its
service account, all with the rights that the chart gives them; `--dry-run=server` goes through admission and changes
nothing, so that no row depends on another.
"""

import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHART = Path(__file__).parents[2] / "charts" / "carillon"
TEMPLATES = ("policies", "rbac-people", "rbac-operator")
PEOPLE = {
    "viewer": ["view"],
    "runner": ["{release}-run"],
    "writer": ["{release}-edit"],
    "editor": ["edit"],
    "admin": ["admin"],
    "administrator": ["edit", "{release}-administer"],
}
"""Who is bound to which ClusterRoles, built-in ones (they aggregate the chart's) and the chart's own."""
GRACE_SECONDS = 30.0
NATIVE_JOB, CATCH_UP = "carillon.dev/native-job", "carillon.dev/catch-up"
BACKFILL = "carillon.dev/backfill"
MUTATING = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Release:
    """The chart's policies and roles, working in two namespaces of a cluster."""

    cluster: Any
    name: str
    namespace: str
    doomed: str
    """A second namespace, to delete."""
    records_requesters: bool
    """The cluster serves MutatingAdmissionPolicy."""

    def user(self, who: str) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.name}" if who == "operator" else f"{who}.{self.namespace}"

    def kubectl(self, *arguments: str, who: str | None = None, **options: Any) -> "subprocess.CompletedProcess[str]":
        impersonation = ["--as", self.user(who)] if who else []
        done: subprocess.CompletedProcess[str] = self.cluster.kubectl(
            "--namespace", self.namespace, *impersonation, *arguments, **options
        )
        return done


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + GRACE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {GRACE_SECONDS:.0f} s for {what}")
        time.sleep(0.1)


def scheduled_job(name: str, job_class: str = "User", **metadata: Any) -> Manifest:
    container = {"name": "main", "image": "busybox"}
    return {
        "apiVersion": "carillon.dev/v1alpha1",
        "kind": "ScheduledJob",
        "metadata": {"name": name, **metadata},
        "spec": {
            "class": job_class,
            "triggers": [{"name": "nightly", "cron": "0 3 * * *"}],
            "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}},
        },
    }


def on_event(*resources: str) -> list[Manifest]:
    """Event triggers; a resource is `configmaps` or `deployments.apps`."""
    parts = [resource.partition(".") for resource in resources]
    return [
        {"name": f"t{number}", "event": {"group": group, "version": "v1", "resource": resource}}
        for number, (resource, _, group) in enumerate(parts)
    ]


def job_run(
    scheduled_job: str, *, periodic: bool = False, trigger: Manifest | None = None, **metadata: Any
) -> Manifest:
    spec: Manifest = {"scheduledJob": scheduled_job}
    if trigger:
        spec["trigger"] = trigger
    if trigger and trigger["type"] == "Backfill":
        spec["scheduledTime"] = "2026-01-01T03:00:00Z"
    if periodic:
        spec |= {"trigger": {"type": "Periodic", "name": "nightly"}, "scheduledTime": "2026-01-01T03:00:00Z"}
    return {
        "apiVersion": "carillon.dev/v1alpha1",
        "kind": "JobRun",
        "metadata": {"generateName": f"{scheduled_job}-", **metadata},
        "spec": spec,
    }


def job(name: str, *owners: Manifest) -> Manifest:
    """A Job as people write it, with these owners."""
    template = scheduled_job(name)["spec"]["jobTemplate"]
    metadata = {"name": name, **({"ownerReferences": list(owners)} if owners else {})}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}


def asked_by(user: str, run: Manifest) -> Manifest:
    return {**run, "spec": {**run["spec"], "requestedBy": user}}


def on_nodes(name: str) -> Manifest:
    """A job that watches what an editor may not."""
    job = scheduled_job(name)
    job["spec"]["triggers"] = on_event("nodes")
    return job


def event_run(scheduled_job: str) -> Manifest:
    event = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": "default",
        "count": 1,
        "firstTime": "2026-01-01T03:00:00Z",
        "lastTime": "2026-01-01T03:00:00Z",
        "objects": [{"type": "Created", "name": "a", "uid": "b"}],
    }
    run = job_run(scheduled_job)
    run["spec"]["trigger"] = {"type": "Event", "name": "seen", "event": event}
    return run


def owned_by(name: str, uid: str = "0b7a9a34-0000-4000-8000-000000000000") -> list[Manifest]:
    return [{"apiVersion": "carillon.dev/v1alpha1", "kind": "ScheduledJob", "name": name, "uid": uid}]


@pytest.fixture(scope="module")
def release(crds: Any) -> Iterator[Release]:
    suffix = uuid.uuid4().hex[:8]
    made = Release(
        crds,
        f"policies-{suffix}",
        namespace=f"test-policies-{suffix}",
        doomed=f"test-doomed-{suffix}",
        records_requesters=serves_mutating(crds),
    )
    rendered = subprocess.run(
        ["helm", "template", made.name, str(CHART), "--namespace", made.namespace, "--kube-version", "1.36.0"]
        + ["--set", f"fullnameOverride={made.name},watchNamespaces={{{made.namespace},{made.doomed}}}"]
        + (["--api-versions", MUTATING] if made.records_requesters else [])
        + [f"--show-only=templates/{template}.yaml" for template in TEMPLATES],
        env=crds.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    try:
        install(made, rendered)
        yield made
    finally:
        crds.kubectl("delete", "--filename=-", "--wait=false", "--ignore-not-found", input=rendered)
        crds.kubectl("delete", "namespace", made.namespace, made.doomed, "--wait=false", "--ignore-not-found")


def serves_mutating(cluster: Any) -> bool:
    """What `helm install` asks the cluster itself."""
    listed = json.loads(cluster.kubectl("get", "--raw", "/apis/admissionregistration.k8s.io/v1").stdout)
    return any(resource["kind"] == "MutatingAdmissionPolicy" for resource in listed["resources"])


def install(release: Release, rendered: str) -> None:
    for namespace in (release.namespace, release.doomed):
        release.cluster.kubectl("create", "namespace", namespace)
    release.cluster.kubectl("create", "--filename=-", input=rendered)
    for who, roles in PEOPLE.items():
        for role in (role.format(release=release.name) for role in roles):
            user = f"--user={release.user(who)}"
            release.kubectl("create", "rolebinding", f"{who}-{role}", f"--clusterrole={role}", user)
    # A role of a cluster's own, that changes runs and does not make them.
    release.kubectl("create", "role", "changer", "--verb=get,patch", "--resource=jobruns.carillon.dev")
    release.kubectl("create", "rolebinding", "changer", "--role=changer", f"--user={release.user('changer')}")
    for job in (scheduled_job("system", "System"), scheduled_job("user"), on_nodes("watches-nodes")):
        release.kubectl("create", "--filename=-", input=json.dumps(job))
    until(lambda: aggregated(release), "the built-in roles to aggregate the chart's")
    uid = release.kubectl("get", "scheduledjob", "system", "--output=jsonpath={.metadata.uid}").stdout
    for run in (
        job_run("user", name="plain", annotations={"note": "a"}),
        job_run("user", name="noted", annotations={NATIVE_JOB: "user-1/0b7a9a34", CATCH_UP: "true"}),
        job_run("user", trigger={"type": "Backfill"}, name="backfilled", labels={BACKFILL: "b"}),
        job_run("system", name="of-system", ownerReferences=owned_by("system", uid)),
    ):
        release.kubectl("create", "--filename=-", input=json.dumps(run), who="operator")
    until(lambda: enforced(release), "the API server to enforce the policies")


def aggregated(release: Release) -> bool:
    wanted = {"admin": "delete jobruns.carillon.dev", "editor": "create jobruns.carillon.dev"}
    return all(
        release.kubectl("auth", "can-i", *what.split(), who=who, check=False).stdout.strip() == "yes"
        for who, what in wanted.items()
    )


def enforced(release: Release) -> bool:
    refused = (
        refusal(release, "editor", delete("system")),
        refusal(release, "editor", create(job_run("system", periodic=True))),
        refusal(release, "writer", create(scheduled_job("another"))),
        refusal(release, "editor", create(on_nodes("another"))),
    )
    stamped = not release.records_requesters or requester(release, "runner", job_run("user"), "--dry-run=server")
    return all("ValidatingAdmissionPolicy" in words for words in refused) and bool(stamped)


def requester(release: Release, who: str, run: Manifest, *options: str) -> str:
    """Who has asked for the run that somebody creates, as the API server has it."""
    command = ("create", "--filename=-", "--output=json", *options)
    made = json.loads(release.kubectl(*command, who=who, input=json.dumps(run)).stdout)
    return str(made["spec"].get("requestedBy", ""))


@dataclass(frozen=True)
class Act:
    """Something done with kubectl."""

    arguments: tuple[str, ...]
    input: str | None = None


def patch(name: str, change: Manifest) -> Act:
    return Act(("patch", "scheduledjob", name, "--type=merge", "--patch", json.dumps(change)))


def spec(name: str, **fields: Any) -> Act:
    return patch(name, {"spec": fields})


def metadata(name: str, **fields: Any) -> Act:
    return patch(name, {"metadata": fields})


def run_metadata(name: str, **fields: Any) -> Act:
    return Act(("patch", "jobrun", name, "--type=merge", "--patch", json.dumps({"metadata": fields})))


def run_spec(name: str, **fields: Any) -> Act:
    return Act(("patch", "jobrun", name, "--type=merge", "--patch", json.dumps({"spec": fields})))


def delete(name: str) -> Act:
    return Act(("delete", "scheduledjob", name))


def create(manifest: Manifest) -> Act:
    return Act(("create", "--filename=-"), json.dumps(manifest))


def refusal(release: Release, who: str, act: Act) -> str:
    """What kubectl says when the act is refused; empty when it is allowed."""
    done = release.kubectl(*act.arguments, "--dry-run=server", who=who, input=act.input, check=False)
    return done.stderr if done.returncode else ""


def allowed(who: str, what: str, act: Act) -> Any:
    return pytest.param(who, act, (), id=f"{who} {what}")


def refused(who: str, what: str, act: Act, *words: str) -> Any:
    return pytest.param(who, act, words, id=f"{who} may not: {what}")


BY_ROLE = "cannot"
"""A word of RBAC's own refusals."""
ADMINISTER = "the verb administer"
CREATE_JOBS = "the right to create Jobs"
WHY_DISABLED = {"suspendReason": "the disk is full", "suspendedBy": "alice", "suspendUntil": "2026-12-24T18:00:00Z"}
TO_SYSTEM = ("spec.class: found System", ADMINISTER, "use User")
MAY_CLEAR = "the right to delete JobRuns"
CLEARED, NOON = "carillon.dev/history-cleared-through", "2026-01-01T12:00:00Z"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SYSTEM_JOBS_ARE_DISABLED_ENABLED_AND_RUN_BY_ALL_WHO_MAY_EDIT = [
    allowed("editor", "disables a system job", spec("system", suspend=True)),
    allowed("editor", "enables a system job", spec("system", suspend=False)),
    allowed("editor", "says why a system job is disabled", spec("system", suspend=True, **WHY_DISABLED)),
    allowed("editor", "enables it before its time", spec("system", suspend=False, suspendUntil=None)),
    allowed("editor", "runs a system job", create(job_run("system"))),
    allowed("runner", "stops a run of a system job", run_spec("of-system", stop=True)),
    allowed("runner", "pauses a run of a system job", run_spec("of-system", suspend=True)),
    allowed("editor", "leaves the mark of kubectl apply", metadata("system", annotations={APPLIED: "{}"})),
    allowed("writer", "disables a system job", spec("system", suspend=True)),
    allowed("runner", "runs a system job", create(job_run("system"))),
]
AND_ARE_NOT_EDITED = [
    refused("runner", "change what a run of it does", run_spec("of-system", force=True), "spec.force", "create a new"),
    refused("viewer", "stop a run of it", run_spec("of-system", stop=True), BY_ROLE),
    refused("editor", "reschedule", spec("system", triggers=[]), "spec.triggers: not", ADMINISTER),
    refused("editor", "add a field", spec("system", timeoutSeconds=5), "spec.timeoutSeconds: not", ADMINISTER),
    refused("editor", "remove a field", spec("system", triggers=None), "spec.triggers: not", ADMINISTER),
    refused("editor", "edit while suspending", spec("system", suspend=True, label="x"), "spec.label: not", ADMINISTER),
    refused("editor", "make it a user job", spec("system", **{"class": "User"}), "spec.class: not", ADMINISTER),
    refused("editor", "label", metadata("system", labels={"a": "b"}), "metadata.labels: not", ADMINISTER),
    refused("editor", "annotate", metadata("system", annotations={"a": "b"}), "metadata.annotations: not", ADMINISTER),
    refused("editor", "keep it", metadata("system", finalizers=["a.com/b"]), "metadata.finalizers: not", ADMINISTER),
    refused(
        "editor", "own it", metadata("system", ownerReferences=owned_by("user")), "ownerReferences: not", ADMINISTER
    ),
    refused("editor", "delete", delete("system"), "suspend: true", ADMINISTER),
    refused("admin", "delete a system job", delete("system"), "suspend: true", ADMINISTER),
    refused("editor", "create a system job", create(scheduled_job("more", "System")), *TO_SYSTEM),
    refused("editor", "make a user job a system job", spec("user", **{"class": "System"}), *TO_SYSTEM),
]
BUT_BY_ADMINISTRATORS = [
    allowed("administrator", "reschedules a system job", spec("system", triggers=[])),
    allowed("administrator", "labels a system job", metadata("system", labels={"a": "b"})),
    allowed("administrator", "makes a system job a user job", spec("system", **{"class": "User"})),
    allowed("administrator", "makes a user job a system job", spec("user", **{"class": "System"})),
    allowed("administrator", "deletes a system job", delete("system")),
    allowed("administrator", "creates a system job", create(scheduled_job("more", "System"))),
    allowed("administrator", "lets a name be made up", create(scheduled_job("", "System", generateName="more-"))),
    allowed("operator", "keeps a system job as the chart has it", spec("system", label="x")),
]
USER_JOBS_ARE_THEIR_AUTHORS = [
    allowed("editor", "creates a user job", create(scheduled_job("more"))),
    allowed("editor", "reschedules a user job", spec("user", triggers=[])),
    allowed("editor", "labels a user job", metadata("user", labels={"a": "b"})),
    allowed("editor", "deletes a user job", delete("user")),
]
WHO_DECIDES_WHICH_PODS_RUN_MAY_CREATE_JOBS = [
    refused("writer", "create", create(scheduled_job("more")), "spec.jobTemplate", CREATE_JOBS),
    refused("writer", "change", spec("user", label="x"), "spec.label", CREATE_JOBS),
    allowed("writer", "disables a user job", spec("user", suspend=True)),
    allowed("writer", "labels a user job", metadata("user", labels={"a": "b"})),
]
RUNS_THAT_STAND_FOR_A_DUE_TIME_ARE_THE_OPERATORS = [
    refused(
        "editor", "make a periodic run", create(job_run("user", periodic=True)), "found Periodic", "leave spec.trigger"
    ),
    refused("administrator", "make a periodic run", create(job_run("user", periodic=True)), "found Periodic"),
    refused("editor", "name an owner", create(job_run("user", ownerReferences=owned_by("user"))), "ownerReferences"),
    allowed("operator", "makes a run", create(job_run("user", periodic=True, ownerReferences=owned_by("user")))),
]
NOTES = "the operator's notes"
SAYS_AUTO_START = {"type": "Manual", "name": "autoStart"}
WHAT_A_RUN_IS_THE_OPERATOR_SAYS = [
    *(
        refused(who, f"note {key} on a run", create(job_run("user", annotations={key: "user-1/0b7a9a34"})), NOTES)
        for who in ("runner", "administrator")
        for key in (NATIVE_JOB, CATCH_UP)
    ),
    refused("changer", "note a native Job later", run_metadata("plain", annotations={NATIVE_JOB: "a/b"}), NOTES),
    refused("changer", "note another native Job", run_metadata("noted", annotations={NATIVE_JOB: "a/b"}), NOTES),
    refused("changer", "forget the native Job", run_metadata("noted", annotations={NATIVE_JOB: None}), NOTES),
    refused("changer", "forget that it was missed", run_metadata("noted", annotations=None), NOTES),
    refused("runner", "take its owner away", run_metadata("of-system", ownerReferences=None), "for good"),
    refused("runner", "call it autoStart", create(job_run("user", trigger=SAYS_AUTO_START)), "found autoStart"),
    refused("runner", "make it of a backfill", create(job_run("user", labels={BACKFILL: "b"})), BACKFILL, "leave it"),
    refused("changer", "make it of a backfill later", run_metadata("plain", labels={BACKFILL: "b"}), BACKFILL),
    refused("changer", "move it to another backfill", run_metadata("backfilled", labels={BACKFILL: "c"}), BACKFILL),
    allowed("runner", "annotates a run", create(job_run("user", annotations={"note": "b"}, labels={"team": "a"}))),
    allowed("changer", "annotates a run later", run_metadata("noted", annotations={"note": "b"}, labels={"team": "a"})),
    allowed("runner", "backfills", create(job_run("user", trigger={"type": "Backfill"}, labels={BACKFILL: "b"}))),
    allowed("operator", "notes a native Job", create(job_run("user", annotations={NATIVE_JOB: "a/b"}))),
    allowed("operator", "corrects a note", run_metadata("noted", annotations={NATIVE_JOB: None})),
    allowed("operator", "makes the run of autoStart", create(job_run("user", trigger=SAYS_AUTO_START))),
]
A_RUN = {"apiVersion": "carillon.dev/v1alpha1", "kind": "JobRun", "name": "of-system", "uid": "u", "controller": True}
ONLY_FOR_THE_OPERATOR = "only the operator makes Jobs for these"
JOBS_OF_RUNS_ARE_THE_OPERATORS = [
    *(
        refused(who, "make the Job of a run", create(job("one", A_RUN)), ONLY_FOR_THE_OPERATOR, "create a JobRun")
        for who in ("editor", "administrator")
    ),
    refused(
        "editor", "make it one without controlling it", create(job("one", {**A_RUN, "controller": False})), "leave"
    ),
    allowed("editor", "makes a Job", create(job("one"))),
    allowed("editor", "makes a Job of somebody else's JobRun", create(job("one", {**A_RUN, "apiVersion": "o.org/v1"}))),
    allowed("operator", "makes the Job of a run", create(job("one", A_RUN))),
]
NOBODY_ASKS_IN_ANOTHERS_NAME = [
    refused(
        "runner",
        "ask in another's name",
        create(asked_by("boss", job_run("user"))),
        "spec.requestedBy: found boss, and you are runner.",
        "leave it out",
    ),
    refused("administrator", "ask in another's name", create(asked_by("boss", job_run("user"))), "found boss"),
    allowed("runner", "says nothing", create(asked_by("", job_run("user")))),
    allowed("operator", "writes whose event it was", create(asked_by("boss", job_run("user")))),
]
WATCH = "needs the right to watch"
WHO_WATCHES_MAY_WATCH = [
    allowed("editor", "watches what it may watch", spec("user", triggers=on_event("configmaps", "deployments.apps"))),
    refused(
        "editor",
        "watch what it may not",
        spec("user", triggers=on_event("roles.rbac.authorization.k8s.io")),
        "spec.triggers",
        WATCH,
        "roles.rbac.authorization.k8s.io",
        "the verb watch on",
    ),
    refused("editor", "hide it behind another", spec("user", triggers=on_event("configmaps", "nodes")), WATCH, "nodes"),
    refused("editor", "create one", create(on_nodes("more")), WATCH, "nodes"),
    allowed("editor", "disables what somebody else has watch", spec("watches-nodes", suspend=True)),
    refused("editor", "change what somebody else has watch", spec("watches-nodes", label="x"), WATCH, "nodes"),
    allowed("editor", "takes the trigger away", spec("watches-nodes", triggers=[])),
    refused("editor", "make an event run", create(event_run("user")), "found Event", "leave spec.trigger"),
]
ROLES_SEE_RUN_WRITE_AND_CLEAR = [
    refused("viewer", "run a job", create(job_run("user")), BY_ROLE),
    refused("runner", "disable a job", spec("user", suspend=True), BY_ROLE),
    refused("editor", "clear the history", Act(("delete", "jobrun", "any")), BY_ROLE),
    allowed("admin", "clears the history", Act(("delete", "jobrun", "any", "--ignore-not-found"))),
    *(
        row
        for job in ("user", "system")
        for row in (
            allowed("admin", f"clears the lines of a {job} job", metadata(job, annotations={CLEARED: NOON})),
            refused("editor", f"clear the lines of a {job} job", metadata(job, annotations={CLEARED: NOON}), MAY_CLEAR),
        )
    ),
    refused("editor", "create a cleared job", create(scheduled_job("x", annotations={CLEARED: NOON})), MAY_CLEAR),
]
TABLE = (
    SYSTEM_JOBS_ARE_DISABLED_ENABLED_AND_RUN_BY_ALL_WHO_MAY_EDIT
    + AND_ARE_NOT_EDITED
    + BUT_BY_ADMINISTRATORS
    + USER_JOBS_ARE_THEIR_AUTHORS
    + WHO_DECIDES_WHICH_PODS_RUN_MAY_CREATE_JOBS
    + RUNS_THAT_STAND_FOR_A_DUE_TIME_ARE_THE_OPERATORS
    + WHAT_A_RUN_IS_THE_OPERATOR_SAYS
    + JOBS_OF_RUNS_ARE_THE_OPERATORS
    + NOBODY_ASKS_IN_ANOTHERS_NAME
    + WHO_WATCHES_MAY_WATCH
    + ROLES_SEE_RUN_WRITE_AND_CLEAR
)


@pytest.mark.parametrize(("who", "act", "words"), TABLE)
def test_who_may_do_what(release: Release, who: str, act: Act, words: tuple[str, ...]) -> None:
    said = refusal(release, who, act)
    assert bool(said) == bool(words), said
    assert [word for word in words if word not in said] == [], said


def test_a_run_records_who_asked_for_it(release: Release) -> None:
    """Where the cluster can write it, and where the client does; the name is there for good."""
    run = job_run("user", name="asked")
    named = asked_by(release.user("editor"), job_run("user"))
    assert requester(release, "editor", named, "--dry-run=server") == release.user("editor")
    expected = release.user("runner") if release.records_requesters else ""
    assert requester(release, "runner", run) == expected
    release.kubectl("label", "jobrun", "asked", "seen=yes")
    kept = release.kubectl("get", "jobrun", "asked", "--output=jsonpath={.spec.requestedBy}").stdout
    assert kept == expected


def test_runs_of_the_operator_are_nobodys(release: Release) -> None:
    assert requester(release, "operator", job_run("user", periodic=True), "--dry-run=server") == ""


def test_a_name_that_is_too_long_to_record_keeps_nobody_from_running(release: Release) -> None:
    """A cluster's administrator, here, because no role is bound to the name."""
    user, run = "x" * 300, json.dumps(job_run("user"))
    impersonated = ("--as", user, "--as-group=system:masters")
    done = release.kubectl(*impersonated, "create", "--filename=-", "--output=json", "--dry-run=server", input=run)
    assert "requestedBy" not in json.loads(done.stdout)["spec"]


@pytest.mark.parametrize("who", ["viewer", "runner", "writer", "editor", "admin", "administrator"])
def test_everyone_with_a_role_sees_jobs_and_runs(release: Release, who: str) -> None:
    release.kubectl("get", "scheduledjobs,jobruns", who=who)


def test_the_operator_writes_the_status_of_a_system_job(release: Release) -> None:
    raw = json.loads(release.kubectl("get", "scheduledjob", "system", "--output=json").stdout)
    raw["status"] = {"observedGeneration": 7}
    release.kubectl("replace", "--subresource=status", "--filename=-", who="operator", input=json.dumps(raw))
    written = release.kubectl("get", "scheduledjob", "system", "--output=jsonpath={.status.observedGeneration}")
    assert written.stdout == "7"


def test_the_operator_makes_a_persons_run_belong_to_its_definition(release: Release) -> None:
    name = release.kubectl(
        *create(job_run("user")).arguments, "--output=name", who="runner", input=json.dumps(job_run("user"))
    )
    uid = release.kubectl("get", "scheduledjob", "user", "--output=jsonpath={.metadata.uid}").stdout
    adoption = json.dumps({"metadata": {"ownerReferences": owned_by("user", uid)}})
    release.kubectl("patch", name.stdout.strip(), "--type=merge", "--patch", adoption, who="operator")


def test_deleting_the_owner_of_a_system_job_deletes_it(release: Release) -> None:
    """So `helm uninstall` ends the system jobs of the chart: the garbage collector is exempt."""
    release.kubectl("create", "configmap", "owner")
    uid = release.kubectl("get", "configmap", "owner", "--output=jsonpath={.metadata.uid}").stdout
    owner = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    owned = json.dumps(scheduled_job("owned", "System", ownerReferences=owner))
    release.kubectl("create", "--filename=-", input=owned, who="administrator")
    release.kubectl("delete", "configmap", "owner")
    until(lambda: gone(release, "owned"), "the garbage collector")


@pytest.mark.parametrize("cascade", ["foreground", "orphan"])
def test_finalizers_of_a_deletion_come_off(release: Release, cascade: str) -> None:
    name = f"with-{cascade}"
    release.kubectl("create", "--filename=-", input=json.dumps(scheduled_job(name, "System")), who="administrator")
    uid = release.kubectl("get", "scheduledjob", name, "--output=jsonpath={.metadata.uid}").stdout
    run = job_run(name, periodic=True, ownerReferences=owned_by(name, uid))
    made = release.kubectl("create", "--filename=-", "--output=name", input=json.dumps(run), who="operator")
    release.kubectl("delete", "scheduledjob", name, f"--cascade={cascade}", "--wait=false", who="administrator")
    until(lambda: gone(release, name), f"the {cascade} deletion")
    left = release.kubectl("get", made.stdout.strip(), "--ignore-not-found").stdout
    assert bool(left) == (cascade == "orphan")


def test_a_namespace_with_a_system_job_can_be_deleted(release: Release) -> None:
    job = json.dumps(scheduled_job("system", "System"))
    release.cluster.kubectl("--namespace", release.doomed, "create", "--filename=-", input=job)
    release.cluster.kubectl("delete", "namespace", release.doomed, "--timeout=60s")


def test_a_large_system_job_stays_within_the_cost_limits_of_admission(release: Release) -> None:
    """CEL that costs too much fails, and a policy that fails refuses: then nobody could disable the job."""
    job = scheduled_job("large", "System", annotations={f"note-{n}": "x" * 100 for n in range(500)})
    job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": f"VARIABLE_{n}", "value": "x" * 500} for n in range(1000)
    ]
    release.kubectl("create", "--filename=-", input=json.dumps(job))
    assert not refusal(release, "editor", spec("large", suspend=True))
    assert "spec.label: not" in refusal(release, "editor", spec("large", label="x"))


def gone(release: Release, name: str) -> bool:
    return not release.kubectl("get", "scheduledjob", name, "--ignore-not-found", "--output=name").stdout
