"""The rows of the core: submissions, and what the workers said they can run.

Only columns and questions about the row itself; what happens to a submission is in submissions/.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ColumnElement, Enum, ForeignKey, Index, Integer, String, Text, literal, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from main_service.extensions import db
from service_kit.database import UtcDateTime
from service_kit.messages import SubmissionStatus

# SQLite numbers rows by itself only in a column that is exactly INTEGER.
RowId = BigInteger().with_variant(Integer(), "sqlite")
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

# A partial index serves a query only where the query's condition implies the index's. Both engines can tell
# when it is the same constant, so it is spelt out in the index and in every query (see `is_status`).
_QUEUED = text("status = 'queued'")
_RUNNING = text("status = 'running'")
_HAS_KEY = text("idempotency_key IS NOT NULL")


class Submission(db.Model):  # type: ignore[name-defined]
    """One program, handed in by one user, run once (or again, when our side failed) and given one final status."""

    __tablename__ = "submissions"
    __table_args__ = (
        Index("ix_submissions_user_id_id", "user_id", "id"),
        Index("ix_submissions_user_id_status_id", "user_id", "status", "id"),
        Index(
            "uq_submissions_user_id_idempotency_key",
            "user_id",
            "idempotency_key",
            unique=True,
            sqlite_where=_HAS_KEY,
            postgresql_where=_HAS_KEY,
        ),
        # What dispatch asks for every second, small however long the table grows.
        Index(
            "ix_submissions_queued",
            "published_at",
            "due_at",
            sqlite_where=_QUEUED,
            postgresql_where=_QUEUED,
        ),
        Index("ix_submissions_running", "lease_until", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
        # An id is never used twice: a late message or result must not meet another submission.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    # No foreign key: users live in auth_service's database.
    user_id: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[SubmissionStatus] = mapped_column(
        Enum(
            SubmissionStatus,
            native_enum=False,
            length=32,
            create_constraint=True,
            name="status_known",
            values_callable=lambda words: [word.value for word in words],
        )
    )
    language: Mapped[str] = mapped_column(String(32))
    rev: Mapped[int] = mapped_column(Integer, default=1, comment="grows with every visible change; the ETag")
    rerun_of: Mapped[int | None] = mapped_column(ForeignKey("submissions.id"))
    request_id: Mapped[str] = mapped_column(String(64))
    idempotency_key: Mapped[str | None] = mapped_column(String(200))
    order_hash: Mapped[str] = mapped_column(String(64), comment="sha256 of what was asked for")

    # When each phase began.
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, comment="the broker has it; NULL while queued makes this row the outbox"
    )
    claimed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    # Who runs it, and how often it was tried.
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    dispatches: Mapped[int] = mapped_column(Integer, default=1, comment="messages made for it, sent or not")
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="while queued: when dispatch looks after it")
    claimed_by: Mapped[str | None] = mapped_column(String(128), comment="worker id")
    claimed_with: Mapped[str | None] = mapped_column(String(64), comment="job key of the message it was claimed with")
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)

    # What the run took.
    run_time: Mapped[int | None] = mapped_column(Integer, comment="milliseconds of CPU")
    wall_time: Mapped[int | None] = mapped_column(Integer, comment="milliseconds")
    memory_used: Mapped[int | None] = mapped_column(Integer, comment="KiB above the warm runner's own")
    memory_source: Mapped[str | None] = mapped_column(String(32))
    isolation: Mapped[str | None] = mapped_column(String(32))

    # The large columns stand last and are loaded on request only: SQLite reads a row from the left and stops
    # where it may, and a list that touched one of them by accident would raise instead of loading it row by row.
    source: Mapped[str] = mapped_column(Text, deferred=True, deferred_group="body", deferred_raiseload=True)
    stdin: Mapped[str] = mapped_column(Text, deferred=True, deferred_group="body", deferred_raiseload=True)
    stdout: Mapped[str | None] = mapped_column(Text, deferred=True, deferred_group="body", deferred_raiseload=True)
    stderr: Mapped[str | None] = mapped_column(Text, deferred=True, deferred_group="body", deferred_raiseload=True)
    error: Mapped[dict[str, Any] | None] = mapped_column(
        Json, deferred=True, deferred_group="body", deferred_raiseload=True
    )
    cells: Mapped[list[Any]] = mapped_column(Json, deferred=True, deferred_group="body", deferred_raiseload=True)
    graph: Mapped[dict[str, Any] | None] = mapped_column(
        Json, deferred=True, deferred_group="body", deferred_raiseload=True
    )

    @property
    def is_final(self) -> bool:
        return self.status.is_final

    @property
    def etag(self) -> str:
        return str(self.rev)


class WorkerAnnouncement(db.Model):  # type: ignore[name-defined]
    """What one executor_worker last said about itself. Workers repeat it every 30 seconds."""

    __tablename__ = "worker_announcements"

    worker_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    slots: Mapped[int] = mapped_column(Integer)
    isolation: Mapped[str] = mapped_column(String(32))
    marimo: Mapped[str] = mapped_column(String(64))
    languages: Mapped[list[dict[str, Any]]] = mapped_column(Json)


def is_status(status: SubmissionStatus) -> ColumnElement[bool]:
    """`status` spelt out in the SQL instead of bound to it, so that the partial indexes above are seen to fit."""
    return Submission.status == literal(status, Submission.status.type, literal_execute=True)


def job_key(submission_id: int, dispatches: int) -> str:
    """The name of one message for one submission; each message of the same row has its own."""
    return f"sub-{submission_id}-{dispatches}"
