"""What main_service and executor_worker say to each other: queue names, the job, the status words.

The job is only a wake-up: everything the worker needs comes with the claim.
pika is not known here; the two pika files declare the queues from this data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

INTERACTIVE_QUEUE = "submissions.v1"
BATCH_QUEUE = "submissions.batch.v1"
DEAD_QUEUE = "submissions.dead.v1"

_WORK_QUEUE_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    # A worker's restart counts as a delivery too, so this is well above the database's own three attempts.
    "x-delivery-limit": 10,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD_QUEUE,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
    "x-max-length": 20_000,
}

# Both sides declare exactly this before use: a differing argument is a 406 from the broker.
QUEUES: dict[str, dict[str, Any]] = {
    DEAD_QUEUE: {"x-queue-type": "quorum"},
    INTERACTIVE_QUEUE: _WORK_QUEUE_ARGUMENTS,
    BATCH_QUEUE: _WORK_QUEUE_ARGUMENTS,
}

MESSAGE_VERSION = 1
MESSAGE_KIND = "submission.run"
MAX_ATTEMPTS = 3


class UnknownMessage(Exception):
    """A message this version cannot read; it belongs into the dead-letter queue."""


class SubmissionStatus(StrEnum):
    """The life of a submission. `queued` and `running` move on; every other word is final."""

    QUEUED = "queued"  # main_service, at submit or when a run is given back; → running, cancelled.
    RUNNING = "running"  # main_service, at a worker's claim; → any final word, or queued again.
    COMPLETED = "completed"  # A run with nothing to check ended well.
    ACCEPTED = "accepted"  # Every check passed.
    PARTIAL = "partial"  # Some checks passed.
    WRONG_ANSWER = "wrong_answer"  # No check passed.
    RUNTIME_ERROR = "runtime_error"  # The program raised, crashed or ended itself.
    TIME_LIMIT_EXCEEDED = "time_limit_exceeded"
    MEMORY_LIMIT_EXCEEDED = "memory_limit_exceeded"
    OUTPUT_LIMIT_EXCEEDED = "output_limit_exceeded"
    COMPILATION_ERROR = "compilation_error"  # Syntax, cycle, a name defined twice: nothing ran.
    CANCELLED = "cancelled"  # main_service, when its owner asked.
    INTERNAL_ERROR = "internal_error"  # Our fault, after the last attempt. Never the student's.

    @property
    def is_final(self) -> bool:
        return self not in (SubmissionStatus.QUEUED, SubmissionStatus.RUNNING)


FINAL_STATUSES = frozenset(status for status in SubmissionStatus if status.is_final)
# What a worker may report; queued, running and cancelled are main_service's own words.
REPORTABLE_STATUSES = FINAL_STATUSES - {SubmissionStatus.CANCELLED}


@dataclass(frozen=True)
class SubmissionJob:
    """Wake-up for one submission. `job_key` tells two announcements of the same row apart."""

    submission_id: int
    job_key: str
    request_id: str

    def to_bytes(self) -> bytes:
        return json.dumps(
            {
                "v": MESSAGE_VERSION,
                "kind": MESSAGE_KIND,
                "submission_id": self.submission_id,
                "job_key": self.job_key,
                "request_id": self.request_id,
            }
        ).encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> SubmissionJob:
        """Read a message; unknown keys are ignored, anything else unexpected raises UnknownMessage."""
        try:
            message = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise UnknownMessage("not JSON") from error
        if not isinstance(message, dict):
            raise UnknownMessage("not an object")
        if message.get("v") != MESSAGE_VERSION or message.get("kind") != MESSAGE_KIND:
            raise UnknownMessage("another version or kind")
        submission_id, job_key, request_id = (message.get(key) for key in ("submission_id", "job_key", "request_id"))
        if type(submission_id) is not int or submission_id < 1:
            raise UnknownMessage("submission_id is not a positive integer")
        if not isinstance(job_key, str) or not isinstance(request_id, str):
            raise UnknownMessage("job_key or request_id is not a string")
        return cls(submission_id=submission_id, job_key=job_key, request_id=request_id)


@dataclass(frozen=True)
class Limits:
    """What one run may use. CPU and wall in milliseconds, memory in KiB above the warm runner's own."""

    cpu_ms: int = 5_000
    wall_ms: int = 15_000
    memory_kib: int = 256 * 1024
    output_bytes: int = 64 * 1024
