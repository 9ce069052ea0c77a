"""Writes `crds/` from the models: `python -m carillon.api.crd [--check] [--output DIR]`.

The models are the one source; a CRD is never edited by hand. Must stay deterministic: CI compares byte by byte.
"""

import argparse
import difflib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from carillon.api.base import GROUP, VERSION
from carillon.api.calendar import CalendarSpec, CalendarStatus
from carillon.api.jobrun import JobRunSpec, JobRunStatus
from carillon.api.parameter_rules import PARAMETER_RULES, RUN_PARAMETER_RULES
from carillon.api.rules import CALENDAR_RULES, JOB_RUN_RULES, SCHEDULED_JOB_RULES
from carillon.api.scheduledjob import ScheduledJobSpec, ScheduledJobStatus
from carillon.api.schema import Schema, root, structural

_HEADER = "# Made from the models in operator/carillon/api by `make crds`. Do not edit.\n"
_HINT_LINES = 40


@dataclass(frozen=True)
class Column:
    """One column of `kubectl get`."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False
    """Shown with `-o wide` only."""

    def document(self) -> dict[str, Any]:
        """The column as the CRD has it."""
        return {
            "name": self.name,
            "type": self.type,
            "jsonPath": self.path,
            "description": self.description,
            **({"priority": 1} if self.wide else {}),
        }


SCHEDULED_JOB_COLUMNS = (
    Column("Trigger", ".status.display.trigger", "What makes the job run."),
    Column("Label", ".status.display.label", "Name for people."),
    Column("Owner", ".status.display.owner", "Who answers for the job."),
    Column("Last Execution", ".status.display.lastExecution", "When the last run started."),
    Column("Status", ".status.display.status", "Where the job stands."),
    Column("Next", ".status.display.next", "The next due time."),
    Column("Schedule", ".status.display.schedule", "The triggers in their own words.", wide=True),
    Column("Active", ".status.counts.active", "Runs that hold a slot now.", type="integer", wide=True),
    Column("Queued", ".status.counts.queued", "Runs that wait now.", type="integer", wide=True),
    Column("Succeeded", ".status.counts.succeeded", "Runs that succeeded.", type="integer", wide=True),
    Column("Failed", ".status.counts.failed", "Runs that failed.", type="integer", wide=True),
)

JOB_RUN_COLUMNS = (
    Column("Scheduled Job", ".spec.scheduledJob", "The definition that is run."),
    Column("Trigger", ".spec.trigger.type", "Why the run exists."),
    Column("Status", ".status.phase", "Where the run stands."),
    Column("Progress", ".status.progress.percent", "Percent done, as the task reports it.", type="integer"),
    Column("Reason", ".status.reason", "One word why."),
    Column("Age", ".metadata.creationTimestamp", "Time since the run was created.", type="date"),
    # A string: a run may be written ahead of its due time, and kubectl prints a date in the future as <invalid>.
    Column("Scheduled Time", ".spec.scheduledTime", "The due time of a periodic run.", wide=True),
    Column("Requested By", ".spec.requestedBy", "Who asked for the run.", wide=True),
    Column("Started", ".status.startTime", "Time since the first Job was made.", type="date", wide=True),
    Column("Finished", ".status.completionTime", "Time since the run finished.", type="date", wide=True),
    Column("Attempts", ".status.attempts", "How often it was attempted.", type="integer", wide=True),
    Column("Exit Code", ".status.steps[-1:].exitCode", "Of the last Job's container.", type="integer", wide=True),
    Column("Task Message", ".status.progress.message", "What the task says it is at.", wide=True),
    Column("Message", ".status.message", "In words; of a failed run, what the container said.", wide=True),
)

CALENDAR_COLUMNS = (
    Column("Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether the calendar is understood."),
    Column("Used By", ".status.usedBy", "ScheduledJobs that name it.", type="integer"),
    Column("Description", ".spec.description", "What it is for."),
    Column("Message", '.status.conditions[?(@.type=="Ready")].message', "What is wrong with it.", wide=True),
    Column("Age", ".metadata.creationTimestamp", "Time since it was created.", type="date"),
)


def _crd(
    *,
    kind: str,
    plural: str,
    short_name: str,
    categories: list[str],
    columns: Iterable[Column],
    selectable: list[str],
    schema: Schema,
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short_name],
                "categories": categories,
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [column.document() for column in columns],
                    # Kubernetes 1.30 knows the field and ignores it; from 1.31 `--field-selector` takes these.
                    **({"selectableFields": [{"jsonPath": path} for path in selectable]} if selectable else {}),
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def scheduled_jobs() -> dict[str, Any]:
    """The CRD of ScheduledJob.

    It is in the category `all`, as CronJob is: what people define should be in `kubectl get all`. JobRuns are not:
    each has its Job and pods there already, and the records that are kept would bury the rest.
    """
    return _crd(
        kind="ScheduledJob",
        plural="scheduledjobs",
        short_name="sj",
        categories=["carillon", "all"],
        columns=SCHEDULED_JOB_COLUMNS,
        selectable=[".spec.class", ".spec.owner", ".spec.suspend"],
        schema=root(
            "A job that runs on a schedule, or when someone says so, and remembers what happened. "
            "Create a JobRun to run it now.",
            structural(ScheduledJobSpec, defaults=True),
            structural(ScheduledJobStatus, defaults=False),
            (*SCHEDULED_JOB_RULES, *PARAMETER_RULES),
        ),
    )


def job_runs() -> dict[str, Any]:
    """The CRD of JobRun."""
    return _crd(
        kind="JobRun",
        plural="jobruns",
        short_name="jr",
        categories=["carillon"],
        columns=JOB_RUN_COLUMNS,
        selectable=[".spec.scheduledJob", ".spec.trigger.type", ".status.phase"],
        schema=root(
            "One execution of a ScheduledJob: what was asked for, how it goes, and its record. "
            "Creating one is Run Now.",
            structural(JobRunSpec, defaults=True),
            structural(JobRunStatus, defaults=False),
            (*JOB_RUN_RULES, *RUN_PARAMETER_RULES),
        ),
    )


def calendars() -> dict[str, Any]:
    """The CRD of Calendar."""
    return _crd(
        kind="Calendar",
        plural="calendars",
        short_name="cal",
        categories=["carillon"],
        columns=CALENDAR_COLUMNS,
        selectable=[],
        schema=root(
            "Times at which nothing is to run, shared by name: spec.exclude.calendars of ScheduledJobs in the same "
            "namespace.",
            structural(CalendarSpec, defaults=True),
            structural(CalendarStatus, defaults=False),
            CALENDAR_RULES,
        ),
    )


class _Dumper(yaml.SafeDumper):
    """Without anchors: the parts of the schema that occur twice are written twice, for readers and for templates."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def render() -> dict[str, str]:
    """The files of `crds/`: name and content."""
    return {
        f"{GROUP}_{crd['spec']['names']['plural']}.yaml": _HEADER
        + yaml.dump(crd, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
        for crd in (scheduled_jobs(), job_runs(), calendars())
    }


def stale(directory: Path) -> list[str]:
    """For each file in `directory` that differs from the models, the beginning of a unified diff."""
    hints = []
    for name, content in render().items():
        path = directory / name
        written = path.read_text("utf-8") if path.exists() else ""
        if written != content:
            diff = list(
                difflib.unified_diff(written.splitlines(), content.splitlines(), str(path), "models", "", "", 2, "")
            )
            more = [f"... and {len(diff) - _HINT_LINES} lines more"] if len(diff) > _HINT_LINES else []
            hints.append("\n".join([*diff[:_HINT_LINES], *more]))
    return hints


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with --check say which are stale; the exit code is 1 when one is."""
    parser = argparse.ArgumentParser(prog="python -m carillon.api.crd", description="Write the CRDs from the models.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    parser.add_argument("--output", type=Path, default=Path("crds"), help="the folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.check:
        hints = stale(options.output)
        if hints:
            print(
                *hints, f"\n{options.output} is stale; run `make crds` and commit the result", sep="\n", file=sys.stderr
            )
        return 1 if hints else 0
    options.output.mkdir(parents=True, exist_ok=True)
    for name, content in render().items():
        (options.output / name).write_text(content, "utf-8")
        print(options.output / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
