"""A cluster as somebody on call meets it: names of all widths, runs in all phases, one job that is broken."""

from typing import Any

from carillon.api.base import API_VERSION
from tests.unit.cli.fake import CREATED, FakeApi, Object, cron, definition

NIGHTLY = cron("nightly", "30 2 * * *", "Europe/Paris")
WORDS = "connecting to db-7.example.com\npg_dump: error: connection to server failed: Connection refused"


def display(**columns: str) -> Object:
    return {"display": columns}


def run(name: str, job: str, phase: str = "", *, namespace: str = "files", **more: Any) -> Object:
    """A JobRun; `spec` and `annotations` are its own, the rest is status."""
    spec, annotations = more.pop("spec", {}), more.pop("annotations", {})
    return {
        "apiVersion": API_VERSION,
        "kind": "JobRun",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "resourceVersion": "3",
            "creationTimestamp": more.get("startTime") or "2026-11-22T17:59:00Z",
            "annotations": annotations,
            "labels": {"carillon.dev/scheduled-job": job},
        },
        "spec": {"scheduledJob": job, "trigger": {"type": "Manual"}, **spec},
        "status": {"phase": phase, **more} if phase else {},
    }


def pod(
    name: str, run_name: str, *, code: int | None = 0, waiting: str = "", created: str = "17:00:00", attempt: int = 1
) -> Object:
    """A pod of a run; it runs while it has no exit code."""
    state: Object = {"terminated": {"exitCode": code}} if code is not None else {"running": {}}
    if waiting:
        state = {"waiting": {"reason": waiting, "message": 'Back-off pulling image "bsybox"'}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "files",
            "uid": f"uid-{name}",
            "resourceVersion": "5",
            "creationTimestamp": f"2026-11-22T{created}Z",
            "labels": {
                "carillon.dev/run-uid": f"uid-{run_name}",
                **({"carillon.dev/attempt": str(attempt)} if attempt > 1 else {}),
            },
        },
        "spec": {"containers": [{"name": "main"}]},
        "status": {"containerStatuses": [{"name": "main", "restartCount": 0, "state": state}]},
    }


def due(name: str) -> Object:
    return {"trigger": {"type": "Periodic", "name": name}}


def office() -> FakeApi:
    """Seven ScheduledJobs in two namespaces."""
    api = FakeApi()
    for job in _definitions():
        api.add("scheduledjobs", job)
    for each in _runs():
        api.add("jobruns", each)
    api.add("pods", pod("nightly-database-dump-1795311000-2x8vq", "nightly-database-dump-1795311000", code=1))
    api.add(
        "pods",
        pod(
            "nightly-database-dump-1795311000-9kfzt",
            "nightly-database-dump-1795311000",
            code=1,
            created="17:01:00",
            attempt=2,
        ),
    )
    for name in ("2x8vq", "9kfzt"):
        api.logs[f"nightly-database-dump-1795311000-{name}", "main"] = WORDS.splitlines()
    # The container of this one is gone from its node; the record has its last words.
    api.add("jobruns", run("report-7", "report", "Failed", reason="OOMKilled", message="counting 2026-11\nKilled"))
    api.add("pods", pod("report-7-lost", "report-7", code=137))
    api.add("pods", pod("compress-folder-k4d9w-hq5zl", "compress-folder-k4d9w", code=None))
    api.logs["compress-folder-k4d9w-hq5zl", "main"] = ["65540 kB in", "192 kB out: reports.tar.gz"]
    return api


