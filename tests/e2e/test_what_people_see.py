"""What `kubectl get` and `kubectl describe` print."""

import re
from collections.abc import Callable, Sequence

from tests.e2e.api import Api, Manifest
from tests.e2e.objects import scheduled_job
from tests.e2e.together import together

COLUMNS = ["NAME", "TRIGGER", "LABEL", "OWNER", "LAST EXECUTION", "STATUS", "NEXT"]
WIDE = [*COLUMNS, "SCHEDULE", "ACTIVE", "QUEUED", "SUCCEEDED", "FAILED"]
MINUTE = r"20\d\d-\d\d-\d\d \d\d:\d\d(:\d\d)?Z"


def table(api: Api, namespace: str, *arguments: str) -> list[dict[str, str]]:
    """What kubectl prints, by column."""
    header, *rows = api.cluster.kubectl("--namespace", namespace, "get", *arguments).stdout.splitlines()
    starts = [match.start() for match in re.finditer(r"(?:(?<=  )|^)\S", header)]
    slices = [slice(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]
    return [{header[cut].strip(): row[cut].strip() for cut in slices} for row in rows]


@together
def test_the_list_of_jobs(api: Api, namespace: str) -> None:
    daily = [{"name": "daily", "cron": "0 3 * * *", "timeZone": "Europe/Paris"}]
    api.create(
        "scheduledjobs",
        namespace,
        scheduled_job("bin", triggers=daily, label="Clear the bin", owner="alice@example.com"),
    )
    api.create("scheduledjobs", namespace, scheduled_job("by-hand", "exit 1"))
    api.create("scheduledjobs", namespace, scheduled_job("off", triggers=daily, suspend=True))
    runs = [api.run_now(namespace, name) for name in ("bin", "by-hand")]
    for run in runs:
        api.until_finished(namespace, run)
    api.until_ready(namespace, "off")
    for name, outcome in (("bin", "Succeeded"), ("by-hand", "Failed")):
        api.until("scheduledjobs", namespace, name, _shows(outcome), outcome)

    rows = table(api, namespace, "sj")
    assert list(rows[0]) == COLUMNS
    bin_, by_hand, off = rows
    assert (bin_["TRIGGER"], bin_["LABEL"], bin_["OWNER"]) == ("Periodic", "Clear the bin", "alice@example.com")
    assert re.fullmatch(MINUTE, bin_["LAST EXECUTION"])
    assert bin_["STATUS"] == "Succeeded"
    assert re.fullmatch(r"20\d\d-\d\d-\d\d 0[12]:00Z", bin_["NEXT"])
    assert (by_hand["TRIGGER"], by_hand["LABEL"], by_hand["STATUS"], by_hand["NEXT"]) == (
        "Manual",
        "by-hand",
        "Failed",
        "",
    )
    assert (off["STATUS"], off["LAST EXECUTION"], off["NEXT"]) == ("Disabled", "", "")

    wide = table(api, namespace, "scheduledjobs", "--output", "wide")
    assert list(wide[0]) == WIDE
    assert wide[0]["SCHEDULE"] == "0 3 * * * Europe/Paris"
    assert [(row["ACTIVE"], row["SUCCEEDED"], row["FAILED"]) for row in wide] == [
        ("0", "1", "0"),
        ("0", "0", "1"),
        ("0", "0", "0"),
    ]
    records = table(api, namespace, "jr")
    assert {row["NAME"]: (row["SCHEDULED JOB"], row["TRIGGER"], row["STATUS"]) for row in records} == {
        runs[0]: ("bin", "Manual", "Succeeded"),
        runs[1]: ("by-hand", "Manual", "Failed"),
    }


@together
def test_events_tell_the_story_on_both_objects(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("fails", "echo out of paper >&2; exit 3"))
    run = api.run_now(namespace, "fails")
    api.until_finished(namespace, run)
    for kind, name in (("JobRun", run), ("ScheduledJob", "fails")):
        api.until_all("events", namespace, _told(kind, "Started", "Failed"), f"Started and Failed on the {kind}")
        described = api.cluster.kubectl("--namespace", namespace, "describe", kind, name).stdout
        events = described.partition("\nEvents:\n")[2]
        assert re.search(r"Normal +Started +\S+ +carillon ", events), described
        assert re.search(r"Warning +Failed +.*exit code 3: out of paper", events), described
    api.patch("scheduledjobs", namespace, "fails", {"spec": {"suspend": True}})
    api.until_all("events", namespace, _told("ScheduledJob", "Disabled"), "Disabled on the job")


def _shows(status: str) -> Callable[[Manifest], bool]:
    return lambda job: bool(job["status"]["display"]["status"] == status)


def _told(kind: str, *reasons: str) -> Callable[[Sequence[Manifest]], bool]:
    return lambda events: set(reasons) <= {e["reason"] for e in events if e["involvedObject"]["kind"] == kind}
