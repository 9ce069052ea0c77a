"""Other people's words never take more room than there is, however they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.api.jobrun import JobRunStatus, Phase, StepStatus
from carillon.engine.decide import decide
from carillon.engine.excerpt import (
    CONDITION_MESSAGE_BYTES,
    MESSAGE_BYTES,
    STEP_MESSAGE_BYTES,
    beginning,
    ending,
    reason,
    stored_bytes,
)
from carillon.engine.model import PodReport
from carillon.engine.plan import WriteRunStatus
from carillon.engine.runstatus import run_status_body
from tests.unit.engine.builders import HOURLY, a_definition, a_job, a_run, at, each, run_status, snapshot, status_after

FOREIGN = ["x", "ü", "語", "🎉", "\n", '"', "\\", "\x01", "<", "&", "\u2028"]


@pytest.mark.parametrize(
    ("character", "size"),
    [
        ("x", 1),
        ("ü", 2),
        ("語", 3),
        ("🎉", 4),
        ('"', 2),
        ("\\", 2),
        ("\n", 2),
        ("\x01", 6),
        ("<", 6),
        ("&", 6),
        ("\u2028", 6),
    ],
)
def test_what_a_character_takes(character: str, size: int) -> None:
    assert stored_bytes(character) == size


@given(text=st.text(), most=st.integers(0, 40))
def test_a_cut_fits_and_one_more_character_would_not(text: str, most: int) -> None:
    first, last = beginning(text, most), ending(text, most)
    assert text.startswith(first)
    assert text.endswith(last)
    for cut, rest in ((first, text[len(first) :]), (last, text[: len(text) - len(last)][::-1])):
        size = sum(map(stored_bytes, cut))
        assert size <= most
        assert not rest or size + stored_bytes(rest[0]) > most


def test_a_short_text_stays_whole() -> None:
    assert (beginning("exit 3", 6), ending("exit 3", 6)) == ("exit 3", "exit 3")


@pytest.mark.parametrize("character", FOREIGN)
def test_the_last_words_of_a_run_are_bounded_in_bytes(character: str) -> None:
    run = a_run("12:00", "Running")
    job = a_job(run, failed="12:01")
    snap = snapshot(
        a_definition(HOURLY, handled="12:00"), run, job, pods={job.uid: PodReport(0, 1, "", character * 20_000)}
    )
    status = run_status(decide(snap, at("12:01:01")), run)
    texts = [status.message, *(step.message for step in status.steps), *(c.message for c in status.conditions)]
    sizes = [sum(map(stored_bytes, text)) for text in texts]
    assert all(texts)
    assert sum(sizes) <= MESSAGE_BYTES + STEP_MESSAGE_BYTES + 2 * CONDITION_MESSAGE_BYTES


@pytest.mark.parametrize(("job_reason", "pod_reason"), [("R" * 200, ""), ("BackoffLimitExceeded", "P" * 200)])
def test_a_long_reason_of_somebody_elses_is_cut(job_reason: str, pod_reason: str) -> None:
    run = a_run("12:00", "Running")
    job = a_job(run, failed="12:01", reason=job_reason)
    definition = a_definition(HOURLY, handled="12:00")
    plan = decide(snapshot(definition, run, job, pods={job.uid: PodReport(0, 1, pod_reason, "")}), at("12:01:01"))
    [write] = each(plan, WriteRunStatus)
    assert JobRunStatus.model_validate(write.status).reason == (pod_reason or job_reason)[:64]
    assert status_after(plan, definition).history[0].reason == reason(pod_reason or job_reason)


def test_a_refusal_is_bounded_too() -> None:
    run = a_run("12:00")
    status = JobRunStatus(
        phase=Phase.FAILED.value, message="語" * 1300, steps=(StepStatus(name="main"),), completion_time=at("12:01")
    )
    body, _ = run_status_body(run, status)
    assert [len(c["message"].encode()) for c in body["conditions"]] == [CONDITION_MESSAGE_BYTES // 3 * 3] * 2