def _definitions() -> list[Object]:
    ready = {"type": "Ready", "status": "True", "reason": "Accepted", "message": "the definition is accepted"}
    failed_line = {
        "run": "nightly-database-dump-1795224600",
        "uid": "uid-gone",
        "trigger": "nightly",
        "phase": "Failed",
        "reason": "BackoffLimitExceeded",
        "message": "pg_dump: error: out of disk: /dumps",
        "exitCode": 3,
        "scheduledTime": "2026-11-21T01:30:00Z",
        "startTime": "2026-11-21T01:30:00Z",
        "completionTime": "2026-11-21T01:42:10Z",
    }
    broken = 'spec.triggers[0].cron: found hour "25", at character 3 of "0 25 * * *"; write 0-23'
    return [
        definition(
            "nightly-database-dump",
            NIGHTLY,
            namespace="files",
            label="Nightly database dump",
            owner="dba@example.com",
            description="Dumps the shop's database to /dumps; the last three are kept.",
            startingDeadlineSeconds=14400,
            timeoutSeconds=3600,
            handled="2026-11-22T01:30:00Z",
            exclude={"dates": ["2026-12-25"], "holidays": [{"country": "FR"}]},
            status={
                **display(
                    trigger="Periodic",
                    label="Nightly database dump",
                    owner="dba@example.com",
                    lastExecution="2026-11-22 01:30Z",
                    status="Failed",
                    next="2026-11-23 01:30Z",
                    schedule="30 2 * * * Europe/Paris",
                ),
                "nextExecutions": ["2026-11-23T01:30:00Z", "2026-11-24T01:30:00Z"],
                "counts": {"active": 0, "succeeded": 19, "failed": 2, "skipped": 1},
                "history": [failed_line],
                "skips": [
                    {
                        "trigger": "nightly",
                        "from": "2026-11-11T01:30:00Z",
                        "to": "2026-11-11T01:30:00Z",
                        "count": 1,
                        "reason": "Excluded",
                    }
                ],
                "conditions": [
                    ready,
                    {
                        "type": "LastRunSucceeded",
                        "status": "False",
                        "reason": "BackoffLimitExceeded",
                        "message": f"nightly-database-dump-1795311000: {WORDS}",
                    },
                ],
            },
        ),
        definition(
            "compress-folder",
            namespace="files",
            owner="bob@example.com",
            status={
                **display(
                    trigger="Manual",
                    label="Compress the folder reports",
                    owner="bob@example.com",
                    lastExecution="2026-11-22 17:59:10Z",
                    status="Running",
                ),
                "counts": {"active": 1},
                "conditions": [ready],
            },
            parameters=[{"name": "folder", "required": True}, {"name": "level", "default": "6"}],
        ),
        definition(
            "sauvegarde-de-la-boite-aux-lettres-du-service-apres",
            cron("nuit", "0 3 * * *"),
            namespace="files",
            label="バックアップ・メールボックス・サービス（毎晩）",
            owner="équipe-stockage@example.com",
            status={
                **display(
                    trigger="Periodic",
                    label="バックアップ・メールボックス・サービス（毎晩）",
                    owner="équipe-stockage@example.com",
                    status="Waiting",
                    next="2026-11-23 03:00Z",
                ),
                "conditions": [ready],
            },
        ),
        definition(
            "resync",
            cron("often", "*/15 * * * *"),
            namespace="files",
            owner="shop@example.com",
            suspend=True,
            suspendReason="the supplier moves house",
            suspendedBy="alice@example.com",
            suspendUntil="2026-11-30T06:00:00Z",
            status={
                **display(
                    trigger="Periodic",
                    label="Resync the product data",
                    owner="shop@example.com",
                    lastExecution="2026-11-20 10:00Z",
                    status="Disabled",
                ),
                "conditions": [ready],
            },
        ),
        definition(
            "check-dns",
            cron("every-five-minutes", "*/5 * * * *"),
            namespace="files",
            **{"class": "System"},
            status={
                **display(
                    trigger="Periodic",
                    label="Check the cluster's DNS",
                    owner="system",
                    lastExecution="2026-11-22 18:00Z",
                    status="Succeeded",
                    next="2026-11-22 18:05Z",
                ),
                "conditions": [ready],
            },
        ),
        definition(
            "hello",
            {"name": "daily", "cron": "0 12 * * *"},
            namespace="files",
            status={
                **display(trigger="Periodic", label="hello", status="Invalid"),
                "conditions": [{"type": "Ready", "status": "False", "reason": "InvalidSpec", "message": broken}],
            },
        ),
        definition(
            "feed",
            cron("quarter", "*/15 * * * *"),
            namespace="shop",
            created=CREATED,
            status={**display(trigger="Periodic", label="feed", status="Waiting", next="2026-11-22 18:15Z")},
        ),
    ]


def _runs() -> list[Object]:
    return [
        run(
            "nightly-database-dump-1795311000",
            "nightly-database-dump",
            "Failed",
            spec={**due("nightly"), "scheduledTime": "2026-11-22T01:30:00Z"},
            reason="BackoffLimitExceeded",
            message=WORDS,
            attempts=2,
            startTime="2026-11-22T01:30:00Z",
            completionTime="2026-11-22T01:31:12Z",
            steps=[{"name": "main", "phase": "Failed", "job": "nightly-database-dump-1795311000", "exitCode": 1}],
        ),
        run(
            "nightly-database-dump-1795138200",
            "nightly-database-dump",
            "Succeeded",
            spec={**due("nightly"), "scheduledTime": "2026-11-20T01:30:00Z"},
            reason="Completed",
            startTime="2026-11-20T01:30:00Z",
            completionTime="2026-11-20T01:44:00Z",
            steps=[{"name": "main", "phase": "Succeeded", "exitCode": 0}],
        ),
        run(
            "compress-folder-k4d9w",
            "compress-folder",
            "Running",
            spec={"parameters": {"folder": "reports"}, "requestedBy": "bob@example.com"},
            annotations={"carillon.dev/rerun-of": "compress-folder-2w7xb"},
            startTime="2026-11-22T17:59:10Z",
            progress={"percent": 40, "message": "reports/2026"},
            steps=[
                {"name": "collect", "phase": "Succeeded", "job": "compress-folder-k4d9w-collect", "exitCode": 0},
                {"name": "pack", "phase": "Running", "job": "compress-folder-k4d9w-pack"},
            ],
        ),
        run(
            "resync-zxdds",
            "resync",
            "Skipped",
            reason="Disabled",
            message="ScheduledJob files/resync is disabled (spec.suspend: true)",
            completionTime="2026-11-22T12:00:00Z",
        ),
    ]
