"""The tables of auth_service: who people are, where they are logged in, what was tried and what happened."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Double, Enum, ForeignKey, Index, Integer, String, event
from sqlalchemy.orm import Mapped, mapped_column

from auth_service import passwords
from auth_service.extensions import db
from service_kit.claims import Role
from service_kit.database import UtcDateTime

# What a login and an e-mail may look like; in ASCII, so that lower case is the same everywhere.
LOGIN = re.compile(r"[A-Za-z0-9_.-]{3,32}")
EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)

# SQLite numbers rows by itself only in a column called INTEGER.
_BigId = BigInteger().with_variant(Integer(), "sqlite")


def utc_now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid.uuid4())


def _words(enum: type[StrEnum], *, checked: bool = False) -> Enum:
    """A StrEnum stored as its words. `checked` adds a CHECK; each new word then needs a migration."""
    return Enum(
        enum,
        values_callable=lambda members: [member.value for member in members],
        native_enum=False,
        create_constraint=checked,
        length=32,
        name=enum.__name__.lower(),
    )


class User(db.Model):  # type: ignore[name-defined]
    """Somebody with an account. Login and e-mail are kept as typed and compared in lower case."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(_BigId, primary_key=True)
    login: Mapped[str] = mapped_column(String(32))
    login_key: Mapped[str] = mapped_column(String(32), unique=True)
    email: Mapped[str] = mapped_column(String(254))
    email_key: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[Role] = mapped_column(_words(Role, checked=True), default=Role.STUDENT)
    password_hash: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime(), default=utc_now)
    revision: Mapped[int] = mapped_column(default=1)  # Goes up with each change of the profile: the ETag.

    def __init__(self, *, login: str, email: str, name: str, password: str, role: Role = Role.STUDENT) -> None:
        super().__init__(login=login, login_key=login.lower(), email=email, email_key=email.lower(), name=name)
        self.role = role
        self._set_password(password)

    def _set_password(self, password: str) -> None:
        self.password_hash = passwords.hash_password(password)

    def check_password(self, password: str) -> bool:
        """Whether this is the user's password. Takes a third of a second of CPU: never inside a transaction."""
        return passwords.password_matches(self.password_hash, password)

    def change_password(self, password: str) -> None:
        """Set another password; ending sessions is the caller's business."""
        self._set_password(password)

    def renew_hash(self, password: str) -> None:
        """Store the (just checked) password again if its hash was made at another cost."""
        if passwords.is_outdated(self.password_hash):
            self._set_password(password)

    @property
    def etag(self) -> str:
        return str(self.revision)


class EndReason(StrEnum):
    """Why a session ended before its time."""

    LOGOUT = "logout"  # Its owner logged out there.
    REVOKED = "revoked"  # Its owner ended it from another session.
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # An event, not a password.
    REFRESH_REUSED = "refresh_reused"  # A spent refresh token came again: somebody has a copy.


class Session(db.Model):  # type: ignore[name-defined]
    """One device where somebody is logged in: a family of refresh tokens, each replacing the one before.

    Live while it has not ended, and `expires_at` (pushed on by each refresh, never past
    `absolute_expires_at`) lies ahead.
    """

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_user_id_last_used_at", "user_id", "last_used_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=_new_id)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime())
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime())
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime(), index=True)
    absolute_expires_at: Mapped[datetime] = mapped_column(UtcDateTime())
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime(), index=True)
    end_reason: Mapped[EndReason | None] = mapped_column(_words(EndReason))
    ip: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(200))


class RefreshToken(db.Model):  # type: ignore[name-defined]
    """One refresh token by its jti. Spent at its first use; the row stays, to notice a second one."""

    __tablename__ = "refresh_tokens"

    jti: Mapped[str] = mapped_column(String(36), primary_key=True, default=_new_id)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    generation: Mapped[int] = mapped_column(default=1)
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime())
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime(), index=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime())
    replaced_by: Mapped[str | None] = mapped_column(String(36))


class LoginDelay(db.Model):  # type: ignore[name-defined]
    """Failures in a row of one login from one address, and how long the next try must wait.

    Times here are seconds since 1970, not datetimes: both engines can add to a number inside an upsert.
    """

    __tablename__ = "login_delays"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer())
    delay_seconds: Mapped[float] = mapped_column(Double())
    blocked_until: Mapped[float] = mapped_column(Double())
    forget_at: Mapped[float] = mapped_column(Double(), index=True)


class Allowance(db.Model):  # type: ignore[name-defined]
    """A bucket that refills steadily: so many tries an hour for one account or address.

    One number says it all: when the bucket is full again (the "theoretical arrival time" of GCRA).
    """

    __tablename__ = "allowances"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    full_at: Mapped[float] = mapped_column(Double(), index=True)


class AuditKind(StrEnum):
    """What happened."""

    REGISTERED = "registered"
    LOGGED_IN = "logged_in"
    LOGIN_FAILED = "login_failed"
    LOGIN_THROTTLED = "login_throttled"  # Written when a delay begins, not for every try that meets it.
    REFRESH_REUSED = "refresh_reused"
    LOGGED_OUT = "logged_out"
    SESSION_REVOKED = "session_revoked"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # An event, not a password.
    PROFILE_CHANGED = "profile_changed"


class AuditEvent(db.Model):  # type: ignore[name-defined]
    """Something that happened to an account. Only ever added; cleanup takes away what is a year old.

    Never holds a token, a password, or what was typed where a login belongs (people type passwords there).
    """

    __tablename__ = "audit_events"
    __table_args__ = (Index("ix_audit_events_user_id_id", "user_id", "id"),)

    id: Mapped[int] = mapped_column(_BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime(), default=utc_now, index=True)
    kind: Mapped[AuditKind] = mapped_column(_words(AuditKind))
    user_id: Mapped[int | None] = mapped_column(BigInteger())  # No foreign key: an event outlives its user.
    session_id: Mapped[str | None] = mapped_column(String(36))
    request_id: Mapped[str] = mapped_column(String(64))
    ip: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(200))
    details: Mapped[dict[str, Any]] = mapped_column(JSON(), default=dict)


@event.listens_for(AuditEvent, "before_update")
@event.listens_for(AuditEvent, "before_delete")
def _refuse_rewriting_history(_mapper: Any, _connection: Any, _target: AuditEvent) -> None:
    raise RuntimeError("audit events are only ever added")
