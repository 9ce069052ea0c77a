"""The examples' files, their namespace, and the directory that they share."""

import uuid
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.e2e.api import Api, Manifest, condition
from tests.e2e.objects import IMAGE

DIRECTORY = REPOSITORY / "examples"
NAMESPACE = "carillon-examples"
FILES = sorted(DIRECTORY.glob("[!0]*.yaml"))
"""Those that hold a ScheduledJob; it has the file's name."""
NAMES = [path.stem for path in FILES]


def definition(name: str) -> dict[str, Any]:
    """The ScheduledJob as the file has it."""
    documents = yaml.safe_load_all((DIRECTORY / f"{name}.yaml").read_text())
    return next(dict(document) for document in documents if document["kind"] == "ScheduledJob")


def of(name: str) -> str:
    """The label selector of a job's runs, Jobs and pods."""
    return f"carillon.dev/scheduled-job={name}"


def finished(api: Api, name: str) -> Manifest:
    """The run, once it has ended; run again as long as the job's own trigger is quicker."""
    for _ in range(5):
        api.until_finished(NAMESPACE, name)
        run = api.get("jobruns", NAMESPACE, name)
        if run["status"]["reason"] not in ("ConcurrencyForbid", "Replaced"):
            return run
        job = run["spec"]["scheduledJob"]
        api.until(
            "scheduledjobs", NAMESPACE, job, lambda found: not found["status"].get("active"), "the other run to end"
        )
        name = api.run_now(NAMESPACE, job)
    pytest.fail(f"{name}: another run was in the way five times")


def log_of(api: Api, run: Manifest) -> str:
    """What the run's pods have printed."""
    return api.log(NAMESPACE, f"carillon.dev/run-uid={run['metadata']['uid']}")


class Files:
    """The directory that the examples share, at /files in a pod of their namespace."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def shell(self, script: str) -> str:
        """Run a shell script there to its end; what it printed."""
        name = f"look-{uuid.uuid4().hex[:8]}"
        container = {
            "name": "main",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-euc", script],
            "volumeMounts": [{"name": "files", "mountPath": "/files"}],
        }
        pod = {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": "files"}}],
        }
        body = {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {"spec": pod}}}
        self._api.create("jobs", NAMESPACE, body)
        done = self._api.until(
            "jobs", NAMESPACE, name, lambda job: condition(job, "Complete") or condition(job, "Failed"), "its end"
        )
        printed = self._api.log(NAMESPACE, f"job-name={name}")
        assert condition(done, "Complete") == "True", printed
        self._api.delete("jobs", NAMESPACE, name)
        return printed
