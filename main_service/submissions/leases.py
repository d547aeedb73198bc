"""Who runs a submission: claimed for a while by one worker, taken back when that worker falls silent.

Every change is one conditional UPDATE. Whoever changed a row owns it; whoever changed none came too late.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, select, update

from main_service.config import current_config
from main_service.extensions import db
from main_service.models import Submission, is_status
from main_service.submissions.figures import count_finished
from service_kit.errors import Conflict, NotFound
from service_kit.messages import MAX_ATTEMPTS, Limits, SubmissionStatus

log = logging.getLogger(__name__)

# On top of the run's own limit: waiting for a place in the runner, and bringing the result home.
_MARGIN_SECONDS = 60

GIVEN_UP = {
    "type": "internal_error",
    "message": "We could not run this submission. It is our fault, not yours; you can run it again.",
    "line": None,
}


@dataclass(frozen=True)
class Claim:
    """What a worker gets to know when a submission is its own."""

    submission_id: int
    attempt: int
    lease_seconds: int
    language: str
    source: str
    stdin: str
    limits: Limits
    checks: list[dict[str, Any]]
    request_id: str


def claim(submission_id: int, worker_id: str, job_key: str, *, redelivered: bool) -> Claim:
    """Give the submission to this worker. Raises NotFound, or Conflict when it is somebody else's or finished.

    `redelivered` says that the broker took this very message back from a worker it lost: that worker's claim
    is taken over at once, and should it be alive after all, its result will be a late one.
    """
    now = datetime.now(UTC)
    lease_seconds = _lease_seconds()
    running = is_status(SubmissionStatus.RUNNING)
    free = or_(
        is_status(SubmissionStatus.QUEUED),
        and_(running, Submission.lease_until < now),
        and_(running, Submission.claimed_with == job_key) if redelivered else false(),
    )
    row = db.session.execute(
        update(Submission)
        .where(Submission.id == submission_id, free, Submission.attempt < MAX_ATTEMPTS)
        .values(
            status=SubmissionStatus.RUNNING,
            attempt=Submission.attempt + 1,
            rev=Submission.rev + 1,
            claimed_by=worker_id,
            claimed_with=job_key,
            claimed_at=now,
            started_at=None,
            lease_until=now + timedelta(seconds=lease_seconds),
        )
        .returning(Submission.attempt, Submission.language, Submission.source, Submission.stdin, Submission.request_id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        given_up = give_up(and_(Submission.id == submission_id, free))
        db.session.commit()
        raise _refusal(submission_id, given_up=bool(given_up))
    db.session.commit()
    log.info(
        "submission_claimed", extra={"submission_id": submission_id, "attempt": row.attempt, "worker_id": worker_id}
    )
    return Claim(
        submission_id=submission_id,
        attempt=row.attempt,
        lease_seconds=lease_seconds,
        language=row.language,
        source=row.source,
        stdin=row.stdin,
        limits=current_config().run_limits,
        checks=[],
        request_id=row.request_id,
    )


def take_back_lapsed() -> int:
    """Put runs whose worker fell silent back into the queue, or give them up. Returns how many there were."""
    now = datetime.now(UTC)
    lapsed = and_(is_status(SubmissionStatus.RUNNING), Submission.lease_until < now)
    given_up = give_up(and_(lapsed, Submission.attempt >= MAX_ATTEMPTS))
    queued_again = (
        db.session.execute(
            update(Submission)
            .where(lapsed)
            .values(**back_to_queue(due_at=now))
            .returning(Submission.id)
            .execution_options(synchronize_session=False)
        )
        .scalars()
        .all()
    )
    db.session.commit()
    for submission_id in queued_again:
        log.warning("lease_lapsed", extra={"submission_id": submission_id})
    return given_up + len(queued_again)


def give_up(condition: ColumnElement[bool]) -> int:
    """Finish these as internal_error: our fault, and the author is told so. The caller commits."""
    rows = db.session.execute(
        update(Submission)
        .where(condition)
        .values(
            status=SubmissionStatus.INTERNAL_ERROR,
            error=GIVEN_UP,
            rev=Submission.rev + 1,
            finished_at=datetime.now(UTC),
            lease_until=None,
        )
        .returning(Submission.id, Submission.created_at)
        .execution_options(synchronize_session=False)
    ).all()
    for row in rows:
        count_finished(SubmissionStatus.INTERNAL_ERROR, row.created_at)
        log.error("submission_given_up", extra={"submission_id": row.id})
    return len(rows)


def back_to_queue(due_at: datetime) -> dict[str, Any]:
    """The columns of a submission that waits for another attempt; dispatch announces it from `due_at` on."""
    return {
        "status": SubmissionStatus.QUEUED,
        "rev": Submission.rev + 1,
        "published_at": None,
        "due_at": due_at,
        "claimed_by": None,
        "claimed_with": None,
        "lease_until": None,
        "started_at": None,
    }


def _refusal(submission_id: int, *, given_up: bool) -> Exception:
    status = db.session.execute(select(Submission.status).where(Submission.id == submission_id)).scalar_one_or_none()
    if status is None:
        return NotFound("submission_not_found", "There is no such submission.")
    reason = "It has failed too often." if given_up else f"It is {status.value}, and not yours to run."
    return Conflict("not_claimable", reason)


def _lease_seconds() -> int:
    return current_config().run_limits.wall_ms // 1000 + _MARGIN_SECONDS
