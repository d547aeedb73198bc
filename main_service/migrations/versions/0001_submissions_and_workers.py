"""submissions, and what workers say they can run"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
STATUS = sa.Enum(
    "queued",
    "running",
    "completed",
    "accepted",
    "partial",
    "wrong_answer",
    "runtime_error",
    "time_limit_exceeded",
    "memory_limit_exceeded",
    "output_limit_exceeded",
    "compilation_error",
    "cancelled",
    "internal_error",
    name="status_known",
    native_enum=False,
    create_constraint=True,
    length=32,
)
QUEUED = sa.text("status = 'queued'")
RUNNING = sa.text("status = 'running'")
HAS_KEY = sa.text("idempotency_key IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "submissions",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("status", STATUS, nullable=False),
        sa.Column("language", sa.String(32), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False, comment="grows with every visible change; the ETag"),
        sa.Column("rerun_of", ROW_ID, nullable=True),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("idempotency_key", sa.String(200), nullable=True),
        sa.Column("order_hash", sa.String(64), nullable=False, comment="sha256 of what was asked for"),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column(
            "published_at",
            MOMENT,
            nullable=True,
            comment="the broker has it; NULL while queued makes this row the outbox",
        ),
        sa.Column("claimed_at", MOMENT, nullable=True),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("dispatches", sa.Integer(), nullable=False, comment="messages made for it, sent or not"),
        sa.Column("due_at", MOMENT, nullable=False, comment="while queued: when dispatch looks after it"),
        sa.Column("claimed_by", sa.String(128), nullable=True, comment="worker id"),
        sa.Column("claimed_with", sa.String(64), nullable=True, comment="job key of the message it was claimed with"),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("run_time", sa.Integer(), nullable=True, comment="milliseconds of CPU"),
        sa.Column("wall_time", sa.Integer(), nullable=True, comment="milliseconds"),
        sa.Column("memory_used", sa.Integer(), nullable=True, comment="KiB above the warm runner's own"),
        sa.Column("memory_source", sa.String(32), nullable=True),
        sa.Column("isolation", sa.String(32), nullable=True),
        # The large columns stand last: SQLite reads a row from the left and stops where it may.
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stdin", sa.Text(), nullable=False),
        sa.Column("stdout", sa.Text(), nullable=True),
        sa.Column("stderr", sa.Text(), nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("cells", JSON, nullable=False),
        sa.Column("graph", JSON, nullable=True),
        sa.ForeignKeyConstraint(["rerun_of"], ["submissions.id"], name=op.f("fk_submissions_rerun_of_submissions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submissions")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_submissions_user_id_id", "submissions", ["user_id", "id"])
    op.create_index("ix_submissions_user_id_status_id", "submissions", ["user_id", "status", "id"])
    op.create_index(
        "uq_submissions_user_id_idempotency_key",
        "submissions",
        ["user_id", "idempotency_key"],
        unique=True,
        sqlite_where=HAS_KEY,
        postgresql_where=HAS_KEY,
    )
    op.create_index(
        "ix_submissions_queued",
        "submissions",
        ["published_at", "due_at"],
        sqlite_where=QUEUED,
        postgresql_where=QUEUED,
    )
    op.create_index(
        "ix_submissions_running", "submissions", ["lease_until"], sqlite_where=RUNNING, postgresql_where=RUNNING
    )
    op.create_table(
        "worker_announcements",
        sa.Column("worker_id", sa.String(128), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("isolation", sa.String(32), nullable=False),
        sa.Column("marimo", sa.String(64), nullable=False),
        sa.Column("languages", JSON, nullable=False),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_worker_announcements")),
    )


def downgrade() -> None:
    op.drop_table("worker_announcements")
    op.drop_table("submissions")
