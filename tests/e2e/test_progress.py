"""A task says how far it is: real pods, real tokens, two operators of which one leads."""

import base64
import itertools
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CURRENT, REPOSITORY
from tests.e2e import progress_service as service
from tests.e2e.api import Api, Manifest, phase_of
from tests.e2e.objects import instant, job_template, scheduled_job
from tests.e2e.operators import OperatorProcess, Operators

INTERVAL_SECONDS = 2.0
LATE_SECONDS = 1.0
"""How late the first of several writes may be seen, and the others be on time."""
"""How much closer two writes may be seen, for the time of each is that of its arrival at the test."""
AUTHORIZATION = '"Authorization: Bearer $(cat "$CARILLON_TOKEN_FILE")"'
WGET = f'wget -qO- --header {AUTHORIZATION} "$CARILLON_PROGRESS_URL" --post-data'
SHOW_TOKEN = 'echo "token=$(cat "$CARILLON_TOKEN_FILE")"; sleep 600'


@dataclass(frozen=True)
class Two:
    """Two operators behind one Service."""

    api: Api
    operators: Operators
    leader: OperatorProcess
    standby: OperatorProcess

    def report(
        self, operator: OperatorProcess, token: str, body: str = "percent=1", *, method: str = "POST", path: str = ""
    ) -> tuple[int, str]:
        """Send a report to one of them; the answer."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-www-form-urlencoded"}
        with closing(HTTPConnection("127.0.0.1", operator.progress_port, timeout=10)) as connection:
            connection.request(method, path or "/progress", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


@pytest.fixture
def two(api: Api, operators: Operators) -> Iterator[Two]:
    leader = operators.leader
    standby = operators.start(wait=False)
    operators.until_ready(standby)
    operators.until_following(standby)
    service.make(api)
    service.lead_to(api, leader, standby)
    yield Two(api, operators, leader, standby)
    if standby.running and leader.running:
        standby.kill()
        # `operators.leader` is the one that was started last.
        operators.started.remove(standby)
    service.lead_to(api)


def start(api: Api, namespace: str, name: str, script: str, **pod: Any) -> str:
    """Define a job and run it; the name of its run."""
    definition = scheduled_job(name)
    definition["spec"]["jobTemplate"] = job_template(script, **pod)
    api.create("scheduledjobs", namespace, definition)
    return api.run_now(namespace, name)


def token_of(api: Api, namespace: str, run: str) -> str:
    """The token that the run's pod has."""
    uid = api.get("jobruns", namespace, run)["metadata"]["uid"]
    selector = f"carillon.dev/run-uid={uid}"

    def runs(pods: Any) -> bool:
        return any(pod["status"]["phase"] == "Running" for pod in pods)

    api.until_all("pods", namespace, runs, "a running pod", selector=selector, seconds=60)
    for _ in range(50):
        found = re.search(r"token=(\S+)", api.log(namespace, selector))
        if found is not None:
            return found[1]
        time.sleep(0.1)
    pytest.fail("the pod did not show its token")


def progress_of(run: Manifest) -> Manifest:
    return dict(run.get("status", {}).get("progress", {}))


def reported(percent: int | None, message: str | None = None) -> Any:
    def holds(run: Manifest) -> bool:
        found = progress_of(run)
        return (found.get("percent"), found.get("message")) == (percent, message)

    return holds


def test_one_line_of_wget_in_any_pod_is_enough(api: Api, two: Two, namespace: str) -> None:
    """No right, no library, no token of a ServiceAccount otherwise; the last report stays with the finished run."""
    script = f"{WGET} 'percent=40&message=half way'; sleep 3; {WGET} '{{\"percent\": 100}}'"
    run = start(api, namespace, "copies", script)
    api.until("jobruns", namespace, run, reported(40, "half way"), "40 %", seconds=60)
    shown = api.cluster.kubectl("--namespace", namespace, "get", "jr", run).stdout.splitlines()
    column = shown[0].index("PROGRESS")
    assert shown[1][column:].split()[0] == "40", "\n".join(shown)
    status = api.until_finished(namespace, run)
    assert status["phase"] == "Succeeded", api.log(namespace, "")
    finished = api.until("jobruns", namespace, run, reported(100), "the last report, which has no message")
    assert instant(progress_of(finished)["updateTime"]) <= instant(status["completionTime"]).replace(microsecond=999999)


