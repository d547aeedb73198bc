"""Who may see a submission, and lists of them. Lists never touch the large columns."""

from __future__ import annotations

from sqlalchemy import Row, select
from sqlalchemy.orm import undefer_group

from main_service.extensions import db
from main_service.models import Submission
from main_service.paging import Page, page_of
from service_kit.claims import Caller
from service_kit.errors import Forbidden, NotFound
from service_kit.messages import SubmissionStatus

_BRIEF = (
    Submission.id,
    Submission.status,
    Submission.language,
    Submission.run_time,
    Submission.wall_time,
    Submission.memory_used,
    Submission.memory_source,
    Submission.isolation,
    Submission.created_at,
    Submission.published_at,
    Submission.claimed_at,
    Submission.started_at,
    Submission.finished_at,
    Submission.attempt,
    Submission.rerun_of,
    Submission.request_id,
)


def glance_at(submission_id: int, caller: Caller) -> Row[int, int]:
    """user_id and rev only: enough to answer "nothing new". NotFound also for what the caller may not see."""
    row = db.session.execute(
        select(Submission.user_id, Submission.rev).where(Submission.id == submission_id)
    ).one_or_none()
    if row is None or not (row.user_id == caller.user_id or caller.is_moderator):
        raise NotFound("submission_not_found", "There is no such submission.")
    return row


def require_owner(submission_id: int, caller: Caller) -> None:
    """NotFound for who may not see it, Forbidden for a moderator who may look but not act in the owner's name."""
    if glance_at(submission_id, caller).user_id != caller.user_id:
        raise Forbidden("owner_only", "Only its owner may do this.")


def load_whole(submission_id: int) -> Submission:
    """The submission with its source, output and cells. It must exist."""
    return db.session.execute(
        select(Submission)
        .where(Submission.id == submission_id)
        .options(undefer_group("body"))
        .execution_options(populate_existing=True)
    ).scalar_one()


def list_own(caller: Caller, *, limit: int, cursor: str | None, status: SubmissionStatus | None) -> Page:
    """The caller's own submissions, newest first."""
    query = select(*_BRIEF).where(Submission.user_id == caller.user_id)
    if status is not None:
        query = query.where(Submission.status == status)
    return page_of(db.session, query, [Submission.id], limit=limit, cursor=cursor)
