"""Every reason that is written anywhere is in the table of docs/operations.md, and nothing else is.

A reason is one word in capitals and small letters. Whatever looks like one in the code that decides or writes is held
to be one, unless it is listed here as something else: a new word has to be documented, or said to be none.
"""

import ast
import re
from pathlib import Path

from carillon.api.jobrun import Phase
from carillon.engine.skips import SkipReason

REPOSITORY = Path(__file__).parents[3]
TABLE = REPOSITORY / "docs" / "operations.md"
WRITING = ("engine", "controller")
ONLY_TOLD = {"story", "reasons", "importing", "backend", "preview", "kopf_shell", "system_jobs", "inventory"} | {
    "callers",
    "aside",
    "cel",
    "cronwords",
    "eventmatch",
    "filter_worker",
    "filters",
    "connections",
    "progress_endpoint",
    "reports",
}
"""Modules that explain to people, or read: they write no object's status and no Event."""
WORD = re.compile("[A-Z][a-z]+(?:[A-Z][a-z]+)*")
NO_REASONS = {
    "kinds": {"Calendar", "CronJob", "Job", "JobRun", "ScheduledJob"},
    "types of conditions": {
        "Complete",
        "EventFilters",
        "FailureTarget",
        "Finished",
        "LastRunSucceeded",
        "NativeBackend",
        "OnTime",
    }
    | {"Ready", "Stalled"},
    "values of conditions, and types of Events": {"False", "True", "Unknown", "Normal", "Warning"},
    "words of the kubelet that tell nothing": {"ContainerCreating", "PodInitializing"},
    "words of Kubernetes": {"PodScheduled", "Error", "FallbackToLogsOnError", "Foreground", "Orphan"},
    "columns": {"Running"},
    "labels of metrics": {"Run"},
    "variables of types": {"Model"},
}
OF_KUBERNETES = {"OOMKilled", "ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError", "Unschedulable"} | {
    "FailedMount"
}
"""In the table as examples of what is passed on."""


def in_the_code() -> set[str]:
    words = {phase.value for phase in Phase if phase.finished}  # an Event's reason where the phase changes
    for folder in WRITING:
        for path in (REPOSITORY / "operator" / "carillon" / folder).glob("*.py"):
            if path.stem not in ONLY_TOLD:
                constants = (n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant))
                words |= {text for text in constants if isinstance(text, str) and WORD.fullmatch(text)}
    return words.difference(*NO_REASONS.values())


def documented() -> dict[str, set[str]]:
    """By what the first column says: the words of the second."""
    section = TABLE.read_text().partition("## Reasons")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")]
    found: dict[str, set[str]] = {}
    for where, words, *_ in rows[2:]:
        found.setdefault(where.removeprefix("| "), set()).update(re.findall("`([A-Za-z]+)`", words))
    return found


def test_the_table_has_every_reason_and_no_other() -> None:
    told = set().union(*documented().values()) - OF_KUBERNETES
    assert {"missing": in_the_code() - told, "never written": told - in_the_code()} == {
        "missing": set(),
        "never written": set(),
    }


def test_the_reasons_of_skips_are_those_that_there_are() -> None:
    assert documented()["skips"] == {reason.value for reason in SkipReason}


def test_the_test_sees_reasons_of_every_kind() -> None:
    assert {
        "WaitingForSlot",
        "Replacing",
        "RunDeleted",
        "OperatorError",
        "NotDue",
        "Ending",
        "Skipped",
    } <= in_the_code()


def test_what_is_no_reason_is_a_word_of_the_code() -> None:
    """So that the list of exceptions does not outlive what it is about."""
    text = "".join(p.read_text() for f in WRITING for p in (REPOSITORY / "operator" / "carillon" / f).glob("*.py"))
    assert [word for words in NO_REASONS.values() for word in words if word not in text] == []