def test_the_line_of_curl_in_the_docs(api: Api, two: Two, namespace: str, tmp_path: Path) -> None:
    """Typed here as it stands there, with the address and the token that the pod has."""
    [line] = re.findall(r"^curl .*?[^\\]$", (REPOSITORY / "docs/progress.md").read_text(), re.MULTILINE | re.DOTALL)
    run = start(api, namespace, "waits", SHOW_TOKEN)
    file = tmp_path / "token"
    file.write_text(token_of(api, namespace, run))
    environment = {
        "PATH": "/usr/bin:/bin",
        "CARILLON_TOKEN_FILE": str(file),
        "CARILLON_PROGRESS_URL": f"http://127.0.0.1:{two.standby.progress_port}/progress",
    }
    done = subprocess.run(["sh", "-euc", line], env=environment, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    api.until("jobruns", namespace, run, reported(40, "half way"), "what curl said")


def test_the_standby_takes_reports_and_the_leader_keeps_them(api: Api, two: Two, namespace: str) -> None:
    """The leader writes the whole status of the run after that; what the standby wrote is in it."""
    run = start(api, namespace, "waits", SHOW_TOKEN.replace("600", "5"))
    token = token_of(api, namespace, run)
    assert two.report(two.standby, token, "percent=7&message=seven") == (204, "")
    assert reported(7, "seven")(api.get("jobruns", namespace, run)), "an answer means that it is written"
    status = api.until_finished(namespace, run)
    assert status["phase"] == "Succeeded"
    assert reported(7, "seven")(api.get("jobruns", namespace, run))
    code, words = two.report(two.standby, token, "percent=8")
    assert (code, "is finished (Succeeded)" in words) == (409, True), words


def test_the_native_backends_pods_report_too(api: Api, two: Two, namespace: str) -> None:
    """Their run is recorded after their Job: until then a report is answered 503, and sent again."""
    definition = scheduled_job("native", triggers=[{"name": "y", "cron": "@yearly"}], backend="CronJob")
    script = f"until {WGET} 'percent=12&message=native'; do sleep 0.2; done"
    definition["spec"]["jobTemplate"] = job_template(script)
    api.create("scheduledjobs", namespace, definition)
    api.until("cronjobs", namespace, "native", lambda _: True, "the CronJob")
    api.cluster.kubectl("--namespace", namespace, "create", "job", "--from=cronjob/native", "by-hand")
    api.until_all("jobruns", namespace, lambda runs: any(map(reported(12, "native"), runs)), "12 %", seconds=60)


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param({"volumes": [{"name": "carillon-token", "emptyDir": {}}]}, id="with a volume of our name"),
        pytest.param({"securityContext": {"runAsUser": 1000, "fsGroup": 2000}}, id="with a group of its own"),
        pytest.param({"securityContext": {"runAsUser": 0}, "automountServiceAccountToken": True}, id="of root"),
    ],
)
def test_pods_of_every_kind(api: Api, two: Two, namespace: str, pod: Manifest) -> None:
    run = start(api, namespace, "task", f"{WGET} 'percent=3'", **pod)
    status = api.until_finished(namespace, run, seconds=60)
    assert status["phase"] == "Succeeded", status
    assert reported(3)(api.get("jobruns", namespace, run))


