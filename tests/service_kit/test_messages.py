"""The queue message: what is written is what is read, and nothing else is taken for it."""

import json

import pytest

from service_kit.messages import (
    FINAL_STATUSES,
    QUEUES,
    REPORTABLE_STATUSES,
    SubmissionJob,
    SubmissionStatus,
    UnknownMessage,
)

JOB = SubmissionJob(submission_id=7, job_key="sub-7-1", request_id="abcdefgh")


def test_job_survives_the_way_through_the_queue():
    assert SubmissionJob.from_bytes(JOB.to_bytes()) == JOB


def test_unknown_keys_are_ignored():
    message = json.loads(JOB.to_bytes()) | {"priority": 3}

    assert SubmissionJob.from_bytes(json.dumps(message).encode()) == JOB


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": None},
        {"kind": "submission.delete"},
        {"submission_id": "7"},
        {"submission_id": True},
        {"submission_id": 0},
        {"submission_id": 7.0},
        {"job_key": None},
        {"request_id": 5},
    ],
)
def test_message_of_another_shape_is_refused(change):
    message = json.loads(JOB.to_bytes()) | change

    with pytest.raises(UnknownMessage):
        SubmissionJob.from_bytes(json.dumps(message).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"{", b"[" * 100_000])
def test_garbage_is_refused(body):
    with pytest.raises(UnknownMessage):
        SubmissionJob.from_bytes(body)


def test_only_queued_and_running_are_not_final():
    assert set(SubmissionStatus) - FINAL_STATUSES == {SubmissionStatus.QUEUED, SubmissionStatus.RUNNING}


def test_worker_cannot_report_our_own_words():
    assert REPORTABLE_STATUSES.isdisjoint(
        {SubmissionStatus.QUEUED, SubmissionStatus.RUNNING, SubmissionStatus.CANCELLED}
    )


def test_every_work_queue_has_a_home_for_its_dead():
    for arguments in QUEUES.values():
        assert arguments["x-queue-type"] == "quorum"
        assert arguments.get("x-dead-letter-routing-key", next(iter(QUEUES))) in QUEUES
