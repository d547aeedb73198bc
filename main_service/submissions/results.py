"""How a submission ends: with a worker's result, or by its owner's wish. Exactly once, whoever comes first."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from main_service.extensions import db
from main_service.models import Submission
from main_service.submissions.figures import count_finished
from main_service.submissions.leases import GIVEN_UP, back_to_queue
from service_kit.errors import Conflict, NotFound
from service_kit.messages import MAX_ATTEMPTS, SubmissionStatus

log = logging.getLogger(__name__)

# Between two attempts after an error on our side, so that three are not used up within one hiccup.
_PAUSE_SECONDS = 5


@dataclass(frozen=True)
class Report:
    """What a worker found out. `attempt` and `worker_id` say which claim it speaks for."""

    attempt: int
    worker_id: str
    status: SubmissionStatus
    run_time: int | None
    wall_time: int | None
    memory_used: int | None
    memory_source: str | None
    isolation: str | None
    stdout: str | None
    stderr: str | None
    error: dict[str, Any] | None
    cells: list[Any]
    graph: dict[str, Any] | None
    started_at: datetime | None
    finished_at: datetime | None


def apply_result(submission_id: int, report: Report) -> SubmissionStatus:
    """Store the result of the current attempt and return the status the submission has now.

    An error on our side puts it back into the queue while attempts are left. Raises Conflict for a late twin: the
    submission is finished, cancelled, or somebody else's by now.
    """
    if report.status is SubmissionStatus.INTERNAL_ERROR:
        values = _after_our_error(report)
    else:
        values = _measured(report) | {"status": report.status, "error": report.error}
    row = db.session.execute(
        update(Submission)
        .where(
            Submission.id == submission_id,
            Submission.status == SubmissionStatus.RUNNING,
            Submission.attempt == report.attempt,
            Submission.claimed_by == report.worker_id,
        )
        .values(rev=Submission.rev + 1, **values)
        .returning(Submission.status, Submission.created_at)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        raise _refusal(submission_id)
    db.session.commit()
    log.info(
        "result_stored",
        extra={"submission_id": submission_id, "attempt": report.attempt, "submission_status": row.status.value},
    )
    if row.status.is_final:
        count_finished(row.status, row.created_at)
    status: SubmissionStatus = row.status
    return status


def cancel(submission_id: int) -> None:
    """End a submission that is not finished yet; a result that comes later is dropped. Raises Conflict when it is."""
    cancelled = db.session.execute(
        update(Submission)
        .where(
            Submission.id == submission_id,
            Submission.status.in_((SubmissionStatus.QUEUED, SubmissionStatus.RUNNING)),
        )
        .values(
            status=SubmissionStatus.CANCELLED,
            rev=Submission.rev + 1,
            finished_at=datetime.now(UTC),
            lease_until=None,
        )
        .returning(Submission.created_at)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if cancelled is None:
        raise Conflict("already_final", "It is finished already.")
    db.session.commit()
    count_finished(SubmissionStatus.CANCELLED, cancelled.created_at)
    log.info("submission_cancelled", extra={"submission_id": submission_id})


def _after_our_error(report: Report) -> dict[str, Any]:
    if report.attempt < MAX_ATTEMPTS:
        values = back_to_queue(due_at=datetime.now(UTC) + timedelta(seconds=_PAUSE_SECONDS * report.attempt))
        del values["rev"]
        return values
    return _measured(report) | {"status": SubmissionStatus.INTERNAL_ERROR, "error": report.error or GIVEN_UP}


def _measured(report: Report) -> dict[str, Any]:
    return {
        "run_time": report.run_time,
        "wall_time": report.wall_time,
        "memory_used": report.memory_used,
        "memory_source": report.memory_source,
        "isolation": report.isolation,
        "stdout": report.stdout,
        "stderr": report.stderr,
        "cells": report.cells,
        "graph": report.graph,
        "started_at": report.started_at,
        "finished_at": report.finished_at or datetime.now(UTC),
        "lease_until": None,
    }


def _refusal(submission_id: int) -> Exception:
    known = db.session.execute(select(Submission.id).where(Submission.id == submission_id)).scalar_one_or_none()
    if known is None:
        return NotFound("submission_not_found", "There is no such submission.")
    return Conflict("stale_attempt", "Another attempt has taken over, or the submission is finished.")
