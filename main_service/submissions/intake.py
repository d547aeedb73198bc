"""Take a submission in: record it, then announce it to the workers.

HTTP is not known here (see routes.py); neither is pika (see rabbitmq_producer.py).
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import exists, func, literal, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import undefer_group
from sqlalchemy.orm.attributes import set_committed_value

from main_service.config import current_config
from main_service.extensions import db
from main_service.models import Submission, is_status, job_key
from main_service.rabbitmq_producer import JobRefused, QueueUnavailable, current_producer
from main_service.submissions.languages import available_languages, is_available
from service_kit.errors import Conflict, PayloadTooLarge, TooManyRequests, Unavailable, Unprocessable
from service_kit.messages import SubmissionJob, SubmissionStatus
from service_kit.request_id import current_request_id

log = logging.getLogger(__name__)

# An inline send is under way for about this long; dispatch looks only at rows that are older.
INLINE_SEND_SECONDS = 2
# How long a message may lie in the queue before dispatch doubts that it is still there.
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Order:
    """What somebody wants to have run."""

    source: str
    language: str
    stdin: str = ""
    rerun_of: int | None = None

    @property
    def hash(self) -> str:
        """The same for the same order: tells a repeated request from another one under the same key."""
        parts = json.dumps([self.language, self.source, self.stdin, self.rerun_of])
        return hashlib.sha256(parts.encode()).hexdigest()


def order_again(earlier: Submission) -> Order:
    """The order to run an earlier submission's program once more."""
    return Order(earlier.source, earlier.language, earlier.stdin, rerun_of=earlier.id)


def find_replay(author_id: int, order: Order, key: str | None) -> Submission | None:
    """The submission that an earlier request with this Idempotency-Key made, or None.

    Until the caller commits, other requests of the same author wait here, so two parallel requests with one key
    make one submission, and nobody slips past the limit on waiting submissions.
    Raises Conflict when the key was used for another order. A key is good for ever: it lives in the row it made.
    """
    _wait_for_turn(author_id)
    if key is None:
        return None
    earlier = db.session.execute(
        select(Submission)
        .where(Submission.user_id == author_id, Submission.idempotency_key == key)
        .options(undefer_group("body"))
    ).scalar_one_or_none()
    if earlier is not None and earlier.order_hash != order.hash:
        raise Conflict("idempotency_key_reused", "This Idempotency-Key was used for another submission.")
    return earlier


def record_submission(author_id: int, order: Order, key: str | None = None) -> Submission:
    """Add a new queued submission to the session. Raises the ServiceError that says why it cannot be taken."""
    _check_size(order)
    _check_language(order.language)
    _check_waiting(author_id)
    _check_backlog()
    now = datetime.now(UTC)
    submission = Submission(
        user_id=author_id,
        status=SubmissionStatus.QUEUED,
        language=order.language,
        rev=1,
        rerun_of=order.rerun_of,
        request_id=current_request_id(),
        idempotency_key=key,
        order_hash=order.hash,
        created_at=now,
        attempt=0,
        dispatches=1,
        due_at=now + timedelta(seconds=INLINE_SEND_SECONDS),
        source=order.source,
        stdin=order.stdin,
        # Said, not left out: the answer shows them, and unsaid large columns are not loaded by accident.
        stdout=None,
        stderr=None,
        error=None,
        cells=[],
        graph=None,
    )
    db.session.add(submission)
    return submission


def job_for(submission: Submission) -> SubmissionJob:
    """The message that wakes a worker up for this submission."""
    return SubmissionJob(submission.id, job_key(submission.id, submission.dispatches), submission.request_id)


def announce(submission: Submission, job: SubmissionJob) -> None:
    """Tell the workers about a committed submission. Never raises: what was not sent now, dispatch sends later."""
    ids = {"submission_id": submission.id, "job_key": job.job_key}
    try:
        current_producer().send(job)
    except (QueueUnavailable, JobRefused) as error:
        log.warning("submission_not_announced", extra=ids | {"reason": str(error)})
        return
    try:
        _mark_published(submission)
    except SQLAlchemyError:
        # The row is committed and the message sent; an error now would tell the author the opposite.
        db.session.rollback()
        log.warning("submission_not_marked", extra=ids, exc_info=True)
        return
    log.info("submission_published", extra=ids)


def _mark_published(submission: Submission) -> None:
    now = datetime.now(UTC)
    marked = db.session.execute(
        update(Submission)
        .where(Submission.id == submission.id, Submission.published_at.is_(None))
        .values(published_at=now, due_at=now + timedelta(seconds=PATIENCE_SECONDS), rev=Submission.rev + 1)
        .returning(Submission.published_at, Submission.rev)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    db.session.commit()
    if marked is not None:
        set_committed_value(submission, "published_at", marked.published_at)
        set_committed_value(submission, "rev", marked.rev)


def _wait_for_turn(author_id: int) -> None:
    """One transaction at a time per author. SQLite lets only one write at a time anyhow."""
    if db.engine.dialect.name == "postgresql":
        db.session.execute(select(func.pg_advisory_xact_lock(author_id)))


def _check_size(order: Order) -> None:
    config = current_config()
    for name, text, most in (
        ("source", order.source, config.max_source_bytes),
        ("stdin", order.stdin, config.max_stdin_bytes),
    ):
        size = len(text.encode())
        if size > most:
            raise PayloadTooLarge(
                f"{name}_too_large",
                f"{name} has {size} bytes; {most} are allowed.",
                errors=[{"pointer": f"/{name}", "message": f"Longer than {most} bytes."}],
            )


def _check_language(language: str) -> None:
    if not is_available(language):
        listed = ", ".join(available_languages()) or "none just now"
        raise Unprocessable(
            "language_unavailable",
            f"This language cannot be run. Available: {listed}.",
            errors=[{"pointer": "/language", "message": f"Must be one of: {listed}."}],
        )


def _check_waiting(author_id: int) -> None:
    most = current_config().max_waiting_per_user
    waiting = db.session.execute(
        select(func.count()).where(
            Submission.user_id == author_id,
            Submission.status.in_((SubmissionStatus.QUEUED, SubmissionStatus.RUNNING)),
        )
    ).scalar_one()
    if waiting >= most:
        raise TooManyRequests(
            "too_many_waiting", f"{waiting} of your submissions are still waiting; {most} may.", retry_after=5
        )


def _check_backlog() -> None:
    """Refuse when the broker has been away for so long that more rows would only wait longer."""
    most = current_config().max_unpublished
    beyond = (
        select(literal(1))
        .where(is_status(SubmissionStatus.QUEUED), Submission.published_at.is_(None))
        .offset(most - 1)
        .limit(1)
    )
    if db.session.execute(select(exists(beyond.subquery().select()))).scalar_one():
        raise Unavailable("too_many_unpublished", "Too much is waiting already. Try again shortly.", retry_after=30)