def test_a_pod_of_the_nodes_network_and_an_address_of_its_own(api: Api, two: Two, namespace: str) -> None:
    """The node of these clusters has no route to Services; a variable that the template sets is left as it is."""
    definition = scheduled_job("task")
    definition["spec"]["jobTemplate"] = job_template(f"{WGET} 'percent=3'", hostNetwork=True)
    [container] = definition["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    address = f"http://{service.host(api)}:{two.standby.progress_port}/progress"
    container["env"] = [{"name": "CARILLON_PROGRESS_URL", "value": address}]
    api.create("scheduledjobs", namespace, definition)
    run = api.run_now(namespace, "task")
    status = api.until_finished(namespace, run, seconds=60)
    assert status["phase"] == "Succeeded", status
    assert reported(3)(api.get("jobruns", namespace, run))


def test_who_is_not_the_pod_of_a_run_is_refused(api: Api, two: Two, namespace: str) -> None:
    run = start(api, namespace, "waits", SHOW_TOKEN)
    token = token_of(api, namespace, run)
    for operator in (two.leader, two.standby):
        for case, (other, status, said) in others(api, namespace, token).items():
            code, words = two.report(operator, other)
            assert (code, said in words) == (status, True), f"{case}: {code} {words}"
    assert progress_of(api.get("jobruns", namespace, run)) == {}


def others(api: Api, namespace: str, token: str) -> dict[str, tuple[str, int, str]]:
    """Tokens that are no good, with the answer and what it says."""
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    changed = encoded({**claims, "sub": "system:serviceaccount:kube-system:default"})
    pod = claims["kubernetes.io"]["pod"]["name"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": pod, "uid": claims["kubernetes.io"]["pod"]["uid"]}
    cases = {
        "none": ("", 401, "found no bearer token"),
        "not a token": ("percent", 401, "not good here"),
        "a changed token": (f"{head}.{changed}.{signature}", 401, "not good here"),
        "of another audience": (requested(api, namespace, ["vault"], bound), 401, "not good here"),
        "of the API server": (requested(api, namespace, [], bound), 401, "not good here"),
        "of no pod": (requested(api, namespace, ["carillon.dev"], None), 403, "not bound to a pod"),
        "of a pod without a Job": (of_a_bare_pod(api, namespace), 403, "is not of a Job"),
        "of a Job that is no run's": (of_a_bare_job(api, namespace), 403, "is not of a JobRun"),
    }
    if api.cluster.name != CURRENT:
        cases["that has ended"] = (ended(api, head, claims), 401, "has ended")
    return cases


def encoded(claims: Manifest) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def requested(api: Api, namespace: str, audiences: list[str], bound: Manifest | None) -> str:
    """A token of the ServiceAccount `default`, as the API server gives it to who may ask."""
    spec = {"audiences": audiences, "expirationSeconds": 600, **({"boundObjectRef": bound} if bound else {})}
    path = api.path("serviceaccounts", namespace, "default", "token")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return str(api.request("POST", path, body)["status"]["token"])


def of_a_bare_pod(api: Api, namespace: str) -> str:
    """Of a pod that names somebody's run in its labels, and has no owner."""
    spec = job_template("sleep 600")["spec"]["template"]["spec"]
    body = {"metadata": {"generateName": "bare-", "labels": {"carillon.dev/run-uid": "stolen"}}, "spec": spec}
    metadata = api.create("pods", namespace, body)["metadata"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
    return requested(api, namespace, ["carillon.dev"], bound)


def of_a_bare_job(api: Api, namespace: str) -> str:
    job = api.create("jobs", namespace, {"metadata": {"generateName": "bare-"}, **job_template("sleep 600")})
    selector = f"batch.kubernetes.io/controller-uid={job['metadata']['uid']}"
    [pod] = api.until_all("pods", namespace, len, "the Job's pod", selector=selector)
    metadata = pod["metadata"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
    return requested(api, namespace, ["carillon.dev"], bound)


def ended(api: Api, head: str, claims: Manifest) -> str:
    """The very token, an hour after its end: signed with the cluster's own key."""
    hour = 3600
    claims = {**claims, **{claim: claims[claim] - 2 * hour for claim in ("iat", "nbf", "exp")}}
    signed = f"{head}.{encoded(claims)}"
    key = api.cluster.kubeconfig.parent / "pki" / "service-account.key"
    command = ["openssl", "dgst", "-sha256", "-sign", str(key)]
    done = subprocess.run(command, input=signed.encode(), capture_output=True, check=True, timeout=30)
    return f"{signed}.{base64.urlsafe_b64encode(done.stdout).decode().rstrip('=')}"


def test_a_token_ends_with_its_pod(api: Api, two: Two, namespace: str) -> None:
    run = start(api, namespace, "waits", SHOW_TOKEN)
    token = token_of(api, namespace, run)
    api.delete("scheduledjobs", namespace, "waits")
    api.until_gone("pods", namespace, seconds=60)
    assert two.report(two.leader, token)[0] in (401, 403)


def test_a_chatty_task_costs_one_write_in_two_seconds_and_its_last_report_stays(
    api: Api, two: Two, namespace: str
) -> None:
    """Through the Service, 50 reports in 10 s; then to each replica in turn, which is worse than any Service does."""
    loop = f'for n in $(seq 1 50); do {WGET} "percent=$((n * 2))&message=report $n"; sleep 0.2; done'
    run = start(api, namespace, "chatters", f"{loop}; sleep 1")
    with Watched(api, namespace, run) as writes:
        api.until("jobruns", namespace, run, reported(100, "report 50"), "the last report", seconds=90)
        time.sleep(2 * INTERVAL_SECONDS)
    assert api.get("jobruns", namespace, run)["status"]["progress"]["message"] == "report 50"
    writes.check(at_least=4)


def test_chatter_to_both_replicas_in_turn(api: Api, two: Two, namespace: str) -> None:
    run = start(api, namespace, "chatters", SHOW_TOKEN)
    token = token_of(api, namespace, run)
    with Watched(api, namespace, run) as writes:
        for number in range(1, 51):
            operator = (two.leader, two.standby)[number % 2]
            assert two.report(operator, token, f"percent={number * 2}&message=report+{number}") == (204, "")
            time.sleep(0.2)
        api.until("jobruns", namespace, run, reported(100, "report 50"), "the last report")
        time.sleep(3 * INTERVAL_SECONDS)
    assert reported(100, "report 50")(api.get("jobruns", namespace, run)), "and no older one after it"
    writes.check(at_least=3)


class Watched:
    """Counts the writes of a run's progress, with the time of each."""

    def __init__(self, api: Api, namespace: str, run: str) -> None:
        self._api, self._namespace, self._run = api, namespace, run
        self._mark = api.mark("jobruns", namespace)
        self._seen: list[tuple[float, str]] = []
        self._until = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._until.set()

    def _watch(self) -> None:
        query = {"fieldSelector": f"metadata.name={self._run}"}
        last = ""
        deadline = time.monotonic() + 120
        for _, run in self._api.watch("jobruns", self._namespace, self._mark, deadline, **query):
            if self._until.is_set():
                return
            if (stamp := progress_of(run).get("updateTime", "")) != last:
                self._seen.append((time.monotonic(), stamp))
                last = stamp

    def check(self, *, at_least: int) -> None:
        times = [at for at, _ in self._seen]
        gaps = [round(after - before, 2) for before, after in itertools.pairwise(times)]
        assert len(times) >= at_least, gaps
        assert sum(gaps) >= len(gaps) * INTERVAL_SECONDS - LATE_SECONDS, gaps
        stamps = [stamp for _, stamp in self._seen]
        assert stamps == sorted(stamps), "no older report takes the place of a newer one"


def test_when_an_operator_dies_the_next_report_succeeds_at_the_other(api: Api, two: Two, namespace: str) -> None:
    loop = f'for n in $(seq 1 30); do {WGET} "percent=$n" && echo ok || echo failed; sleep 0.5; done'
    run = start(api, namespace, "goes-on", f"set +e; {loop}; {WGET} 'percent=99&message=done'")
    api.until("jobruns", namespace, run, lambda it: progress_of(it).get("percent", 0) >= 3, "some reports", seconds=60)
    two.leader.kill()
    service.lead_to(api, two.standby)
    two.operators.until_leading(two.standby)
    status = api.until_finished(namespace, run, seconds=60)
    assert status["phase"] == "Succeeded", status
    api.until("jobruns", namespace, run, reported(99, "done"), "the last report")
    uid = api.get("jobruns", namespace, run)["metadata"]["uid"]
    said = api.log(namespace, f"carillon.dev/run-uid={uid}").split()
    last_failed = len(said) - said[::-1].index("failed") if "failed" in said else 0
    assert "failed" not in said[last_failed:]
    assert said.count("ok") >= 20, said


def test_reports_do_not_stop_the_run_from_being_recorded(api: Api, two: Two, namespace: str) -> None:
    """Progress is written all the while; the engine's own writes find the run changed, and come through."""
    run = start(api, namespace, "busy", f'for n in 1 2 3 4 5 6 7 8; do {WGET} "percent=$n"; sleep 0.3; done; exit 4')
    status = api.until_finished(namespace, run, seconds=60)
    assert (status["phase"], status["steps"][0]["exitCode"]) == ("Failed", 4)
    api.until("jobruns", namespace, run, reported(8), "the last report, after the end")
    assert phase_of(api.get("jobruns", namespace, run)) == "Failed"
    metrics = two.operators.leader.probe("/metrics") + two.leader.probe("/metrics")
    assert 'carillon_progress_reports_total{code="204"}' in metrics
